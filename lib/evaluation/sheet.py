"""Photographs that nobody trained on, and what several models make of each: pictures to be looked at.

    python -m lib.evaluation.sheet OUT --images PHOTOGRAPHS

From the middle of each photograph, 128x128 pixels at half its resolution where it is large enough for that, and one
sample of the same size by each model. Rows are written as they are done, so the same command goes on where it was.
"""

import sys
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
from lib.images import ENDINGS, image_files, read_image
from lib.models import synthesize

SHIPPED = Path(__file__).parent / "shipped" / "held_out"
TABLE = "sheet.json"
COMPARED = ("matching", "diffusion", "principal", "gatys", "portilla-simoncelli")
GIVEN: dict[str, dict[str, Any]] = {"gatys": {"backbone": "untrained"}}
SIZE = 128  # pixels


@dataclass(frozen=True)
class Row:
    """A photograph, and its samples by COMPARED from left to right in one picture with it."""

    name: str
    seed: int
    models: list[str]
    picture: str
    sha256: str


def shipped(folder: Path = SHIPPED) -> list[Row]:
    """The rows of a run; those that come with the library unless another folder is named."""
    return rows_of.read(folder / TABLE, Row, "lib.evaluation.sheet")


def pictures(row: Row, folder: Path = SHIPPED) -> Tensor:
    """The photograph and its samples, [1 + models,3,128,128] in [0,1]; TextureError for a file that was altered."""
    strip = rows_of.picture(folder / row.picture, row.sha256, TABLE)
    return strip.unflatten(-1, (-1, SIZE)).permute(2, 0, 1, 3)


def middle(x: Tensor) -> Tensor:
    """The middle of a photograph [3,H,W], at half its resolution if it is twice as large as needed: [3,128,128]."""
    if min(x.shape[-2:]) >= 2 * SIZE:
        x = F.avg_pool2d(x, 2)
    top, left = ((side - SIZE) // 2 for side in x.shape[-2:])
    return x[:, top : top + SIZE, left : left + SIZE]


def sheet(
    out: Annotated[Path, typer.Argument(help="Folder of the pictures.")],
    images: Annotated[Path, typer.Option(help="Folder of photographs of at least 128 pixels a side.")],
    most: Annotated[int, typer.Option(min=1, help="Photographs, the first by name.")] = 18,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise that samples start from.")] = 0,
) -> None:
    """Make what is missing, photograph by photograph."""
    paths = image_files(images, below=False)[:most]
    if not paths:
        raise TextureError(f"{images} holds no photographs ({', '.join(ENDINGS)}); name a folder that has some")
    found = shipped(out) if (out / TABLE).exists() else []
    for path in paths:
        if any((row.name, row.seed) == (path.stem, seed) for row in found):
            continue
        x0 = read_image(path)
        if min(x0.shape[-2:]) < SIZE:
            raise TextureError(f"{path} has {x0.shape[-2]}x{x0.shape[-1]} pixels; {SIZE} a side are needed")
        x0 = middle(x0)
        samples = [synthesize(x0, name, seed=seed, **GIVEN.get(name, {}))[0] for name in COMPARED]
        picture = f"{path.stem}-{seed}.jpg"
        sha256 = rows_of.write_picture(out / picture, torch.cat([x0, *samples], -1))
        found.append(Row(path.stem, seed, list(COMPARED), picture, sha256))
        rows_of.write(out / TABLE, found)
        print(path.stem, file=sys.stderr, flush=True)
    print(out / TABLE)


if __name__ == "__main__":
    run(sheet)
