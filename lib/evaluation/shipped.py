"""The samples that come with the library, so that Table 1 can be computed, reduced, without making them again.

    python -m lib.evaluation.shipped CELLS              pack what `python -m lib.evaluation.table CELLS` has made

shipped/samples holds one JPEG a cell, 4 samples a row, and samples.json: how each was made, and its sha256. All cells
go through the same JPEG, reference and floor among them, so that the distances compare like with like; they are not
those of the samples before. features.npz has the features of the network that its rows name, float16, for those who do
not have its weights.
"""

import hashlib
import io
import json
import sys
from collections.abc import Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any
from zipfile import BadZipFile

import numpy as np
import torch
import typer
from PIL import Image
from torch import Tensor

from lib.command import run
from lib.errors import TextureError
from lib.evaluation.cells import Cell, digest
from lib.evaluation.features import Features, load_features
from lib.evaluation.protocol import Protocol
from lib.evaluation.scores import FLOOR, scores
from lib.evaluation.table import REFERENCE, ROWS, Scores, as_csv, as_markdown, curve
from lib.images import EXEMPLARS
from lib.whole import write_whole

SHIPPED = Path(__file__).parent / "shipped" / "samples"
INDEX, FEATURES = "samples.json", "features.npz"
COLUMNS, QUALITY = 4, 80  # samples a row of a sheet; of the JPEGs, whose colours are not subsampled

Index = Mapping[str, Any]


def index(folder: Path = SHIPPED) -> Index:
    """What samples.json says: "rows", "exemplars", "features", "floor" against n, and "cells" by "ROW-EXEMPLAR"."""
    try:
        found: Index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError):
        raise TextureError(
            f"{folder} holds no {INDEX}; python -m lib.evaluation.shipped CELLS {folder} writes one"
        ) from None


def images(row: str, exemplar: str, folder: Path = SHIPPED) -> Cell:
    """The samples of a cell, uint8 [n,3,side,side]; TextureError if it is not there or was altered."""
    name = f"{row}-{exemplar}"
    record = index(folder)["cells"].get(name)
    if record is None:
        raise TextureError(f"no samples of {exemplar} by {row} come with the library; {folder / INDEX} lists them")
    path = folder / f"{name}.jpg"
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != record["sha256"]:
        raise TextureError(f"{path} is not what {INDEX} tells of; get it again")
    with Image.open(path) as sheet:
        found = apart(sheet, record["side"])[: record["n"]]
    return Cell(found, digest(found), record)


def reduced(features: Features | None = None, folder: Path = SHIPPED) -> Scores:
    """Table 1 of the shipped samples: scores by exemplar and row, "floor" among the rows.

    Args:
        features: computed here, some minutes; those that come with the library when not given.
    """
    listed = index(folder)
    table = {}
    for exemplar in listed["exemplars"]:
        values = {row: values_of(row, exemplar, features, folder) for row in listed["rows"]}
        reference, crops = values.pop(REFERENCE), values.pop(FLOOR)
        table[exemplar] = scores(values, crops, reference)
    return table


def as_text(found: Scores, features: Features | None = None, folder: Path = SHIPPED) -> tuple[str, str]:
    """What `reduced` found as CSV and as Markdown, with protocol, digests, and the floor against n before the JPEG."""
    listed = index(folder)
    cells = {e: {row: images(row, e, folder) for row in listed["rows"]} for e in listed["exemplars"]}
    curves = {e: {int(n): value for n, value in listed["floor"][e].items()} for e in listed["exemplars"]}
    any_cell = cells[listed["exemplars"][0]][FLOOR]
    protocol = Protocol(any_cell.record["n"], any_cell.record["side"])
    named = features or Features(**listed["features"], of=torch.nn.Identity())
    return as_csv(found, cells, named), as_markdown(found, cells, curves, protocol, named)


def values_of(row: str, exemplar: str, features: Features | None = None, folder: Path = SHIPPED) -> Tensor:
    """Features of a cell [n,dim] float64, computed or shipped."""
    if features is not None:
        return features(images(row, exemplar, folder).images)
    try:
        with np.load(folder / FEATURES) as held:
            return torch.from_numpy(held[f"{row}-{exemplar}"].astype(np.float64))
    except (OSError, EOFError, KeyError, ValueError, BadZipFile):
        raise TextureError(f"{folder / FEATURES} has no features of {row}, {exemplar}; name weights instead") from None


def sheet(samples: Tensor) -> Image.Image:
    """uint8 [n,3,s,s] -> a picture of 4 a row; what is left of the last row is black."""
    n, _, side, _ = samples.shape
    rows = -(-n // COLUMNS)
    full = torch.zeros(rows * COLUMNS, 3, side, side, dtype=torch.uint8)
    full[:n] = samples
    grid = full.reshape(rows, COLUMNS, 3, side, side).permute(0, 3, 1, 4, 2)
    return Image.fromarray(grid.reshape(rows * side, COLUMNS * side, 3).numpy())


def apart(picture: Image.Image, side: int) -> Tensor:
    """The inverse of `sheet`: a picture -> uint8 [n,3,side,side]."""
    pixels = torch.from_numpy(np.asarray(picture.convert("RGB")).copy())
    height, width, _ = pixels.shape
    grid = pixels.reshape(height // side, side, width // side, side, 3).permute(0, 2, 4, 1, 3)
    return grid.reshape(-1, 3, side, side).contiguous()


def packed(samples: Tensor) -> tuple[bytes, Tensor]:
    """Samples uint8 [n,3,s,s] as a JPEG, and as they come out of it."""
    buffer = io.BytesIO()
    sheet(samples).save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    with Image.open(buffer) as picture:
        return buffer.getvalue(), apart(picture, samples.shape[-1])[: len(samples)]


def pack(
    cells: Annotated[Path, typer.Argument(help="Folder of a table's cells.")],
    out: Annotated[Path, typer.Argument(help="Where to write; default: into the library.")] = SHIPPED,
    features: Annotated[str, typer.Option(help="fid, or a path of weights; default as in the table.")] = "",
) -> None:
    """Pack the columns that have every row; rows that are packed already and have no cells stay as they are."""
    found: dict[str, list[str]] = {}
    for path in cells.glob("*/*.json"):
        if path.with_suffix(".npy").exists():
            found.setdefault(path.parent.name, []).append(path.stem)
    held = index(out) if (out / INDEX).exists() else {"rows": [], "exemplars": [], "features": {}, "cells": {}}
    kept = [row for row in held["rows"] if row not in found]
    rows = [row for row in (*ROWS, FLOOR, REFERENCE) if row in found or row in kept]
    having = {row: held["exemplars"] if row in kept else found[row] for row in rows}
    columns = [e for e in EXEMPLARS if all(e in having[row] for row in rows)]
    if not found or FLOOR not in rows or REFERENCE not in rows or not columns:
        raise TextureError(
            f"{cells} holds no whole column of a table; python -m lib.evaluation.table {cells} makes them"
        )
    records: dict[str, Any] = {}
    for row, exemplar in product(rows, columns):
        name, made = f"{row}-{exemplar}", cells / row / f"{exemplar}.json"
        records[name] = held["cells"][name] if row in kept else json.loads(made.read_text(encoding="utf-8"))
    sizes = {(record["n"], record["side"]) for record in records.values()}
    if len(sizes) > 1:
        raise TextureError(
            f"{cells} and {out} hold samples of several kinds, (n, side) {sorted(sizes)}; make them alike"
        )
    protocol, measure = Protocol(*sizes.pop()), load_features(features or None)
    same = held["features"].get("sha256") == measure.sha256
    values: dict[str, Any] = {}
    for row, exemplar in product(rows, columns):
        name = f"{row}-{exemplar}"
        if row in kept:
            values[name] = values_of(row, exemplar, None if same else measure, out).half().numpy()
        else:
            samples = torch.from_numpy(np.load(cells / row / f"{exemplar}.npy"))
            content, seen = packed(samples)
            write_whole(out / f"{name}.jpg", partial(_put, content=content))
            records[name]["sha256"] = hashlib.sha256(content).hexdigest()
            values[name] = measure(seen).half().numpy()
        print(name, file=sys.stderr, flush=True)
    network = {"name": measure.name, "dim": measure.dim, "sha256": measure.sha256, "fid": measure.fid}
    floor = {e: curve(cells, protocol, e, measure) for e in columns}
    written = {"rows": rows, "exemplars": columns, "features": network, "floor": floor, "cells": records}
    write_whole(out / FEATURES, lambda path: _npz(path, values))
    write_whole(out / INDEX, lambda path: path.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8"))
    print(out / INDEX)


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _npz(path: Path, values: Mapping[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **values)


if __name__ == "__main__":
    run(pack)
