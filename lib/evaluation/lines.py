"""Five lines between two textures on one scale: in mu, bent and straight, in lambda, in Gram matrices, in pixels.

    python -m lib.evaluation.lines OUT

At t = 0, 1/6, ..., 1 stands an image each, all of a line from the same noise: by matching along the line that transport
bends and along the straight one (Eq. 5), by diffusion along the straight one in lambda, by descent on Gram matrices of
the untrained network (lib/models/gatys.py), and the photographs mixed; beside them a collage, whose border slides from
the one to the other, to say what falling into parts is. They are judged by Portilla & Simoncelli's joint statistics of
wavelet coefficients, in which none of them is a straight line. An image is described by its quarters, each statistic in
units of its spread over pieces of the two photographs:

    position         how far the mean of the quarters has come from the one photograph to the other
    unevenness       variance between the quarters, over that between the photographs'; above 1, it falls into parts

and as a whole by the criterion that photographs to learn from are chosen by (lib/dataset/criterion.py):

    heterogeneity    over its limit; above 1, the image would not be let in

Images are judged as they come, after their JPEG.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from lib.command import run
from lib.errors import TextureError
from lib.evaluation import path as paths
from lib.evaluation import rows as rows_of
from lib.evaluation.protocol import even_crops
from lib.images import exemplar
from lib.interpolate import interpolate
from lib.models.gatys import gatys_between_steps
from lib.samplers.step import last
from lib.statistics.portilla import PortillaSimoncelli
from lib.statistics.quadratic import periodic_component
from lib.training.checkpoint import load

SHIPPED = Path(__file__).parent / "shipped" / "lines"
TABLE = "lines.json"
SPACES = ("transport", "mu", "lambda", "gram", "pixels", "collage")
PAIRS = ("pebble-grass", "cloth-marble", "flower-glitter")
STEPS = 6  # N of Eq. 5
SIZE = 128
SCALES = 3  # of the pyramid: as many as a quarter holds
PIECES = 24  # of each photograph, for the spread
ASLEEP = 0.1  # of the median spread, the least that a statistic is given


@dataclass(frozen=True)
class Row:
    """A line, and its image at each t. Its picture has them side by side."""

    a: str
    b: str
    space: str
    seed: int
    position: list[float]  # 0 is a, 1 is b
    unevenness: list[float]  # 1 is a's and b's own
    heterogeneity: list[float]  # 1 is the limit
    backward: float  # share of the change that leads back; 0 when the position is monotone
    largest: float  # the largest step, over an even one; 1 when the change is smooth
    picture: str
    sha256: str

    @property
    def apart(self) -> float:
        """The largest unevenness between the ends, over theirs, which are models of a and b and may be uneven too."""
        last = len(self.unevenness) - 1
        first, *between, end = self.unevenness
        return max(u / ((1 - i / last) * first + i / last * end) for i, u in enumerate(between, 1))


class Quarters:
    """Portilla-Simoncelli statistics of an image's quarters, in units of their spread over pieces of photographs."""

    @torch.no_grad()
    def __init__(self, photographs: Sequence[Tensor], side: int) -> None:
        """Of quarters `side` pixels a side; photographs [3,H,W], each of which counts as much."""
        self.side, self.f = side, PortillaSimoncelli((side, side), SCALES)
        pieces = [even_crops(x, side, PIECES).float() / 255 for x in photographs]
        spread = torch.stack([self.of(p).var(0) for p in pieces]).mean(0).sqrt()
        self.spread = spread.clamp_min(ASLEEP * spread.median())

    def of(self, pieces: Tensor) -> Tensor:
        """f without units: [n,3,side,side] -> [n,d]."""
        return torch.cat([self.f(periodic_component(x[None])) for x in pieces])

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """[n,3,2 side,2 side] -> [n,4,d]."""
        s = self.side
        corners = [(top, left) for top in (0, s) for left in (0, s)]
        return torch.stack([self.of(x[..., i : i + s, j : j + s]) for i, j in corners], 1) / self.spread


def images_of(xa: Tensor, xb: Tensor, space: str, steps: int = STEPS, seed: int = 0) -> Tensor:
    """steps + 1 images [steps+1,3,H,W] from xa to xb, both [3,H,W] in [0,1], on the straight line in one of SPACES."""
    if space not in SPACES:
        raise TextureError(f"no space {space!r}; known are {', '.join(SPACES)}")
    if space == "pixels":
        return paths.blend_pixels(xa, xb, steps)
    if space == "collage":
        return torch.stack([paths.collage(xa, xb, i / steps) for i in range(steps + 1)])
    if space == "gram":
        walks = [gatys_between_steps(xa, xb, i / steps, seed=seed, backbone="untrained") for i in range(steps + 1)]
        return torch.cat([last(walk) for walk in walks])
    return interpolate(load(), xa, xb, steps, space, seed)


def judged(x: Tensor, xa: Tensor, xb: Tensor, quarters: Quarters) -> tuple[paths.Way, Tensor]:
    """The way of images x [n,3,H,W] between two photographs [3,H,W] of their size, and the unevenness [n] of each."""
    g, a, b = quarters(x), *quarters(torch.stack([xa, xb]))
    return paths.way(g.mean(1), a.mean(0), b.mean(0)), paths.unevenness(g, a, b)


def shipped(folder: Path = SHIPPED) -> list[Row]:
    """The rows of a run; those that come with the library unless another folder is named.

    Raises TextureError where there are none.
    """
    return rows_of.read(folder / TABLE, Row, "lib.evaluation.lines")


def pictures(row: Row, folder: Path = SHIPPED) -> Tensor:
    """The images of a line [n,3,H,H] in [0,1]; TextureError if the file is not the one that was written."""
    return _apart(rows_of.picture(folder / row.picture, row.sha256, TABLE))


def compare(
    out: Annotated[Path, typer.Argument(help="Folder of the rows and the pictures.")],
    pair: Annotated[list[str] | None, typer.Option(help="Of exemplars, A-B; may be repeated.")] = None,
    space: Annotated[list[str] | None, typer.Option(help="May be repeated; default: all.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """A line in each space for each pair; those that are there are not drawn again."""
    rows = shipped(out) if (out / TABLE).exists() else []
    for a, b in (tuple(names.partition("-")[::2]) for names in pair or PAIRS):
        photographs = exemplar(a), exemplar(b)
        xa, xb = (x[:, :SIZE, :SIZE] for x in photographs)
        quarters = Quarters(photographs, SIZE // 2)
        for kind in space or SPACES:
            if any((r.a, r.b, r.space, r.seed) == (a, b, kind, seed) for r in rows):
                continue
            print(f"{a} to {b}, {kind}", file=sys.stderr, flush=True)
            strip = torch.cat([*images_of(xa, xb, kind, seed=seed)], -1)
            name = f"{a}-{b}-{kind}-{seed}.jpg"
            digest = rows_of.write_picture(out / name, strip)
            images = _apart(rows_of.picture(out / name, digest, TABLE))
            way, uneven = judged(images, xa, xb, quarters)
            found = way.position, uneven, paths.heterogeneity(images)
            position, parts, heterogeneity = ([round(value, 4) for value in values.tolist()] for values in found)
            backward, smooth = round(way.backward, 4), round(way.largest * STEPS, 4)
            rows.append(Row(a, b, kind, seed, position, parts, heterogeneity, backward, smooth, name, digest))
            rows_of.write(out / TABLE, rows)


def _apart(strip: Tensor) -> Tensor:
    return torch.stack(strip.split(strip.shape[1], -1))


if __name__ == "__main__":
    run(compare)
