"""A training sized to a time: the schedule follows the clock, ends on it, and goes on after an interruption."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lib
from lib.__main__ import main
from lib.training import checkpoint, cli
from lib.training.batches import Crops
from lib.training.clock import Clock
from lib.training.loop import Recipe, Trainer

IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_the_share_runs_from_zero_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    clock = Clock(10, start=1000.0)  # one minute of the ten is kept
    assert clock.share(0) == 0
    now = 1000.0 + 140  # two minutes compiling, twenty seconds of training
    assert clock.share(20) == pytest.approx(20 / 420)
    now = 1000.0 + 340
    assert clock.share(220) == pytest.approx(220 / 420)
    now = 1000.0 + 540
    assert clock.share(420) == 1
    now = 5000.0
    resumed = Clock(10, start=5000.0, trained=220)
    assert resumed.share(220) == pytest.approx(220 / 540)


def test_the_schedule_follows_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty steps as a ruler, five shares of time: rate, waves and crops are those of steps 0, 5, 10, 15."""
    monkeypatch.setattr(Trainer, "_precondition", lambda self: None)  # a gradient a statistic, of no matter here
    recipe = Recipe(steps=20, warm=10, grow=15, batch=4, size=32)
    trainer = Trainer(recipe, Crops({"one": [IMAGE]}))
    shares = iter([0.0, 0.25, 0.5, 0.75, 1.0])
    seen = []
    for record in trainer.run(share=lambda _: next(shares)):
        seen.append((record.step, record.place, trainer.model.statistics.silent, trainer.samples))
    assert seen == [(1, 5, True, 4), (2, 10, True, 8), (3, 15, False, 12), (4, 20, False, 14)]
    assert trainer.optimiser.param_groups[0]["lr"] == pytest.approx(recipe.rate * 16 / 100)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for k in range(24):
        Image.fromarray(IMAGE[: 40 + k % 2, :48]).save(folder / f"{k}.png")
    return folder


def test_a_command_with_minutes_ends_in_time_with_a_model(tmp_path: Path, photographs: Path) -> None:
    out = tmp_path / "timed"
    command = ["train", "--config", "paper", "--batch", "2", "--size", "32", "--grow", "6000", "--minutes", "0.05"]
    start = time.monotonic()
    assert main([*command, "--data", str(photographs), "--out", str(out)]) == 0
    assert time.monotonic() - start < 20
    recipe = checkpoint.recipe(out / "timed.safetensors")
    assert recipe["samples"] == 2 * recipe["trained_steps"] > 0
    assert "% of the time" in lib.load(out / "timed.safetensors").card


def test_a_command_that_goes_on_from_a_model_draws_other_crops_and_noise(tmp_path: Path, photographs: Path) -> None:
    start = list[str]()
    for seed in range(3):
        out = tmp_path / f"sitting{seed}"
        command = ["train", "--config", "paper", "--batch", "2", "--size", "32", "--grow", "6000", "--steps", "1"]
        assert main([*command, *start, "--data", str(photographs), "--out", str(out)]) == 0
        start = ["--start", str(out / f"sitting{seed}.safetensors")]
        assert checkpoint.recipe(start[1])["seed"] == seed


def test_a_finished_training_called_again_keeps_what_was_added_to_its_model(tmp_path: Path, photographs: Path) -> None:
    """The bases of samplers are learned after it; what is damaged, or of fewer steps, makes room."""
    path = tmp_path / "run" / "run.safetensors"
    command = ["train", "--config", "paper", "--batch", "2", "--size", "32", "--grow", "9", "--data", str(photographs),
               "--out", str(path.parent), "--steps"]  # fmt: skip
    assert main([*command, "1"]) == 0
    model = checkpoint.load(path)
    model.whitening[0, 0] = 2
    checkpoint.save(model, path, "", {**checkpoint.recipe(path), "bases": {"photographs": 2}})
    assert main([*command, "1"]) == 0
    assert checkpoint.load(path).whitening[0, 0] == 2
    path.write_bytes(b"damaged")
    assert main([*command, "1"]) == 0
    assert checkpoint.load(path).whitening[0, 0] == 1
    assert main([*command, "2"]) == 0
    assert checkpoint.recipe(path)["trained_steps"] == 2


def test_where_there_is_no_terminal_a_training_says_now_and_then_where_it_is(
    tmp_path: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "SAY_EVERY", -1.0)
    command = ["train", "--config", "paper", "--batch", "2", "--size", "32", "--grow", "9", "--steps", "3"]
    assert main([*command, "--data", str(photographs), "--out", str(tmp_path / "run")]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["step 1", "step 2", "step 3"]
    assert "0 min left: loss" in lines[-1]
