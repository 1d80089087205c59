"""What makes a sample teach more: trainings that differ in one thing, for the same time of the processor, in one table.

    python -m lib.training.trials OUT --data PHOTOGRAPHS --minutes 20                                every trial
    python -m lib.training.trials OUT --data PHOTOGRAPHS --minutes 20 --only base --only waves       some of them

A trial is the base recipe with some values replaced; values are those of `Recipe` and `Architecture`, constants of the
modules that training consists of, and which photographs there are. All have the same seed but for the one that
differs in it: what that one loses or wins is what the others' differences are to be read against. Minutes are those
that the processor works, not those of the wall; noise and patches of the losses are the same for all.

Rows are written as they are done, so the same command goes on where it was.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import torch
import typer
from torch.optim import AdamW, Muon

from lib.command import run
from lib.errors import TextureError
from lib.evaluation import rows as rows_of
from lib.statistics.learned import DEFAULT, PAPER, Architecture, LearnedStatistics, contrast, normalise
from lib.training import batches, loop
from lib.training.loop import Recipe, Trainer
from lib.training.validation import model_losses

SHIPPED = Path(__file__).parents[1] / "evaluation" / "shipped"
TABLE = "trials.json"
BASE = "base"
# steps are a ruler for the time: a third of it with the waves alone, the second half on large crops
RULER = Recipe("trial", steps=900, warm=300, grow=450, batch=8, size=64)
PATCHES, PATCH = 16, 128  # of the losses


@dataclass(frozen=True)
class Trial:
    """One training: what is replaced in the recipe, the architecture and (by "module.NAME") the constants."""

    says: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    architecture: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    start: Architecture = DEFAULT
    photographs: Callable[[batches.Groups], batches.Groups] = dict


@dataclass(frozen=True)
class Result:
    """Of one trial: `losses` by noise level (validation.SIGMAS) after `minutes` of the processor."""

    name: str
    says: str
    minutes: float
    steps: int
    samples: int
    parameters: int
    statistics: int
    photographs: int
    losses: list[float]


class MuonAndAdamW:
    """Muon (Jordan et al. 2024, torch's own) for matrices, AdamW for whatever else, as one optimiser of the trainer."""

    def __init__(self, groups: list[dict[str, Any]], rate: float, **settings: Any) -> None:
        def those(flat: bool) -> list[dict[str, Any]]:
            kept = [{**group, "params": [p for p in group["params"] if (p.dim() == 2) == flat]} for group in groups]
            return [group for group in kept if group["params"]]

        decay = settings["weight_decay"]
        self.parts = (
            Muon(those(True), rate, decay, adjust_lr_fn="match_rms_adamw"),
            AdamW(those(False), rate, **settings),
        )
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none)

    def step(self) -> None:
        for part in self.parts:
            part.step()


def homogeneous(f: LearnedStatistics, y: torch.Tensor) -> list[torch.Tensor]:
    """Densities 1/2 y_c s_k(y), s_k nearly of degree one in y, c one colour after the other: [[B,512,H,W]].

    The energy 1/2 <y, s(y)> (Guth, Kadkhodaie & Simoncelli 2025) with a multiplier for each of 512 parts.
    """
    (read,) = f.read
    s = contrast(y) * read(normalise(f.unet(y, [])[0]))
    colours = (y - 0.5).repeat(1, -(-s.shape[1] // 3), 1, 1)[:, : s.shape[1]]
    return [0.5 * colours * s]


def halved(groups: batches.Groups) -> batches.Groups:
    """Every second photograph of each source."""
    return {name: [images[i] for i in range(0, len(images), 2)] for name, images in groups.items()}


def largest(groups: batches.Groups) -> batches.Groups:
    """The source with the most photographs alone."""
    name = max(groups, key=lambda name: len(groups[name]))
    return {name: groups[name]}


QUADRATIC_C = (10.0, 20.0)  # pixel units: no response comes near, so log(|v|^2 + c^2) is |v|^2 / c^2 and a constant

TRIALS = {
    BASE: Trial("the base"),
    "seed": Trial("another seed", {"seed": 1}),
    # what is read
    "waves": Trial("waves alone, no U-Net", {"warm": RULER.steps}),
    "at-once": Trial("U-Net from the first step on", {"warm": 0}),
    "quadratic": Trial("quadratic read-outs instead of logarithms", constants={
        "lib.statistics.waves.C_RANGE": QUADRATIC_C, "lib.statistics.waves.POOLED_C": (10.0, 12.0, 14.0, 17.0, 20.0),
    }),
    "paper": Trial("512 linear read-outs of the last layer, nothing built in", start=PAPER),
    "paper-scales": Trial("the same, read at five scales", architecture={"everywhere": True}, start=PAPER),
    "homogeneous": Trial("products of image and last layer, nothing built in", start=PAPER, constants={
        "lib.statistics.learned.LearnedStatistics.densities": homogeneous,
        "lib.statistics.learned.LINEAR_GRADIENT_INVERSE": 1.0,
    }),
    "three-octaves": Trial("three octaves instead of five", architecture={
        "channels": DEFAULT.channels[:3], "blocks": DEFAULT.blocks[:3],
    }),
    "wide": Trial("U-Net of twice the width", architecture={"channels": (32, 64, 96, 128, 192)}),
    "deep": Trial("U-Net of three times the blocks", architecture={"blocks": (3, 3, 3, 3, 6)}),
    "input": Trial("input of the U-Net linear", constants={"lib.statistics.learned.DETAIL": 10.0}),
    # what is asked
    "unweighted": Trial("Eq. 4 unweighted", constants={"lib.training.loss.LEAST_LOSS": 1.0}),
    "narrow": Trial("noise levels half as spread", constants={"lib.training.loss.SIGMA_SPREAD": 0.6}),
    # how it is descended
    "rate-half": Trial("half the rate", {"rate": 1e-3}),
    "rate-double": Trial("twice the rate", {"rate": 4e-3}),
    "all-rates": Trial("waves and read-outs at the full rate", constants={
        "lib.training.loop.WAVES_SHARE": 1.0, "lib.training.loop.READ_SHARE": 1.0,
    }),
    "muon": Trial("Muon for matrices", constants={"torch.optim.AdamW": MuonAndAdamW}),
    "average": Trial("a moving average of a tenth of the length", constants={"lib.training.loop.MEMORY": 0.98}),
    # what is seen
    "small-batch": Trial("half the crops a step, twice the steps", {"batch": 4}),
    "small-crops": Trial("small crops all the way", {"grow": RULER.steps}),
    "large-crops": Trial("large crops from the start", {"grow": 0}),
    "half-photographs": Trial("half the photographs of each source", photographs=halved),
    "one-source": Trial("photographs of one source alone", photographs=largest),
}  # fmt: skip


def trials(
    out: Annotated[Path, typer.Argument(help="Folder of the table.")],
    data: Annotated[list[Path], typer.Option(help="folder of photographs or patch shards; repeatable")],
    minutes: Annotated[float, typer.Option(min=0.01, help="of the processor, a trial")] = 20.0,
    only: Annotated[list[str] | None, typer.Option(help=f"may be repeated; known: {', '.join(TRIALS)}")] = None,
) -> None:
    """Train each trial, measure it, add its row to OUT/trials.json."""
    for name in only or ():
        if name not in TRIALS:
            raise TextureError(f"no trial {name!r}; known are {', '.join(TRIALS)}")
    groups, held = batches.load(data, 3 * RULER.size // 2)
    patches = batches.validation_patches(held, PATCHES, PATCH)
    path = out / TABLE
    found = read(out) if path.exists() else []
    for name in only or TRIALS:
        if any(row.name == name and row.minutes == minutes for row in found):
            continue
        found = [row for row in found if row.name != name] + [tried(name, groups, patches, minutes)]
        rows_of.write(path, found)
    for row in found:
        print(f"{row.says:<60}" + "".join(f"{loss:8.4f}" for loss in row.losses))


def sittings() -> list[list[Result]]:
    """The tables that come with the library: in each the base, and what was trained on the same machine that day."""
    return [read(folder) for folder in sorted(SHIPPED.glob("trials_*"))]


def read(folder: Path) -> list[Result]:
    """The table in a folder."""
    return rows_of.read(folder / TABLE, Result, "lib.training.trials")


def tried(name: str, groups: batches.Groups, patches: torch.Tensor, minutes: float) -> Result:
    """One trial, trained and measured."""
    trial = TRIALS[name]
    images = trial.photographs(groups)
    with replaced(trial) as recipe:
        trainer = Trainer(recipe, batches.Crops(images, recipe.seed))
        told, begun = time.monotonic(), 0.0

        def share(_: float) -> float:
            nonlocal begun
            begun = begun or time.process_time()  # what all do before the first step is not counted
            return (time.process_time() - begun) / (60 * minutes)

        for record in trainer.run(share=share):
            if time.monotonic() - told > 10:
                told, over = time.monotonic(), record.place / record.steps
                print(f"{name}: {over:4.0%}, step {record.step}, loss {record.loss:.3f}", file=sys.stderr, flush=True)
        model = trainer.averaged()
        losses = model_losses(model, patches)
    parameters, count = sum(p.numel() for p in model.parameters()), sum(len(group) for group in images.values())
    return Result(name, trial.says, minutes, trainer.step, trainer.samples, parameters, model.dim, count, losses)


@contextmanager
def replaced(trial: Trial) -> Iterator[Recipe]:
    """The recipe of a trial, with its architecture and its constants in their places."""
    with ExitStack() as stack:
        stack.enter_context(patch.dict(loop.ARCHITECTURES, {"trial": replace(trial.start, **trial.architecture)}))
        for place, value in trial.constants.items():
            stack.enter_context(patch(place, value))
        yield replace(RULER, **trial.recipe)


if __name__ == "__main__":
    run(trials)
