"""What makes a sample teach more: trainings that differ in one thing, for the same time of the processor, in one table.

    python -m lib.training.trials OUT --data PHOTOGRAPHS --minutes 20                                every trial
    python -m lib.training.trials OUT --data PHOTOGRAPHS --minutes 20 --only base --only waves       some of them

A trial is the base recipe with some values replaced; values are those of `Recipe` and `Architecture`, constants of the
modules that training consists of, and which photographs there are. All have the same seed but for the one that
differs in it: what that one loses or wins is what the others' differences are to be read against. Minutes are those
that the processor works, not those of the wall; noise and patches of the losses are the same for all.

One is no maximum-entropy model but an ordinary denoiser that is told x, in four times the time: what could be learned
(ordinary.py). Another learns from that one's outputs instead of from the noise, and is given its time for nothing.

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

from lib.command import run
from lib.errors import TextureError
from lib.evaluation import rows as rows_of
from lib.statistics.architecture import PAPER, WAVES, Architecture
from lib.statistics.learned import LearnedStatistics, contrast, normalise
from lib.training import batches, loop, ordinary
from lib.training.checkpoint import load_state, save_state
from lib.training.loop import Recipe, Trainer
from lib.training.muon import MuonAndAdamW
from lib.training.ordinary import OrdinaryDenoiser, distilling
from lib.training.validation import losses_of, model_losses

SHIPPED = Path(__file__).parents[1] / "evaluation" / "shipped"
TABLE = "trials.json"
BASE, ORDINARY = "base", "ordinary"
TEACHER = "ordinary.pt"  # beside the table
LONGER = 4  # times the minutes, for the ordinary denoiser
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
    start: Architecture = WAVES
    photographs: Callable[[batches.Groups], batches.Groups] = dict
    taught: bool = False  # by the ordinary denoiser


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


def muon(groups: list[dict[str, Any]], rate: float, **settings: Any) -> MuonAndAdamW:
    """Muon for what is a matrix as it stands, AdamW for filters too."""
    return MuonAndAdamW(groups, rate, lambda p: p.dim() == 2, **settings)


def homogeneous(f: LearnedStatistics, y: torch.Tensor, *_: Any) -> list[torch.Tensor]:
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
        "channels": WAVES.channels[:3], "blocks": WAVES.blocks[:3],
    }),
    "wide": Trial("U-Net of twice the width", architecture={"channels": (32, 64, 96, 128, 192)}),
    "deep": Trial("U-Net of three times the blocks", architecture={"blocks": (3, 3, 3, 3, 6)}),
    "input": Trial("input of the U-Net linear", constants={"lib.statistics.learned.DETAIL": 10.0}),
    # what is asked
    "unweighted": Trial("Eq. 4 unweighted", constants={"lib.training.loss.LEAST_LOSS": 1.0}),
    "narrow": Trial("noise levels half as spread", constants={"lib.training.loss.SIGMA_SPREAD": 0.6}),
    "distilled": Trial("what that denoiser says instead of the noise", taught=True),
    # how it is descended
    "rate-half": Trial("half the rate", {"rate": 1e-3}),
    "rate-double": Trial("twice the rate", {"rate": 4e-3}),
    "all-rates": Trial("waves and read-outs at the full rate", constants={
        "lib.training.loop.WAVES_SHARE": 1.0, "lib.training.loop.READ_SHARE": 1.0,
    }),
    "muon": Trial("Muon for matrices", constants={"torch.optim.AdamW": muon}),
    "average": Trial("a moving average of a tenth of the length", constants={"lib.training.loop.MEMORY": 0.98}),
    # what is seen
    "small-batch": Trial("half the crops a step, twice the steps", {"batch": 4}),
    "small-crops": Trial("small crops all the way", {"grow": RULER.steps}),
    "large-crops": Trial("large crops from the start", {"grow": 0}),
    "half-photographs": Trial("half the photographs of each source", photographs=halved),
    "one-source": Trial("photographs of one source alone", photographs=largest),
}  # fmt: skip
SAYS = f"an ordinary denoiser told x, {LONGER} times as long"
KNOWN = (BASE, ORDINARY, *(name for name in TRIALS if name != BASE))


def trials(
    out: Annotated[Path, typer.Argument(help="Folder of the table.")],
    data: Annotated[list[Path], typer.Option(help="folder of photographs or patch shards; repeatable")],
    minutes: Annotated[float, typer.Option(min=0.01, help="of the processor, a trial")] = 20.0,
    only: Annotated[list[str] | None, typer.Option(help=f"may be repeated; known: {', '.join(KNOWN)}")] = None,
) -> None:
    """Train each trial, measure it, add its row to OUT/trials.json."""
    for name in only or ():
        if name not in KNOWN:
            raise TextureError(f"no trial {name!r}; known are {', '.join(KNOWN)}")
    groups, held = batches.load(data, 3 * RULER.size // 2)
    patches = batches.validation_patches(held, PATCHES, PATCH)
    rows_of.agreed(out, {"data": [folder.name for folder in data], "photographs": sum(map(len, groups.values()))})
    path = out / TABLE
    found = read(out) if path.exists() else []
    for name in only or KNOWN:
        given = minutes * (LONGER if name == ORDINARY else 1)
        if any(row.name == name and row.minutes == given for row in found):
            continue
        try_it = tried_ordinary if name == ORDINARY else tried
        found = [row for row in found if row.name != name] + [try_it(name, groups, patches, given, out)]
        rows_of.write(path, found)
    for row in found:
        print(f"{row.says:<60}" + "".join(f"{loss:8.4f}" for loss in row.losses))


def sittings() -> list[list[Result]]:
    """The tables that come with the library: in each the base, and what was trained on the same machine that day."""
    return [read(folder) for folder in sorted(SHIPPED.glob("trials_*"))]


def read(folder: Path) -> list[Result]:
    """The table in a folder."""
    return rows_of.read(folder / TABLE, Result, "lib.training.trials")


def tried(name: str, groups: batches.Groups, patches: torch.Tensor, minutes: float, out: Path) -> Result:
    """One trial, trained and measured. One that is taught needs the ordinary denoiser in `out`."""
    trial = TRIALS[name]
    images = trial.photographs(groups)
    with replaced(trial, out) as recipe:
        trainer = Trainer(recipe, batches.Crops(images, recipe.seed))
        share = _clock(minutes)
        told = _teller(name)
        for record in trainer.run(share=lambda _: share()):
            told(record.place / record.steps, record.step, record.loss)
        model = trainer.averaged()
        losses = model_losses(model, patches)
    parameters, count = sum(p.numel() for p in model.parameters()), sum(len(group) for group in images.values())
    return Result(name, trial.says, minutes, trainer.step, trainer.samples, parameters, model.dim, count, losses)


def tried_ordinary(name: str, groups: batches.Groups, patches: torch.Tensor, minutes: float, out: Path) -> Result:
    """The ordinary denoiser, trained, kept in `out` and measured."""
    torch.manual_seed(RULER.seed)
    recipe = replace(RULER, batch=2 * RULER.batch, grow=2 * RULER.steps // 3)
    net, share, told = OrdinaryDenoiser(), _clock(minutes), _teller(name)
    step, samples = 0, 0
    for step, loss in ordinary.train(net, recipe, batches.Crops(groups, recipe.seed), share):
        samples += recipe.crops(int(share() * recipe.steps))[0]
        told(share(), step, loss)
    save_state(out / TEACHER, net.state_dict())
    parameters, count = sum(p.numel() for p in net.parameters()), sum(len(group) for group in groups.values())
    return Result(name, SAYS, minutes, step, samples, parameters, 0, count, losses_of(net.denoise, patches))


def _clock(minutes: float) -> Callable[[], float]:
    """What share of these minutes the processor has worked since this was first asked."""
    begun = 0.0

    def share() -> float:
        nonlocal begun
        begun = begun or time.process_time()  # what all do before the first step is not counted
        return (time.process_time() - begun) / (60 * minutes)

    return share


def _teller(name: str) -> Callable[[float, int, float], None]:
    """Tells how far a trial is, every ten seconds."""
    last = time.monotonic()

    def tell(over: float, step: int, loss: float) -> None:
        nonlocal last
        if time.monotonic() - last > 10:
            last = time.monotonic()
            print(f"{name}: {over:4.0%}, step {step}, loss {loss:.3f}", file=sys.stderr, flush=True)

    return tell


@contextmanager
def replaced(trial: Trial, out: Path) -> Iterator[Recipe]:
    """The recipe of a trial, with its architecture, its constants and its teacher (from `out`) in their places."""
    with ExitStack() as stack:
        if trial.taught:
            stack.enter_context(patch("lib.training.loss.loss", distilling(teacher(out))))
        stack.enter_context(patch.dict(loop.ARCHITECTURES, {"trial": replace(trial.start, **trial.architecture)}))
        for place, value in trial.constants.items():
            stack.enter_context(patch(place, value))
        yield replace(RULER, **trial.recipe)


def teacher(out: Path) -> OrdinaryDenoiser:
    """The ordinary denoiser that was trained into `out`."""
    if not (out / TEACHER).exists():
        raise TextureError(f"{out / TEACHER} is not there yet; run the trial {ORDINARY!r} into {out} first")
    net = OrdinaryDenoiser()
    net.load_state_dict(load_state(out / TEACHER))
    return net.eval().requires_grad_(False)


if __name__ == "__main__":
    run(trials)
