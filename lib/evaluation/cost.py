"""What a texture costs: seconds, evaluations of an energy's gradient, and memory, against its size, by each model.

    python -m lib.evaluation.cost OUT

Each texture is made in a process of its own, the square of the exemplar's corner at sizes that it has and the whole of
it above. A run that would last longer than `--seconds` is stopped after a few of its steps, and what the others would
take is taken to be the same; the row says how many were made. Seconds are those of the sampler, setting up included,
and the loading of packages not. Over sizes, seconds grow as N^exponent of N pixels; what a model must do at any size
makes the exponent less than one.

Rows are written as they are done, so the same command goes on where it was.
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import torch
import typer

from lib.command import run
from lib.errors import TextureError
from lib.evaluation import rows as rows_of
from lib.evaluation.field import most_memory
from lib.images import exemplar
from lib.models import MODELS, synthesize_steps
from lib.models.cli import setting
from lib.samplers.step import Step

SHIPPED = Path(__file__).parent / "shipped"
TABLE = "cost.json"
SIZES = (64, 128, 256, 512, 1024)
COMPARED = ("gaussian", "heeger-bergen", "portilla-simoncelli", "gatys", "soul", "matching", "diffusion")
SECONDS = 40.0  # a texture; longer ones are told from their first steps
FEWEST = 3  # steps that are made in any case
FITTED = 128  # pixels a side, from which on exponents are fitted: below, what is done once outweighs the rest
CHILD = "import sys; from lib.evaluation.cost import made; made(*sys.argv[1:])"


@dataclass(frozen=True)
class Cost:
    """Of a texture of `size` pixels a side; `steps_made` of `steps` were measured, the rest is extrapolated."""

    model: str
    size: int
    seconds: float
    evaluations: int
    mebibytes: int
    steps_made: int
    steps: int
    threads: int
    settings: dict[str, Any]


def shipped(folder: Path = SHIPPED) -> list[Cost]:
    """The rows of a run; those that come with the library unless another folder is named.

    Raises TextureError where there are none.
    """
    return rows_of.read(folder / TABLE, Cost, "lib.evaluation.cost")


def exponent(rows: Sequence[Cost], model: str) -> float:
    """Least squares of log seconds against log pixels, sizes of 128 and more; TextureError for fewer than two."""
    points = [
        (math.log(row.size**2), math.log(row.seconds)) for row in rows if row.model == model and row.size >= FITTED
    ]
    if len(points) < 2:
        raise TextureError(f"{model} was made at {len(points)} sizes from {FITTED} on; an exponent needs two")
    n, t = torch.tensor(points, dtype=torch.float64).T
    return ((n - n.mean()) @ t / (n - n.mean()).square().sum()).item()


def measure(
    out: Annotated[Path, typer.Argument(help="Folder of the table.")],
    model: Annotated[list[str] | None, typer.Option(help=f"May be repeated; default: {', '.join(COMPARED)}.")] = None,
    size: Annotated[list[int] | None, typer.Option(help="Pixels a side, may be repeated; default: 64 to 1024.")] = None,
    name: Annotated[str, typer.Option("--exemplar")] = "pebble",
    seconds: Annotated[float, typer.Option(min=1, help="A texture; longer ones are told from their start.")] = SECONDS,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="For the models that have it.", metavar="NAME=VALUE")
    ] = None,
) -> None:
    """Textures by each model at each size, with their cost, one after another."""
    own = dict(setting(text) for text in settings or [])
    exemplar(name)  # an unknown one is told at once
    for kind in model or COMPARED:
        if kind not in MODELS:
            raise TextureError(f"no model {kind!r}; known are {', '.join(MODELS)}")
    rows_of.agreed(out, {"exemplar": name})
    rows = shipped(out) if (out / TABLE).exists() else []
    for kind in model or COMPARED:
        given = {key: value for key, value in own.items() if key in MODELS[kind].settings}
        for side in size or SIZES:
            there = [row.settings for row in rows if (row.model, row.size) == (kind, side)]
            if there and there != [given]:
                raise TextureError(
                    f"{out / TABLE} has {kind} at {side} with {there[0]}, not {given}; name another folder"
                )
            if there:
                continue
            arguments = [kind, name, str(side), str(seconds), json.dumps(given)]
            done = subprocess.run(
                [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True, check=False
            )
            if done.returncode:
                raise TextureError(f"{kind} at {side} was not made; what it said stands above")
            rows.append(Cost(kind, side, **json.loads(done.stdout.splitlines()[-1]), settings=given))
            rows_of.write(out / TABLE, rows)
            row = rows[-1]
            part = "" if row.steps_made == row.steps else f"  ({row.steps_made} of {row.steps} steps)"
            print(f"{kind:<20} {side:5} {row.seconds:9.2f} s {row.mebibytes:6} MiB{part}", flush=True)


def made(model: str, name: str, size: str, most: str, settings: str) -> None:
    """Make a texture, or begin to; print its cost, a line of JSON."""
    side = int(size)
    x0 = exemplar(name)[:, :side, :side]
    _ = MODELS[model].steps  # imports its packages
    with evaluations() as count:
        row = watched(synthesize_steps(x0, model, 1, side, **json.loads(settings)), float(most), count)
    print(json.dumps(row | {"mebibytes": most_memory(), "threads": torch.get_num_threads()}))


def watched(steps: Iterator[Step], most: float, count: list[int]) -> dict[str, Any]:
    """Run a sampler to its end, or past `most` seconds; what is left takes what the steps after the first took."""
    begun, marks, total = time.perf_counter(), [], 0
    for record in steps:
        marks.append((time.perf_counter() - begun, count[0]))
        total = record.steps
        if marks[-1][0] > most and len(marks) >= FEWEST:
            break
    left = (total - len(marks)) / max(len(marks) - 1, 1)
    seconds, calls = (b + left * (b - a) for a, b in zip(marks[0], marks[-1], strict=True))
    return {"seconds": round(seconds, 3), "evaluations": round(calls), "steps_made": len(marks), "steps": total}


@contextmanager
def evaluations() -> Iterator[list[int]]:
    """How often `torch.autograd.grad` is called inside, by which all samplers evaluate gradients: a list of one."""
    count, grad = [0], torch.autograd.grad

    def counting(*args: Any, **kwargs: Any) -> Any:
        count[0] += 1
        return grad(*args, **kwargs)

    with patch.object(torch.autograd, "grad", counting):
        yield count


if __name__ == "__main__":
    run(measure)
