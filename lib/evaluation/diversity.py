"""How various a model's textures are: as much as pieces of the exemplar, or one and the same again?

A model that remembers one picture makes no mistake and no texture: a generator's known failure ("mode collapse"), and
what a search may do whose statistics outnumber the pixels. Three measures, each 1 for a model as various as its
exemplar and 0 for one that repeats itself:

    places        variance of a pixel from sample to sample, over the variance of the exemplar's pixels
    statistics    spread of f over samples, over its spread over pieces of the exemplar: the median of all f_k
    spread        mean squared distance of features from their mean (the trace of a covariance), over that of crops

Pieces of one photograph overlap, and may differ in lighting, so that the last two can be below 1 for good textures.
Matching fixes statistics, so it shares what little its statistics leave open. That samples differ from each other does
not make them new; what they may be copied from is asked in lib/evaluation/copying.py, and told here beside it:

    python -m lib.evaluation.diversity OUT                   of the samples that come with the library
    python -m lib.evaluation.diversity OUT --images FOLDER   with the nearest patches in a folder of training images too
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
import typer
from torch import Tensor

from lib.command import run
from lib.energy import Statistics
from lib.errors import TextureError
from lib.evaluation import rows as rows_of
from lib.evaluation import shipped as shipping
from lib.evaluation.copying import SIDE, Copying, Nearest, compared, copying, cut, nearest
from lib.evaluation.protocol import SOURCES, halves
from lib.evaluation.scores import FLOOR
from lib.images import exemplar, image_files, read_image
from lib.statistics.quadratic import periodic_component

SHIPPED = Path(__file__).parent / "shipped"
TABLE = "diversity.json"
LEARNED = ("matching", "diffusion")  # what was trained on photographs
CONTROL = "portilla-simoncelli"  # what was not: its distance from them is no memory
HALF = SIDE // 2  # a patch in pictures of half the size, where every second place is searched
ASKED = 2  # samples a cell, of the first sources, whose patches are looked for in training images


def places(samples: Tensor, x0: Tensor) -> float:
    """Of samples [n,3,H,W] of one seed each, and the exemplar [3,H',W']."""
    _several("samples", samples)
    return (samples.var(0).mean() / x0.flatten(1).var(1).mean()).item()


@torch.no_grad()
def statistics(f: Statistics, samples: Tensor, pieces: Tensor) -> float:
    """Of samples [n,3,H,W] and pieces [m,3,H,W] of the exemplar, of one size, by statistics f."""
    _several("samples", samples)
    _several("pieces", pieces)
    made, real = (torch.cat([f(periodic_component(x[None])) for x in batch]).std(0) for batch in (samples, pieces))
    return (made / real.clamp_min(1e-12)).median().item()


def _several(name: str, x: Tensor) -> None:
    if len(x) < 2:
        raise TextureError(f"{name} are {len(x)}; give at least 2 to see them vary")


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
class Row:
    """One cell of Table 1: shares of the crops' spread, and copying from the half that the model saw.

    `trained` is copying from the training images, None where none were named or nothing was trained.
    """

    model: str
    exemplar: str
    spread: Spread
    copying: Copying
    trained: Copying | None = None


def row(model: str, name: str, samples: Path = shipping.SHIPPED) -> Row:
    """Of samples that come with the library, one of each source for the copies."""
    x, fresh = (_first(of, name, samples) for of in (model, shipping.REFERENCE))
    f, f_crops = (shipping.values_of(of, name, None, samples) for of in (model, FLOOR))
    found = copying(x, fresh, [halves(exemplar(name))[0]], step=SIDE)
    return Row(model, name, spread(f, f_crops, SOURCES), found)


def from_training(
    models: Sequence[str], name: str, training: Sequence[Tensor], samples: Path = shipping.SHIPPED
) -> dict[str, Copying]:
    """How near samples of each model come to training images, both at half their size, which learning saw too."""
    images = [halved(_first(of, name, samples)[:ASKED]) for of in (*models, shipping.REFERENCE)]
    patches = [cut(x, HALF, HALF) for x in images]
    found = nearest(torch.cat(patches), training, 2)  # at once: it is the walk through the images that takes long
    lengths = [len(p) for p in patches]
    apart = (found.distance.split(lengths), found.image.split(lengths), found.place.split(lengths))
    *ours, theirs = (Nearest(*parts) for parts in zip(*apart, strict=True))
    *made, fresh = images
    return {of: compared(near, theirs, x, fresh, HALF, HALF) for of, near, x in zip(models, ours, made, strict=True)}


def halved(x: Tensor) -> Tensor:
    """Each pixel the mean of four, the last of an odd number left out: [...,3,H,W] -> [...,3,H/2,W/2]."""
    return F.avg_pool2d(x, 2)


def _first(model: str, name: str, samples: Path) -> Tensor:
    """A sample of each source [8,3,H,W] in [0,1]."""
    return shipping.images(model, name, samples).images[:SOURCES].float() / 255


def shipped(folder: Path = SHIPPED) -> list[Row]:
    """The rows of a run; those that come with the library unless another folder is named.

    Raises TextureError where there are none.
    """
    return rows_of.read(folder / TABLE, _row, "lib.evaluation.diversity")


def _row(spread: dict[str, float], copying: dict[str, float], trained: dict[str, float] | None, **rest: Any) -> Row:
    near = Copying(**trained) if trained else None
    return Row(spread=Spread(**spread), copying=Copying(**copying), trained=near, **rest)


def report(
    out: Annotated[Path, typer.Argument(help="Folder of the table.")],
    images: Annotated[Path | None, typer.Option(help="Folder of images that the model was trained on.")] = None,
) -> None:
    """Spread and copying of each cell that comes with the library; the crops themselves in the row "floor"."""
    rows = {(r.model, r.exemplar): r for r in shipped(out)} if (out / TABLE).exists() else {}
    listed = shipping.index()
    training = photographs(images) if images else []
    for name in listed["exemplars"]:
        for model in (m for m in listed["rows"] if m != shipping.REFERENCE):
            if (model, name) not in rows:
                rows[model, name] = found = row(model, name)
                rows_of.write(out / TABLE, list(rows.values()))
                said = f"spread {found.spread.total:5.2f}  near {found.copying.typical:5.2f}"
                print(f"{model:<20} {name:<8} {said}", flush=True)
        asked = [m for m in (*LEARNED, CONTROL) if training and not rows[m, name].trained]
        for model, near in from_training(asked, name, training).items() if asked else ():
            rows[model, name] = replace(rows[model, name], trained=near)
            rows_of.write(out / TABLE, list(rows.values()))
            print(f"{model:<20} {name:<8} from training images {near.typical:5.2f}", flush=True)


def photographs(folder: Path) -> list[Tensor]:
    """The images of a folder and those below it, halved; TextureError if there are none."""
    paths = image_files(folder)
    if not paths:
        raise TextureError(f"{folder} holds no JPEG or PNG; name the folder of the training images")
    return [halved(read_image(path)) for path in paths]


if __name__ == "__main__":
    run(report)
