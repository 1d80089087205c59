"""`python -m lib train`: from a folder of photographs or patch shards to a checkpoint with its card."""

import hashlib
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lib.errors import TextureError
from lib.training import batches, checkpoint
from lib.training.card import write_card
from lib.training.clock import Clock
from lib.training.loop import ARCHITECTURES, Recipe, Trainer
from lib.training.resident import ResidentCrops
from lib.training.validation import SIGMAS, log_losses, loss_table
from lib.training.world import join

SAVE_EVERY, VALIDATE_EVERY = 120.0, 300.0  # seconds
SAY_EVERY = 60.0  # seconds between lines where there is no terminal to redraw
VALIDATE_SHARE = 0.05  # of the time at most: on one core it takes a minute
PATCHES, PATCH = 16, 128  # of the validation set; lags of 32 pixels cannot be told apart on smaller ones


def train(
    data: Annotated[list[Path], typer.Option(help="folder of photographs or patch shards; repeatable")],
    out: Annotated[Path, typer.Option(help="folder of the run: state, losses, model, card")] = Path("runs/default"),
    config: Annotated[str, typer.Option(help=", ".join(ARCHITECTURES))] = "waves",
    steps: Annotated[int, typer.Option(min=1, help="steps in all; more than before goes on training")] = 6000,
    warm: Annotated[int, typer.Option(min=0, help="of these, with the waves alone (hybrid: the U-Net)")] = 4000,
    grow: Annotated[int, typer.Option(min=0, help="from this step on, half as many crops, of 3/2 the side")] = 2500,
    batch: Annotated[int, typer.Option(min=1, help="crops a step")] = 16,
    size: Annotated[int, typer.Option(min=32, help="side of a crop at first, pixels")] = 64,
    rate: Annotated[float, typer.Option(min=0.0, help="learning rate; hybrid learns nothing above 1e-3")] = 2e-3,
    muon: Annotated[
        float, typer.Option(min=0.0, help="learning rate of Muon, for the U-Net's filters; 0: AdamW for all weights")
    ] = 0.0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="of crops and noise", show_default="0, or what follows that of --start")
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            help="model, name or .safetensors, with the same U-Net or waves: go on from it, nothing silent",
            metavar="MODEL",
        ),
    ] = "",
    minutes: Annotated[
        float, typer.Option(min=0.0, help="instead of steps: time for all sittings, on which the schedule is stretched")
    ] = 0.0,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="quicker after 10 to 20 minutes")] = False,
    bf16: Annotated[bool, typer.Option("--bf16/--no-bf16", help="in bfloat16, where bench says so")] = False,
    channels_last: Annotated[
        bool, typer.Option("--channels-last/--no-channels-last", help="channels innermost, where bench says so")
    ] = False,
) -> None:
    """Train f and lambda by Eq. 4. Interrupt at will: the same command goes on where it was.

    Every five minutes, or more where it would cost too much, validation.csv in the folder of the run gets a row: the
    loss at each of eight noise levels on photographs that are not trained on.

    Under torchrun (torchrun --nproc-per-node 8 -m lib train ...) the processes share each batch.
    """
    begun = time.monotonic()
    seed = seed_after(start) if seed is None else seed
    recipe = Recipe(config, steps, warm, grow, batch, size, rate, seed, start, muon)
    out.mkdir(parents=True, exist_ok=True)  # now, not after an hour
    train_groups, held = batches.load(data, size if grow >= steps else 3 * size // 2)
    world = join(device)
    crops = ResidentCrops(train_groups, seed, world.device) if device == "cuda" else batches.Crops(train_groups, seed)
    trainer = Trainer(recipe, crops, world.device, compiled, bf16, channels_last, world)
    state, path = out / "state.pt", out / f"{out.resolve().name}.safetensors"
    if state.exists():
        trainer.resume(state)
    share = Clock(minutes, begun, trainer.seconds).share if minutes else None
    patches = batches.validation_patches(held, PATCHES, PATCH)
    columns = (TextColumn("step {task.fields[step]}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
               TextColumn("{task.description}"))  # fmt: skip
    try:
        with Progress(*columns, disable=world.rank > 0) as progress:
            task = progress.add_task("", total=steps, completed=trainer.step, step=trainer.step)
            saved = validated = spoken = time.monotonic()
            terminal = progress.console.is_terminal
            mean, wait = 1.0, VALIDATE_EVERY
            for record in trainer.run(share=share):
                mean += 0.02 * (record.loss - mean)
                said = f"loss {mean:.3f} of the Gaussian's"
                progress.update(task, completed=record.place, step=record.step, description=said)
                if not terminal and time.monotonic() - spoken > SAY_EVERY and not world.rank:
                    spoken = time.monotonic()
                    left = progress.tasks[task].time_remaining
                    about = "" if left is None else f", about {left / 60:.0f} min left"
                    now = f"step {record.step}, {record.seconds / 60:.0f} min{about}: {said}"
                    print(now, file=sys.stderr, flush=True)
                if time.monotonic() - saved > SAVE_EVERY:
                    trainer.save(state)
                    write(trainer, data, path, {}, minutes)
                    saved = time.monotonic()
                if time.monotonic() - validated > wait and not world.rank:
                    before = time.monotonic()
                    log_losses(out / "validation.csv", trainer.averaged(), patches, trainer.step, trainer.seconds)
                    validated = time.monotonic()
                    wait = max(VALIDATE_EVERY, (validated - before) / VALIDATE_SHARE)
    finally:
        trainer.save(state)
    world.leave()
    if world.rank:
        return
    if not finished(path, trainer.step):
        write(trainer, data, path, {"sigmas": list(SIGMAS), **loss_table(trainer.averaged(), patches)}, minutes)
    for row, losses in checkpoint.recipe(path)["losses"].items():
        if row != "sigmas":
            print(f"{row:<12}" + "".join(f"{value:8.4f}" for value in losses))
    print(path)


def finished(path: Path, step: int) -> bool:
    """Whether an earlier call wrote the model of this step with its losses: what was added since, its bases, stays."""
    try:
        recipe = checkpoint.recipe(path)
    except TextureError:  # there is none yet, or what is there is damaged or foreign, and makes room
        return False
    return recipe.get("trained_steps") == step and bool(recipe.get("losses"))


def write(
    trainer: Trainer, data: list[Path], path: Path, losses: dict[str, list[float]], minutes: float = 0.0
) -> Path:
    """The checkpoint of a trainer's averaged weights, with recipe and card, by the first of several processes."""
    if trainer.world.rank:
        return path
    recipe = {**asdict(trainer.recipe), "seconds": round(trainer.seconds), "trained_steps": trainer.step,
              "samples": trainer.samples, "minutes": minutes, "before": before(trainer.recipe.start),
              "data": [folder.name for folder in data], "losses": losses}  # fmt: skip
    model = trainer.averaged()
    return checkpoint.save(model, path, write_card(model, recipe), recipe)


def seed_after(start: str) -> int:
    """Of a training that goes on from a model: crops and noise are not to be those that it was trained on."""
    return checkpoint.recipe(start).get("seed", 0) + 1 if start else 0


def before(start: str) -> dict[str, Any]:
    """What the model that training went on from had seen, all that it went on from included; nothing for none."""
    if not start:
        return {}
    path, recipe = checkpoint.find(start), checkpoint.recipe(start)
    earlier = {key: recipe.get("before", {}).get(key, 0) for key in ("seconds", "samples", "trained_steps")}
    return {
        "name": path.stem, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        **{key: recipe[key] + value for key, value in earlier.items()},
    }  # fmt: skip
