"""Are samples new? How near their patches come to images they may have been copied from.

Copies are looked for patch by patch: the root mean square difference of a patch from the most similar one in the
exemplar (or in any other images, the training set among them). What is near is told by patches that cannot be copies:
those of another piece of the same texture, which the model has not seen. A copied patch is far nearer than these, and
its neighbours are copied from beside it, at the same offset; this coherence is what verbatim copying cannot hide.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.errors import TextureError

SIDE = 16  # pixels of a patch: a blade, a thread, a spark
STRIDE = 8
PLACES = 4096  # compared at a time


@dataclass(frozen=True)
class Nearest:
    """For each of P patches the most similar one: `distance` [P] in pixels' units, and where: image, row, column."""

    distance: Tensor
    image: Tensor
    place: Tensor  # [P,2]


def nearest(patches: Tensor, images: Iterable[Tensor], stride: int = 1) -> Nearest:
    """Search images [3,H,W], each at every `stride`-th place, for patches [P,3,s,s]; root mean square distances.

    Images smaller than a patch hold none. Raises TextureError if there is no patch in any.
    """
    side = patches.shape[-1]
    best = torch.full((len(patches),), torch.inf)
    which, place = torch.zeros(len(patches), dtype=torch.long), torch.zeros(len(patches), 2, dtype=torch.long)
    for number, image in enumerate(images):
        # distances do not change when both are moved; smaller numbers lose fewer digits in the difference of squares
        centre = image.mean((1, 2), keepdim=True)
        moved = (patches - centre).flatten(1)
        own = moved.square().sum(1)
        for top, strip in strips(image - centre, side, stride):
            held = F.unfold(strip[None], side, stride=stride)[0]  # [3 s s, places]
            squares, at = torch.addmm(held.square().sum(0), moved, held, alpha=-2).min(1)
            distance = ((squares + own).clamp_min(0) / moved.shape[1]).sqrt()
            nearer = distance < best
            columns = (strip.shape[-1] - side) // stride + 1
            found = torch.stack([top + stride * (at // columns), stride * (at % columns)], 1)
            best, which = torch.where(nearer, distance, best), which.masked_fill(nearer, number)
            place = torch.where(nearer[:, None], found, place)
    if len(patches) and torch.isinf(best).all():
        raise TextureError(f"no image is as large as a patch of {side}x{side}; give larger ones")
    return Nearest(best, which, place)


def strips(image: Tensor, side: int, stride: int) -> Iterator[tuple[int, Tensor]]:
    """An image [3,H,W] in pieces (top, [3,h,W]) of a few thousand places, every place in one; none if it is small."""
    height, width = image.shape[-2:]
    if min(height, width) < side:
        return
    rows = max(1, PLACES // ((width - side) // stride + 1))
    for top in range(0, height - side + 1, rows * stride):
        yield top, image[:, top : top + (rows - 1) * stride + side]


def cut(x: Tensor, side: int = SIDE, stride: int = STRIDE) -> Tensor:
    """The patches of x [n,3,H,W], a row of patches after another: [n * rows * columns,3,side,side]."""
    return F.unfold(x, side, stride=stride).transpose(1, 2).reshape(-1, 3, side, side)


@dataclass(frozen=True)
class Copying:
    """How near samples come to images they might be copied from, against fresh texture: 1 says as near as chance.

    `typical` is the ratio of median distances, `closest` that of the first percentiles. `coherence` is the share of
    neighbouring patches whose nearest ones are neighbours too: 1 for a copy; `fresh_coherence`, of the fresh texture.
    """

    typical: float
    closest: float
    coherence: float
    fresh_coherence: float


def copying(
    samples: Tensor, fresh: Tensor, images: Iterable[Tensor], side: int = SIDE, step: int = STRIDE, stride: int = 1
) -> Copying:
    """Compare samples and fresh texture, both [n,3,H,W] in [0,1], with the images that may have been copied from."""
    held = list(images)
    ours, theirs = (nearest(cut(x, side, step), held, stride) for x in (samples, fresh))
    return compared(ours, theirs, samples, fresh, side, step)


def compared(
    ours: Nearest, theirs: Nearest, samples: Tensor, fresh: Tensor, side: int = SIDE, step: int = STRIDE
) -> Copying:
    """`copying` of what was found for the patches that `cut` makes of samples and of fresh texture."""

    def ratio(share: float) -> float:
        return (ours.distance.quantile(share) / theirs.distance.quantile(share).clamp_min(1e-6)).item()

    together = [coherence(found, x, side, step) for found, x in ((ours, samples), (theirs, fresh))]
    return Copying(ratio(0.5), ratio(0.01), *together)


def coherence(found: Nearest, x: Tensor, side: int = SIDE, step: int = STRIDE) -> float:
    """Share of horizontal neighbours among the patches of x [n,3,H,W] that were found as neighbours, within a pixel."""
    rows, columns = ((length - side) // step + 1 for length in x.shape[-2:])
    place = found.place.reshape(len(x), rows, columns, 2)
    image = found.image.reshape(len(x), rows, columns)
    apart = place.diff(dim=2) - torch.tensor([0, step])
    together = (apart.abs() <= 1).all(-1) & (image.diff(dim=2) == 0)
    return together.float().mean().item()
