"""What a single statistic responds to: the image that drives it up, or down, at a given colour and contrast.

An image is m + c u / |u|, with m its mean colour and c its contrast held fixed, and u searched by gradient ascent. What
is left to choose is where the contrast lies and how it is arranged, so that the statistic and not the amount of
contrast is seen. The other statistics are free.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lib.errors import TextureError
from lib.samplers.step import Step

STEPS = 80
RATE = 0.1  # of u, whose pixels have a size of one


def drive(
    f: nn.Module, k: int, start: Tensor, up: bool = True, contrast: float = 0.15, steps: int = STEPS
) -> Iterator[Step]:
    """Records of the search; `loss` is f_k of the image shown.

    Args:
        f: statistics [n,3,H,W] -> [n,d].
        start: white noise [n,3,H,W], one search from each.
        contrast: root mean square about the mean, which is mid-grey, in pixel units.

    Raises:
        TextureError: there is no statistic k.
    """
    with torch.no_grad():
        dim = f(start[:1]).shape[1]
    if not 0 <= k < dim:
        raise TextureError(f"there is no statistic {k}; they are numbered 0 to {dim - 1}")
    u = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([u], RATE)

    def image() -> Tensor:
        centred = u - u.mean((2, 3), keepdim=True)
        return 0.5 + contrast * centred / centred.square().mean((1, 2, 3), keepdim=True).sqrt()

    for step in range(1, steps + 1):
        optimiser.zero_grad()
        with torch.enable_grad():
            value = f(image())[:, k].sum()
            (-value if up else value).backward()
        optimiser.step()
        with torch.no_grad():
            x = image().clamp(0, 1)
            yield Step(x, f(x)[:, k].mean().item(), step, steps)
