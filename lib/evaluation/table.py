"""Table 1 of the paper regenerated: distances of samples from texture, by method and exemplar, beside the paper's.

    python -m lib.evaluation.table OUT --samples 16                             every row and column
    python -m lib.evaluation.table OUT --samples 16 --model gatys --exemplar rug    some of them

Samples are written cell by cell under OUT, so the same command goes on where it was, and folders of several machines
may be laid together. OUT/table.csv and OUT/table.md are of the cells that are there. `protocol.py` says what is
compared with what, `features.py` in which features: without FID's own weights the distance is another, and is called
by its own name.
"""

import csv
import hashlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lib.command import run
from lib.errors import TextureError
from lib.evaluation.cells import Cell, cell, featured
from lib.evaluation.features import Features, load_features
from lib.evaluation.frechet import Interval, floor
from lib.evaluation.protocol import LEAST, Protocol
from lib.evaluation.scores import FLOOR, Score, scores
from lib.images import EXEMPLARS
from lib.models import MODELS
from lib.models.cli import setting
from lib.statistics.backbone import VARIABLE
from lib.training.checkpoint import find
from lib.whole import write_whole

# FID of the paper's Table 1, on textures of its own, in the order of EXEMPLARS; its n and its crops are not said
PAPER = {
    "gatys": (175.03, 169.35, 209.10, 126.79, 273.30, 74.03, 135.17, 135.52, 96.19),
    "matching": (102.58, 214.77, 68.19, 41.70, 105.96, 80.49, 137.79, 136.71, 20.82),
    "diffusion": (221.30, 192.94, 48.78, 66.25, 55.49, 67.14, 46.68, 47.24, 36.82),
}
ROWS = (*PAPER, "principal", "gaussian", "portilla-simoncelli", "soul")
REFERENCE = "reference"
CURVE = 64  # samples that the floor's curve reaches at least
FULL = 1024  # samples from which on a table is not called a reduced one

Scores = Mapping[str, Mapping[str, Score]]  # by exemplar, then by row


def table(
    out: Annotated[Path, typer.Argument(help="Folder of the samples and of the table.")],
    samples: Annotated[int, typer.Option(help="In each cell: a multiple of 8, at least 16.")] = 16,
    model: Annotated[list[str] | None, typer.Option(help=f"May be repeated; default: {', '.join(ROWS)}.")] = None,
    exemplar: Annotated[list[str] | None, typer.Option(help="May be repeated; default: the nine.")] = None,
    features: Annotated[
        str, typer.Option(help="fid (downloaded), or a path of weights.", show_default="TEXTURES_INCEPTION, else fid")
    ] = "",
    side: Annotated[int, typer.Option(help="Pixels a side of samples and crops.")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise that samples start from.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="For the models that have it.", metavar="NAME=VALUE")
    ] = None,
) -> None:
    """Make the samples that are missing, score all, write the table."""
    protocol, rows, columns = Protocol(samples, side, seed), model or ROWS, exemplar or EXEMPLARS
    for name in rows:
        if name not in MODELS:
            raise TextureError(f"no model {name!r}; known are {', '.join(MODELS)}")
    own = dict(setting(text) for text in settings or [])
    measure = load_features(features or None)  # what is wrong with them is told before hours of sampling
    cells = {name: filled(out, protocol, name, rows, own) for name in columns}
    found = {name: scored(out, column, measure) for name, column in cells.items()}
    curves = {name: curve(out, protocol, name, measure) for name in columns}
    write_whole(out / "table.csv", lambda path: path.write_text(as_csv(found, cells, measure), encoding="utf-8"))
    text = as_markdown(found, cells, curves, protocol, measure)
    write_whole(out / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    print(f"{out / 'table.csv'}\n{out / 'table.md'}")


def filled(
    out: Path, protocol: Protocol, exemplar: str, rows: Sequence[str], own: Mapping[str, Any] | None = None
) -> dict[str, Cell]:
    """The column of an exemplar: cells by row, with "floor" and "reference"; those that are missing are made."""
    asked = {"n": protocol.n, "side": protocol.side}
    column = {
        FLOOR: cell(out, FLOOR, exemplar, asked, lambda: protocol.crops(exemplar)),
        REFERENCE: cell(out, REFERENCE, exemplar, asked, lambda: protocol.reference(exemplar)),
    }
    for name in rows:
        known = MODELS[name].settings
        given = {key: value for key, value in (own or {}).items() if key in known}
        facts = {**asked, "seed": protocol.seed, "settings": given}
        if "checkpoint" in known:
            facts["weights"] = hashlib.sha256(find(given.get("checkpoint", "default")).read_bytes()).hexdigest()
        if "backbone" in known and "backbone" not in given and (network := os.environ.get(VARIABLE)):
            is_file = Path(network).is_file()
            facts["backbone"] = hashlib.sha256(Path(network).read_bytes()).hexdigest() if is_file else network
        print(f"{name} of {exemplar}", file=sys.stderr, flush=True)
        column[name] = cell(out, name, exemplar, facts, lambda: protocol.samples(exemplar, name, **given))  # noqa: B023
    return column


def scored(out: Path, column: Mapping[str, Cell], features: Features) -> dict[str, Score]:
    """Scores of a column's rows, the floor among them."""
    values = {name: featured(out, images, features) for name, images in column.items()}
    reference, crops = values.pop(REFERENCE), values.pop(FLOOR)
    return scores(values, crops, reference)


def curve(out: Path, protocol: Protocol, exemplar: str, features: Features) -> dict[int, float]:
    """The floor at 16, 32, 64, ... and n samples: how much of a distance is too few of them."""
    doubled = [LEAST * 2**k for k in range(12)]
    counts = sorted({protocol.n, *(c for c in doubled if c <= max(protocol.n, CURVE))})
    most = Protocol(counts[-1], protocol.side)
    asked = {"n": most.n, "side": most.side}
    left = cell(out / "curve", FLOOR, exemplar, asked, lambda: most.crops(exemplar))
    right = cell(out / "curve", REFERENCE, exemplar, asked, lambda: most.reference(exemplar))
    return floor(featured(out, left, features), featured(out, right, features), counts)


def as_csv(found: Scores, cells: Mapping[str, Mapping[str, Cell]], features: Features) -> str:
    """One row a cell, with the digests of both sets."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([
        "exemplar", "row", "n", "frechet", "low", "high", "kernel", "kernel_error", "best", "paper_fid",
        "features", "samples_sha256", "reference_sha256",
    ])  # fmt: skip
    for exemplar, column in found.items():
        for row, score in column.items():
            d = score.frechet
            numbers = [f"{v:.6g}" for v in (d.value, d.low, d.high, score.kernel, score.kernel_error)]
            published = PAPER[row][EXEMPLARS.index(exemplar)] if row in PAPER else ""
            digests = [cells[exemplar][row].sha256, cells[exemplar][REFERENCE].sha256]
            writer.writerow([exemplar, row, score.n, *numbers, int(score.best), published, features.name, *digests])
    return text.getvalue()


def as_markdown(
    found: Scores,
    cells: Mapping[str, Mapping[str, Cell]],
    curves: Mapping[str, Mapping[int, float]],
    protocol: Protocol,
    features: Features,
) -> str:
    """Protocol, both distances beside the paper's, the floor against n, and the digests."""
    reduced = f"**A reduced table: {protocol.n} samples a cell.** " if protocol.n < FULL else ""
    few = f"{protocol.n} samples for {features.dim} features: biased upwards, to be read against the floor. "
    note = "" if features.fid else "This is not FID: other weights, another layer; compare within the table alone. "
    rows = [row for row in next(iter(found.values())) if row != FLOOR]
    distances = {}
    for row in (*rows, FLOOR):
        distances[row] = [_frechet(found[e][row]) for e in found]
        if row in PAPER:
            distances[f"*{row}, the paper*"] = [f"*{PAPER[row][EXEMPLARS.index(e)]:.2f}*" for e in found]
    lines = [
        f"# {features.distance}",
        f"{reduced}{few if protocol.n < 2 * features.dim else ''}{note}Bold: the 95% interval lies below those of all "
        "other methods. In italics the paper's FID, of textures of its own; how many samples, and of which crops, it "
        "does not say.",
        str(protocol),
        grid("", found, distances),
        f"## {'KID' if features.fid else 'Kernel distance'}, in thousandths, ± standard error; without bias, so the "
        "floor is zero but for the difference between the halves",
        grid("", found, {row: [_kernel(found[e][row]) for e in found] for row in (*rows, FLOOR)}),
        "## The floor against the number of samples",
        grid("n", found, {str(n): [f"{curves[e][n]:.2f}" for e in found] for n in next(iter(curves.values()))}),
        "## Digests",
        f"Features: {features.name}, sha256 of the weights `{features.sha256}`. Sets, sha256 of shape and pixels:",
        grid("", found, {r: [f"`{cells[e][r].sha256[:12]}`" for e in found] for r in (*rows, FLOOR, REFERENCE)}),
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def grid(corner: str, columns: Sequence[str] | Mapping[str, Any], rows: Mapping[str, Sequence[str]]) -> str:
    """A Markdown table."""
    head = [f"| {corner} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    return "\n".join([*head, *(f"| {name} | {' | '.join(values)} |" for name, values in rows.items())])


def _frechet(score: Score) -> str:
    d: Interval = score.frechet
    value = f"**{d.value:.2f}**" if score.best else f"{d.value:.2f}"
    return f"{value} ({d.low:.2f}–{d.high:.2f})"


def _kernel(score: Score) -> str:
    return f"{1000 * score.kernel:.2f} ± {1000 * score.kernel_error:.2f}"


if __name__ == "__main__":
    run(table)
