"""Sets of images on disk, one file a cell of a table, so that an interrupted table goes on where it was.

FOLDER/ROW/EXEMPLAR.npy holds uint8 [n,3,H,W]; the .json beside it, written last, its sha256 and how it was made. A cell
that was altered, or made in another way than is asked for, is refused and never mixed in. Features of a set are kept
in FOLDER/features under the digests of both, so that scoring again costs nothing.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.errors import TextureError
from lib.evaluation.features import Features
from lib.whole import write_whole


@dataclass(frozen=True, eq=False)
class Cell:
    """`images` uint8 [n,3,H,W], their sha256 (of the pixels alone), and the record that lies beside them."""

    images: Tensor
    sha256: str
    record: Mapping[str, Any]


def cell(folder: Path, row: str, exemplar: str, asked: Mapping[str, Any], make: Callable[[], Tensor]) -> Cell:
    """The set of this name, made and written if it is not there.

    Args:
        asked: what must be the same for a set to be taken, as plain values; it is written beside the set.

    Raises:
        TextureError: the set there was altered, or is of another making.
    """
    path = folder / row / f"{exemplar}.npy"
    beside = path.with_suffix(".json")
    asked = json.loads(json.dumps(dict(asked)))
    if not beside.exists():
        images = make()
        record = {"row": row, "exemplar": exemplar, **asked, "sha256": digest(images)}
        write_whole(path, lambda draft: _save(draft, images))
        write_whole(beside, lambda draft: draft.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8"))
        return Cell(images, record["sha256"], record)
    try:
        record, images = json.loads(beside.read_text(encoding="utf-8")), torch.from_numpy(np.load(path))
        altered = record.get("sha256") != digest(images)
    except (OSError, ValueError, EOFError, TypeError):
        altered = True
    if altered:
        raise TextureError(f"{path} is not what was written there; remove {beside.name} beside it to make it again")
    for key, value in asked.items():
        if record.get(key) != value:
            was = record.get(key)
            raise TextureError(f"{path} was made with {key} {was!r}, not {value!r}; remove it or name another folder")
    return Cell(images, record["sha256"], record)


def featured(folder: Path, images: Cell, features: Features) -> Tensor:
    """Features of a cell, [n,dim] float64, read where they have been computed before."""
    key = hashlib.sha256(f"{features.name} {features.sha256} {images.sha256}".encode()).hexdigest()[:24]
    path = folder / "features" / f"{key}.npy"
    if path.exists():
        return torch.from_numpy(np.load(path))
    found = features(images.images)
    write_whole(path, lambda draft: _save(draft, found))
    return found


def digest(images: Tensor) -> str:
    """sha256 of shape and pixels."""
    return hashlib.sha256(f"{list(images.shape)}".encode() + images.contiguous().numpy().tobytes()).hexdigest()


def _save(draft: Path, values: Tensor) -> None:
    with draft.open("wb") as file:
        np.save(file, values.contiguous().numpy())
