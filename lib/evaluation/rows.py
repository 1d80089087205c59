"""Results of evaluations on disk: rows of a dataclass in one file, .json or .csv, and the pictures that they tell of.

A file is written whole after each row, so that an interrupted command goes on where it was; the same readers serve the
results that come with the library.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image
from torch import Tensor

from lib.errors import TextureError
from lib.evaluation.protocol import bytes_of
from lib.images import read_image
from lib.whole import write_whole

T = TypeVar("T")
ASKED = "asked.json"
KINDS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG", "optimize": True},
    ".jpg": {"format": "JPEG", "quality": 92, "subsampling": 0},
}


def read(path: Path, row: Callable[..., T], command: str) -> list[T]:
    """The rows of a file, each `row(**values)`; a dataclass turns the texts of a .csv into the types of its fields.

    Raises TextureError, which names the `command` that writes one, where there is none or another.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            if path.suffix == ".json":
                return [row(**values) for values in json.load(file)]
            kinds: dict[str, Any] = {field.name: field.type for field in fields(row)}  # type: ignore[arg-type]
            return [row(**{name: kinds[name](text) for name, text in texts.items()}) for texts in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, KeyError):
        folder = path.parent
        raise TextureError(f"{folder} holds no {path.name}; python -m {command} {folder} writes one") from None


def agreed(folder: Path, asked: Mapping[str, Any]) -> None:
    """Remember in `folder` what all rows of its table are asked for, beyond what they say; refuse what differs.

    Raises TextureError for another size, seed, network, ... than the rows there were made with.
    """
    path = folder / ASKED
    asked = json.loads(json.dumps(dict(asked)))
    if not path.exists():
        write_whole(path, lambda draft: draft.write_text(json.dumps(asked, indent=1) + "\n", encoding="utf-8"))
    try:
        was = dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError:
        raise TextureError(f"{path} is damaged; remove it if the rows beside it were made as is asked now") from None
    for name, value in asked.items():
        if was.get(name) != value:
            raise TextureError(f"{folder} has rows of {name} {was.get(name)!r}, not {value!r}; name another folder")


def write(path: Path, rows: Sequence[Any]) -> None:
    """The file anew, whole or not at all."""
    write_whole(path, lambda draft: _put(draft, [asdict(row) for row in rows], path.suffix))


def write_picture(path: Path, x: Tensor) -> str:
    """[3,H,W] in [0,1] as .png or .jpg, rounded to 8 bits, whole or not at all; returns the file's sha256."""
    pixels = Image.fromarray(bytes_of(x).permute(1, 2, 0).numpy())
    write_whole(path, lambda draft: pixels.save(draft, **KINDS[path.suffix]))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def picture(path: Path, sha256: str, table: str) -> Tensor:
    """[3,H,W] in [0,1]; TextureError unless the file is the one that `table` tells of."""
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise TextureError(f"{path} is not the picture that {table} tells of; get it again")
    return read_image(path)


def _put(draft: Path, rows: list[dict[str, Any]], suffix: str) -> None:
    with draft.open("w", encoding="utf-8", newline="") as file:
        if suffix == ".json":
            lines = ",\n ".join(json.dumps(row) for row in rows)
            file.write(f"[{lines}]\n")
        else:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
