"""What a group of statistics is worth to a texture: how much further samples come to lie when it is not matched.

    python -m lib.evaluation.unmatched OUT

Groups are those of `worth.py`, which asks the denoiser (all that is read before blocks being one, and all hues one),
and the statistics that are built in. Samples, crops and features are those of the table (see `protocol.py`); what is
left of the statistics is measured in a basis of its own, from the same covariance over pieces of photographs (see
`training/whitening.py`).

Samples and rows are written as they are done, so the same command goes on where it was.
"""

import hashlib
import re
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from lib.command import run
from lib.errors import TextureError
from lib.evaluation import rows as rows_of
from lib.evaluation.cells import cell, featured
from lib.evaluation.features import load_features
from lib.evaluation.frechet import bootstrap, frechet
from lib.evaluation.protocol import LEAST, Protocol
from lib.evaluation.worth import groups
from lib.images import EXEMPLARS
from lib.model import Model
from lib.samplers.match import Measure, match
from lib.training.checkpoint import find, load
from lib.training.precondition import inverse_root

SHIPPED = Path(__file__).parent / "shipped" / "unmatched"
TABLE = "unmatched.json"
NONE, BUILT_IN = "none", "built in"


@dataclass(frozen=True)
class Row:
    """Of n samples matched without `count` statistics: distance, its 95 % interval, the photograph's own, and one."""

    exemplar: str
    group: str
    count: int
    n: int
    frechet: float
    low: float
    high: float
    floor: float
    picture: str
    sha256: str


def shipped(folder: Path = SHIPPED) -> list[Row]:
    """The rows of a run; those that come with the library unless another folder is named.

    Raises TextureError where there are none.
    """
    return rows_of.read(folder / TABLE, Row, "lib.evaluation.unmatched")


def picture(row: Row, folder: Path = SHIPPED) -> Tensor:
    """The first of its samples, [3,H,W] in [0,1]; TextureError unless it is the one that the row tells of."""
    return rows_of.picture(folder / row.picture, row.sha256, TABLE)


def parts(model: Model) -> dict[str, slice]:
    """What may be left out, by name: nothing, what is built in, each group of learned statistics.

    What a network's blocks are given is one group, and hues are one.
    """
    found = {NONE: slice(0, 0)}
    if model.architecture.known:
        found[BUILT_IN] = slice(0, model.architecture.known)
    for name, part in groups(model).items():
        name = re.sub(r"before block \d+", "before its blocks", re.sub(r"hues at .*", "hues", name))
        found[name] = slice(found.get(name, part).start, part.stop)
    return found


def chosen(found: dict[str, slice], names: list[str] | None) -> dict[str, slice]:
    """Of all parts those that are named, in their order; all where none is. TextureError for what is no part."""
    foreign = [name for name in names or () if name not in found]
    if foreign:
        raise TextureError(f"the model has no statistics {foreign[0]!r}; what may be left out: {', '.join(found)}")
    return {name: part for name, part in found.items() if not names or name in names}


def without(model: Model, part: slice) -> Measure:
    """f and a basis in which `part` of it does not count, and the rest is whitened by what it varies by itself."""
    kept = torch.ones(model.dim, dtype=torch.bool)
    kept[part] = False
    whitening = model.whitening.double()
    covariance = torch.linalg.inv(whitening @ whitening)[kept][:, kept]
    basis = torch.zeros_like(whitening)
    basis[kept.nonzero(), kept] = inverse_root(covariance).double()
    return Measure(model.statistics, basis.float())


def samples(protocol: Protocol, name: str, measure: Measure) -> Tensor:
    """n textures of an exemplar, matched: uint8 [n,3,side,side], in the order and from the noise of the table's."""
    return protocol.drawn(name, partial(match, measure))


def measure(
    out: Annotated[Path, typer.Argument(help="Folder of the samples and of the table.")],
    exemplar: Annotated[list[str] | None, typer.Option(help="May be repeated; default: the nine.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="Left out; may be repeated; default: each in turn.")] = None,
    checkpoint: Annotated[str, typer.Option(help="A shipped model or the path of one.")] = "default",
    features: Annotated[
        str, typer.Option(help="fid (downloaded), or a path of weights.", show_default="TEXTURES_INCEPTION, else fid")
    ] = "",
    side: Annotated[int, typer.Option(help="Pixels a side of samples and crops.")] = 128,
) -> None:
    """Distances of samples that are matched without each group of statistics in turn."""
    model, protocol = load(checkpoint), Protocol(LEAST, side)
    asked_for = chosen(parts(model), group)
    judge = load_features(features or None)
    weights = hashlib.sha256(find(checkpoint).read_bytes()).hexdigest()
    rows_of.agreed(out, {"weights": weights, "features": judge.sha256, "side": side})
    rows = shipped(out) if (out / TABLE).exists() else []
    for name in exemplar or EXEMPLARS:
        reference = judge(protocol.reference(name))
        floor = frechet(judge(protocol.crops(name)), reference)
        for left_out, part in asked_for.items():
            if any((row.exemplar, row.group) == (name, left_out) for row in rows):
                continue
            print(f"{name} without {left_out}", file=sys.stderr, flush=True)
            make = partial(samples, protocol, name, without(model, part))
            asked = {"n": protocol.n, "side": side, "weights": weights}
            made = cell(out, left_out.replace("/", "-"), name, asked, make)
            found = bootstrap(featured(out, made, judge), reference)
            value, low, high, own = (round(v, 4) for v in (found.value, found.low, found.high, floor))
            path = f"{name}-{left_out}.jpg".replace("/", "-").replace(" ", "-")
            digest = rows_of.write_picture(out / path, made.images[0] / 255)
            rows.append(Row(name, left_out, part.stop - part.start, protocol.n, value, low, high, own, path, digest))
            rows_of.write(out / TABLE, rows)
            print(f"{name:<8} without {left_out:<12} {found.value:6.2f}", flush=True)


if __name__ == "__main__":
    run(measure)
