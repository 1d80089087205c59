"""Lower a loss of images by L-BFGS, each image by itself: what matching is, whatever the statistics.

With loss(x) = |f(x) - f(x0)|^2 it is the microcanonical sampler (Portilla & Simoncelli 2000, Gatys et al. 2015).
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lib.samplers.lbfgs import minimise
from lib.samplers.step import Step

Loss = Callable[[Tensor], Tensor]  # images [1,3,H,W] -> [1], differentiable
Search = Callable[[Loss, Tensor, int, Callable[[Tensor], Tensor]], Iterator[Step]]

OUTSIDE = 5.0  # what a pixel outside [0,1] costs, per unit squared: it calls back what clipping cannot


def descend(
    loss: Loss,
    starts: Tensor,
    steps: int,
    image: Callable[[Tensor], Tensor] = lambda w: w,
    outside: float = OUTSIDE,
    parts: Tensor | None = None,
) -> Iterator[Step]:
    """One record an iteration, of at most `steps`: images in [0,1] and their mean loss.

    Args:
        loss: it sees the pixels that are shown, clipped to [0,1].
        starts: [n, ...], the search's variable w of each image.
        image: w [1, ...] -> x [1,3,H,W]; the search goes through w.
        outside: what a pixel that would lie outside [0,1] adds to the loss, per unit squared.
        parts: [...], which of w's coordinates share a scale (see `lbfgs.minimise`).
    """

    def objective(flat: Tensor) -> tuple[Tensor, Tensor]:
        flat = flat.detach().requires_grad_()
        with torch.enable_grad():
            x = image(flat.view(1, *starts.shape[1:]))
            shown = x.clamp(0, 1)
            value = loss(shown) + outside * (x - shown).square().mean((1, 2, 3))
            (gradient,) = torch.autograd.grad(value.sum(), flat)
        return value.detach(), gradient

    # one search an image: in a batch, rounding would depend on how many there are
    searches = [minimise(objective, start.flatten()[None], steps, parts) for start in starts]
    for step, found in enumerate(zip(*searches, strict=True), 1):
        images = torch.cat([image(w.view(1, *starts.shape[1:])).clamp(0, 1) for w, _ in found])
        yield Step(images, torch.cat([value for _, value in found]).mean().item(), step, steps)


def descend_from(
    loss: Loss, starts: Tensor, steps: int, move: Callable[[Tensor], Tensor], search: Search = descend
) -> Iterator[Step]:
    """`search` from images [n,3,H,W], its variable being what they are changed by: x = start + move(w)."""

    def one(start: Tensor) -> Iterator[Step]:
        return search(loss, torch.zeros_like(start), steps, lambda w: start + move(w))

    for records in zip(*[one(start[None]) for start in starts], strict=True):
        value = sum(record.loss for record in records) / len(records)
        yield Step(torch.cat([record.image for record in records]), value, records[0].step, steps)
