"""Two models of texture held against each other by the images on which they disagree most (Wang & Simoncelli 2008).

    python -m lib.evaluation.mad OUT                    the learned statistics against Gatys' and Portilla-Simoncelli's

A model's statistics f give a distance of images x and y as textures,

    D(x, y) = root of the mean over statistics of ((f(x) - f(y)) / s)^2,

s the spread of each statistic over crops of one photograph: at D of about 1.4, two images differ as two pieces of it.
From one distorted image, D of one model from the photograph x0 is driven as low and as high as it goes while D of the
other is held; then the other way round. If the eye sees a great difference between two images that a model holds for
equally far, that model misses what they differ in.

The search is plenoptic's `MADCompetition`: gradient descent of log(1 + D), the held distance kept by a penalty, nearly.
What was reached is part of the result.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import plenoptic
import torch
import typer
from torch import Tensor

from lib.command import run
from lib.errors import TextureError
from lib.evaluation import rows as rows_of
from lib.evaluation.protocol import bytes_of, even_crops
from lib.images import exemplar
from lib.statistics.gram import Gram
from lib.statistics.portilla import PortillaSimoncelli
from lib.training.checkpoint import load

SHIPPED = Path(__file__).parent / "shipped" / "mad"
TABLE = "mad.json"
OURS, THEIRS = "learned", ("gram", "portilla-simoncelli")
CROPS = 32
ASLEEP = 0.1  # of the median spread, the least that a statistic is given: one that rests here would outweigh all
NOISE = 0.08  # pixel units, standard deviation of the first image's distance from x0
ITERATIONS = 150
RATE = 0.01  # pixel units, of Adam
KEPT = 100.0  # weight of the held distance's change, squared, against the driven one's; both in logarithms

Statistics = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Distance:
    """D by one model's statistics f, in units of their `spread` [d] over pieces of a photograph."""

    name: str
    f: Statistics
    spread: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, name: str, f: Statistics, photograph: Tensor, side: int) -> "Distance":
        """Spread over pieces of `side` pixels of `photograph` [3,H,W]; TextureError if it holds none."""
        s = torch.cat([f(piece[None].float() / 255) for piece in even_crops(photograph, side, CROPS)]).std(0)
        return cls(name, f, s.clamp_min(ASLEEP * s.median()).clamp_min(1e-12))

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Of two images [1,3,H,W], a number; x is taken for fixed."""
        with torch.no_grad():
            mu = self.f(x)
        return ((self.f(y) - mu) / self.spread).square().mean().sqrt()


@dataclass(frozen=True)
class Rival:
    """An image of the competition and D of both models from the photograph, before and after the search."""

    exemplar: str
    held: str
    driven: str
    sense: str  # "min" or "max"
    held_before: float
    held_after: float
    driven_before: float
    driven_after: float
    iterations: int
    picture: str = ""
    sha256: str = ""


def rival(
    x0: Tensor,
    held: Distance,
    driven: Distance,
    sense: str,
    iterations: int = ITERATIONS,
    seed: int = 0,
    name: str = "",
) -> tuple[Rival, Tensor]:
    """The image of least ("min") or largest ("max") distance by `driven`, as far by `held` as x0 [3,H,W] with noise.

    Returns:
        what was reached, and the image [3,H,W] in [0,1], rounded to 8 bits.
    """
    if sense not in ("min", "max"):
        raise TextureError(f"sense is {sense!r}; give min or max")
    plenoptic.set_seed(seed)
    logs = ((lambda x, y, d=d: d(x, y).log1p()) for d in (driven, held))  # of one scale, however far they are driven
    search = plenoptic.MADCompetition(x0[None], *logs, sense, metric_tradeoff_lambda=KEPT)
    search.setup(NOISE, optimizer=torch.optim.Adam, optimizer_kwargs={"lr": RATE})
    start = search.mad_image.detach().clone()
    search.synthesize(iterations)
    image = bytes_of(search.mad_image.detach()).float() / 255
    with torch.no_grad():
        kept, moved = ([round(d(x0[None], x).item(), 4) for x in (start, image)] for d in (held, driven))
    row = Rival(name, held.name, driven.name, sense, kept[0], kept[1], moved[0], moved[1], iterations)
    return row, image[0]


def models(x0: Tensor) -> dict[str, Statistics]:
    """The learned statistics and their rivals, for images of the size of x0 [3,H,W]."""
    height, width = x0.shape[-2:]
    return {
        OURS: load().statistics.requires_grad_(False),
        THEIRS[0]: Gram("untrained"),
        THEIRS[1]: PortillaSimoncelli((height, width)),
    }


def shipped(folder: Path = SHIPPED) -> list[Rival]:
    """The rows of a run; those that come with the library unless another folder is named.

    Raises TextureError where there are none.
    """
    return rows_of.read(folder / TABLE, Rival, "lib.evaluation.mad")


def picture(row: Rival, folder: Path = SHIPPED) -> Tensor:
    """[3,H,W] in [0,1]; TextureError if the file is not the one that was written."""
    return rows_of.picture(folder / row.picture, row.sha256, TABLE)


def competition(
    out: Annotated[Path, typer.Argument(help="Folder of the images and the table of distances.")],
    name: Annotated[
        list[str] | None, typer.Option("--exemplar", help="May be repeated; default: pebble, cloth.")
    ] = None,
    size: Annotated[int, typer.Option(min=112, help="Pixels a side, a multiple of 16.")] = 128,
    iterations: Annotated[int, typer.Option(min=1)] = ITERATIONS,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Eight images for each exemplar; those that are there are not made again."""
    rows_of.agreed(out, {"size": size, "iterations": iterations, "seed": seed})
    rows = shipped(out) if (out / TABLE).exists() else []
    for e in name or ["pebble", "cloth"]:
        photograph = exemplar(e)
        x0 = photograph[:, :size, :size]
        distances = {kind: Distance.of(kind, f, photograph, size) for kind, f in models(x0).items()}
        for other in THEIRS:
            for held, driven in ((OURS, other), (other, OURS)):
                for sense in ("min", "max"):
                    if any((r.exemplar, r.held, r.driven, r.sense) == (e, held, driven, sense) for r in rows):
                        continue
                    print(f"{e}: {held} held, {driven} {sense}", file=sys.stderr, flush=True)
                    row, image = rival(x0, distances[held], distances[driven], sense, iterations, seed, e)
                    path = out / f"{e}-{held}-held-{driven}-{sense}.png"
                    rows.append(replace(row, picture=path.name, sha256=rows_of.write_picture(path, image)))
                    rows_of.write(out / TABLE, rows)


if __name__ == "__main__":
    run(competition)
