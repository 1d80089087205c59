"""Is an exemplar, or something that looks like one, among the training pictures? Perceptual hashes tell.

A hash has 64 bits: which of the lowest 8 x 8 cosine coefficients of a 32 x 32 grey thumbnail lie above their
median (Zauner 2010). Unrelated pictures differ in about 32 bits, two codings of one picture in a few.
training_hashes.tsv holds those of every training picture, so that the question can be asked where the
pictures are not at hand.

    python -m lib.exemplars.hashes FOLDER [FOLDER ...]      write training_hashes.tsv anew
"""

import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from lib.errors import TextureError
from lib.images import image_files, read_image

INDEX = Path(__file__).parent / "training_hashes.tsv"
NEAR = 8  # bits; by chance one pair in a hundred million is as close


def hashes(x: torch.Tensor) -> list[int]:
    """Eleven hashes of an image [3, H, W] in [0, 1], integers of 64 bits.

    The whole, then the centre and the four corners at 3/4 and at 1/2 of each side. Raises TextureError for
    another shape.
    """
    if x.ndim != 3 or x.shape[0] != 3:
        raise TextureError(f"the image has shape {list(x.shape)}; give one image [3, H, W].")
    grey = x.mean(0)
    height, width = grey.shape
    parts = [grey]
    for share in (0.75, 0.5):
        h, w = int(share * height), int(share * width)
        for down, right in ((0.5, 0.5), (0, 0), (0, 1), (1, 0), (1, 1)):
            top, left = int(down * (height - h)), int(right * (width - w))
            parts.append(grey[top : top + h, left : left + w])
    return [_hash(part) for part in parts]


def _hash(grey: torch.Tensor) -> int:
    small = torch.nn.functional.interpolate(grey[None, None], (32, 32), mode="bilinear", antialias=True)[0, 0]
    cosines = _cosines()
    low = (cosines @ small.double().numpy() @ cosines.T).ravel()
    return int("".join("1" if bit else "0" for bit in low > np.median(low)), 2)


@lru_cache(maxsize=1)
def _cosines() -> np.ndarray:
    """The first eight rows of the 32-point cosine transform."""
    return np.cos(np.pi / 32 * np.outer(np.arange(8), np.arange(32) + 0.5))


def near(x: torch.Tensor, index: dict[str, list[int]], most: int = NEAR) -> list[tuple[str, int]]:
    """Pictures of `index` (name -> hashes) that look like the image [3, H, W] or a part of it.

    Also if they are turned by quarters or mirrored. Each with the distance in bits, closest first.
    """
    names = list(index)
    rows = np.array([index[name] for name in names], dtype=np.uint64)
    turned = [torch.rot90(y, k, (1, 2)) for y in (x, x.flip(2)) for k in range(4)]
    mine = np.array([h for y in turned for h in hashes(y)], dtype=np.uint64)
    closest = np.full(len(names), 64)
    for h in mine:
        closest = np.minimum(closest, np.bitwise_count(rows ^ h).min(axis=1))
    return sorted(
        ((names[i], int(closest[i])) for i in np.flatnonzero(closest <= most)), key=lambda pair: pair[1]
    )


def read_index(path: Path = INDEX) -> dict[str, list[int]]:
    """The hashes of a file that `write_index` made: name of picture -> eleven integers."""
    index = {}
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        name, *row = line.split("\t")
        index[name] = [int(h, 16) for h in row]
    return index


def write_index(folders: Iterable[Path], path: Path = INDEX) -> int:
    """Hash every picture under the folders into one tab-separated file; returns how many there were.

    A picture is named by its folder's name and its place in it, so that the file says nothing of the machine.
    """
    lines = [
        "\t".join(
            ["picture", "whole", *(f"{s}_{p}" for s in (75, 50) for p in ("c", "nw", "ne", "sw", "se"))]
        )
    ]
    for name, file in _pictures(folders):
        lines.append("\t".join([name, *(f"{h:016x}" for h in hashes(read_image(file)))]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines) - 1


def _pictures(folders: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    for folder in folders:
        if not folder.is_dir():
            raise TextureError(f"{folder} is not a folder; name folders of pictures.")
        for file in image_files(folder):
            yield f"{folder.resolve().name}/{file.relative_to(folder).as_posix()}", file


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit("Which pictures? python -m lib.exemplars.hashes FOLDER [FOLDER ...]")
    print(f"{write_index([Path(name) for name in sys.argv[1:]])} pictures in {INDEX.name}")
