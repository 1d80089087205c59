"""Are samples new? How far they spread beside crops of the exemplar, and whether any patch of theirs was copied.

Spread is the mean squared distance of features from their mean, the trace of a covariance. Samples of one exemplar are
held against crops of its texture: a share near one says that the model varies as the texture does; near zero, that it
makes one picture again and again. Matching fixes statistics, so it shares what little its statistics leave open.

Copies are looked for patch by patch: the root mean square difference of a patch from the most similar one in the
exemplar (or in any other images, the training set among them). What is near is told by patches that cannot be copies:
those of another piece of the same texture, which the model has not seen. A copied patch is far nearer than these, and
its neighbours are copied from beside it, at the same offset; this coherence is what verbatim copying cannot hide.

    python -m lib.evaluation.diversity OUT                   of the samples that come with the library
    python -m lib.evaluation.diversity OUT --images FOLDER   with the distance from a folder of training images too
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
import typer
from torch import Tensor

from lib.command import run
from lib.errors import TextureError
from lib.evaluation import rows as rows_of
from lib.evaluation import shipped as shipping
from lib.evaluation.protocol import SOURCES, halves
from lib.evaluation.scores import FLOOR
from lib.images import exemplar, read_image

SHIPPED = Path(__file__).parent / "shipped"
TABLE = "diversity.json"

SIDE = 16  # pixels of a patch: a blade, a thread, a spark
STRIDE = 8
PLACES = 4096  # compared at a time


@dataclass(frozen=True)
class Spread:
    """Share of the crops' spread that samples have: `total` over all, `within` over those of one exemplar each."""

    total: float
    within: float


def spread(samples: Tensor, crops: Tensor, sources: int) -> Spread:
    """Of features [n,d] of samples, the k-th of `sources` exemplars every so many rows, and of crops [m,d].

    That is the order of `protocol.py`. Raises TextureError unless each source has the same number, two or more.
    """
    if len(samples) % sources or len(samples) < 2 * sources or len(crops) < 2:
        raise TextureError(f"{len(samples)} samples of {sources} exemplars; give as many of each, two or more")
    of_crops = variance(crops).clamp_min(1e-30)
    within = torch.stack([variance(samples[k::sources]) for k in range(sources)]).mean()
    return Spread((variance(samples) / of_crops).item(), (within / of_crops).item())


def variance(f: Tensor) -> Tensor:
    """Trace of the covariance of [n,d], without bias."""
    return f.double().var(0).sum()


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
            squares, at = (held.square().sum(0) - 2 * moved @ held).min(1)
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


@dataclass(frozen=True)
class Row:
    """One cell of Table 1: shares of the crops' spread, and copying from the half that the model saw.

    `trained` is the ratio of median distances from the training images, 0 where none were named.
    """

    model: str
    exemplar: str
    spread: Spread
    copying: Copying
    trained: float = 0.0


def row(model: str, name: str, training: list[Tensor], samples: Path = shipping.SHIPPED) -> Row:
    """Of samples that come with the library, one of each source for the copies."""
    ours, fresh = (shipping.images(of, name, samples).images for of in (model, shipping.REFERENCE))
    f, f_crops = (shipping.values_of(of, name, None, samples) for of in (model, FLOOR))
    x, y = ours[:SOURCES].float() / 255, fresh[:SOURCES].float() / 255
    found = copying(x, y, [halves(exemplar(name))[0]], step=SIDE)
    trained = 0.0
    if training:
        near = [nearest(cut(z, SIDE, SIDE), training, 4).distance.median() for z in (x, y)]
        trained = (near[0] / near[1]).item()
    return Row(model, name, spread(f, f_crops, SOURCES), found, trained)


def shipped(folder: Path = SHIPPED) -> list[Row]:
    """The rows of a run; those that come with the library unless another folder is named.

    Raises TextureError where there are none.
    """
    return rows_of.read(folder / TABLE, _row, "lib.evaluation.diversity")


def _row(spread: dict[str, float], copying: dict[str, float], **rest: Any) -> Row:
    return Row(spread=Spread(**spread), copying=Copying(**copying), **rest)


def report(
    out: Annotated[Path, typer.Argument(help="Folder of the table.")],
    images: Annotated[Path | None, typer.Option(help="Folder of images that the model was trained on.")] = None,
) -> None:
    """Spread and copying of each cell that comes with the library; the crops themselves in the row "floor"."""
    rows = shipped(out) if (out / TABLE).exists() else []
    listed = shipping.index()
    paths = sorted(p for p in images.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png")) if images else []
    if images and not paths:
        raise TextureError(f"{images} holds no JPEG or PNG; name the folder of the training images")
    training = [read_image(path) for path in paths]
    for name in listed["exemplars"]:
        for model in (m for m in listed["rows"] if m != shipping.REFERENCE):
            if not any((r.model, r.exemplar) == (model, name) for r in rows):
                rows.append(found := row(model, name, training))
                rows_of.write(out / TABLE, rows)
                print(
                    f"{model:<20} {name:<8} spread {found.spread.total:5.2f}  near {found.copying.typical:5.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    run(report)
