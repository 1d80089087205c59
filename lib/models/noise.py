"""White noise of an exemplar's colours: what maximum entropy knows when told nothing about neighbours.

Given the mean m and the 3x3 covariance C of single pixels, the density of largest entropy makes every pixel an
independent draw from N(m, C). It is where "the space of images" starts: an image drawn at random is noise, and all
that a texture model is worth lies between this and the exemplar.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from lib.samplers.step import Step, checked_common, white_noise


def white_noise_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
) -> Iterator[Step]:
    """n images [n,3,H,W] of independent pixels with the mean and covariance of those of x0 [3,H,W], in one step.

    `size` is (height, width), one number for both, or None for x0's own. Sample i depends on (seed, i) alone. Noise has
    no seam: `tileable` changes nothing. Pixels outside [0,1] are clipped; `loss` is 0, as the draw is exact.

    Raises TextureError for an x0 that is no image in [0,1] of at least 32x32, or a size, n or seed out of range.
    """
    x0, shape = checked_common(x0, n, size, seed)
    noise = white_noise(n, *shape, seed)
    root, mean = colour_root(x0), x0.mean((2, 3))[..., None, None]
    yield Step((mean + torch.einsum("ij,bjhw->bihw", root, noise)).clamp(0, 1), 0.0, 1, 1)


def colour_root(x: Tensor) -> Tensor:
    """C^(1/2) [3,3], symmetric, of the covariance of the pixels of x [1,3,H,W]."""
    values, vectors = torch.linalg.eigh(x[0].flatten(1).double().cov(correction=0))
    return ((vectors * values.clamp_min(0).sqrt()) @ vectors.T).to(x.dtype)
