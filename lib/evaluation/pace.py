"""How near a model comes, and how soon: Fréchet distances of its samples against the seconds that they took.

    python -m lib.evaluation.pace OUT --set backbone=untrained

Samples, crops and features are those of the table (see `protocol.py`). A search is looked at on its way, since its
k-th iterate is what k iterations give; diffusion is run anew for each number of noise levels, since each lays them
otherwise. Seconds are those that one core worked, a texture, setting up included; n / 8 are made at a time.

Rows are written as each run is done, so the same command goes on where it was.
"""

import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from lib.command import run
from lib.errors import TextureError
from lib.evaluation import rows as rows_of
from lib.evaluation.features import load_features
from lib.evaluation.frechet import frechet
from lib.evaluation.protocol import SOURCES, Protocol, bytes_of
from lib.images import EXEMPLARS
from lib.models import MODELS, synthesize_steps
from lib.models.cli import setting

SHIPPED = Path(__file__).parent / "shipped"
TABLE = "pace.json"
SEARCHED = {"matching": (5, 10, 15, 20, 30, 40, 60), "gatys": (5, 10, 15, 20, 30, 50, 70, 100, 140, 200)}
LEVELS = {"diffusion": (2, 3, 5, 7)}
SAMPLES = 16


@dataclass(frozen=True)
class Row:
    """n samples after so many iterations, or of so many noise levels; `floor` is the photograph's own distance."""

    model: str
    exemplar: str
    steps: int
    n: int
    seconds: float
    frechet: float
    floor: float
    side: int
    settings: dict[str, Any]


def shipped(folder: Path = SHIPPED) -> list[Row]:
    """The rows of a run; those that come with the library unless another folder is named.

    Raises TextureError where there are none.
    """
    return rows_of.read(folder / TABLE, Row, "lib.evaluation.pace")


def means(rows: Sequence[Row], model: str) -> list[tuple[int, float, float]]:
    """(steps, seconds, distance over the floor), means over exemplars, the latter geometric, by steps.

    Raises TextureError where a model was run in more than one way: their mean would be of neither.
    """
    own, found = [row for row in rows if row.model == model], []
    for row in own:
        if (row.side, row.settings) != (own[0].side, own[0].settings):
            ways = [f"{one.side} pixels a side, {one.settings}" for one in (own[0], row)]
            raise TextureError(f"rows of {model} are of {ways[0]} and of {ways[1]}; keep those of one")
    for steps in sorted({row.steps for row in own}):
        of = [row for row in own if row.steps == steps]
        over = math.exp(sum(math.log(row.frechet / row.floor) for row in of) / len(of))
        found.append((steps, sum(row.seconds for row in of) / len(of), over))
    return found


def soonest(curve: Sequence[tuple[int, float, float]], over: float) -> float | None:
    """Seconds after which a curve of `means` is at most `over` for the first time, on straight lines in their logs.

    None if it never is.
    """
    before: tuple[float, float] | None = None
    for _, seconds, distance in curve:
        if distance <= over:
            if before is None:
                return seconds
            share = math.log(before[1] / over) / math.log(before[1] / distance)
            return math.exp((1 - share) * math.log(before[0]) + share * math.log(seconds))
        before = seconds, distance
    return None


def paced(
    protocol: Protocol, name: str, model: str, at: Sequence[int], **settings: Any
) -> dict[int, tuple[Tensor, float]]:
    """Samples of an exemplar after each number of steps of `at`, uint8 [n,3,side,side], with the seconds of one."""
    images = {k: list[Tensor]() for k in at}
    seconds = dict.fromkeys(at, 0.0)
    for source, x0 in enumerate(protocol.sources(name)):
        begun, seed = time.process_time(), SOURCES * protocol.seed + source
        for record in synthesize_steps(x0, model, protocol.n // SOURCES, protocol.side, seed, **settings):
            if record.step in images:
                seconds[record.step] += time.process_time() - begun
                images[record.step].append(bytes_of(record.image))
    return {k: (torch.stack(images[k], 1).flatten(0, 1), seconds[k] / protocol.n) for k in at}


def runs(model: str) -> Iterator[tuple[tuple[int, ...], dict[str, int]]]:
    """The runs that a curve takes: the steps to be looked at, and the setting that asks for so many."""
    if model in LEVELS:
        yield from (((levels,), {"levels": levels}) for levels in LEVELS[model])
    else:
        yield SEARCHED[model], {"iterations": SEARCHED[model][-1]}


def measure(
    out: Annotated[Path, typer.Argument(help="Folder of the table.")],
    model: Annotated[list[str] | None, typer.Option(help="May be repeated; default: all three.")] = None,
    exemplar: Annotated[list[str] | None, typer.Option(help="May be repeated; default: the nine.")] = None,
    features: Annotated[
        str, typer.Option(help="fid (downloaded), or a path of weights.", show_default="TEXTURES_INCEPTION, else fid")
    ] = "",
    side: Annotated[int, typer.Option(help="Pixels a side of samples and crops.")] = 128,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="For the models that have it.", metavar="NAME=VALUE")
    ] = None,
) -> None:
    """Distances of each exemplar's samples by each model, after more and more steps."""
    own, known = dict(setting(text) for text in settings or []), [*SEARCHED, *LEVELS]
    for kind in model or known:
        if kind not in known:
            raise TextureError(f"no pace of {kind!r}; there is that of {', '.join(known)}")
    protocol, rows = Protocol(SAMPLES, side), shipped(out) if (out / TABLE).exists() else []
    judge = load_features(features or None)
    rows_of.agreed(out, {"features": judge.sha256})
    torch.set_num_threads(1)
    for name in exemplar or EXEMPLARS:
        reference = judge(protocol.reference(name))
        floor = frechet(judge(protocol.crops(name)), reference)
        for kind in model or known:
            given = {key: value for key, value in own.items() if key in MODELS[kind].settings}
            for at, asked in runs(kind):
                made = [row for row in rows if (row.model, row.exemplar, row.side) == (kind, name, side)]
                if set(at) <= {row.steps for row in made if row.settings == given}:
                    continue
                print(f"{kind} of {name}, {at[-1]} steps", file=sys.stderr, flush=True)
                for k, (images, seconds) in paced(protocol, name, kind, at, **given, **asked).items():
                    distance = frechet(judge(images), reference)
                    found = round(seconds, 3), round(distance, 3), round(floor, 3)
                    rows.append(Row(kind, name, k, protocol.n, *found, side, given))
                    print(f"  {k:4} steps {seconds:7.2f} s {distance:7.2f}", flush=True)
                rows_of.write(out / TABLE, rows)


if __name__ == "__main__":
    run(measure)
