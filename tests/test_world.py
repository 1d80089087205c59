"""`torchrun -m lib train` with two processes: the gradients of one, one writer, and resumed by any number."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lib.__main__ import main
from lib.errors import TextureError
from lib.training.batches import Crops
from lib.training.loop import Recipe, Trainer
from lib.training.world import World, check_device

ROOT = Path(__file__).resolve().parents[1]


def train(folder: Path, out: Path, steps: int, processes: int) -> dict[str, Any]:
    """A training by the command, here or by torchrun; returns the state it left."""
    options = f"train --config paper --steps {steps} --warm 0 --grow 9 --batch 4 --size 32 --data {folder} --out {out}"
    if processes == 1:
        assert main(options.split()) == 0
    else:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        done = subprocess.run(
            [*torchrun, "-m", "lib", *options.split()], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(".safetensors") == 1  # one of them speaks
    return torch.load(out / "state.pt", weights_only=True)


def moments(state: dict[str, Any]) -> torch.Tensor:
    """The optimiser's mean gradient as a vector: after one step a tenth of the gradient itself."""
    return torch.cat([entry["exp_avg"].flatten() for entry in state["optimiser"]["state"].values()])


def test_two_processes_are_one(tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(24):
        Image.fromarray(rng.integers(0, 256, (36, 40, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    alone = train(folder, tmp_path / "alone", 1, 1)
    together = train(folder, tmp_path / "together", 1, 2)
    torch.testing.assert_close(moments(together), moments(alone), rtol=1e-3, atol=1e-5 * moments(alone).abs().max())
    assert together["samples"] == 4
    resumed = train(folder, tmp_path / "together", 2, 1)  # what two began, one ends
    assert resumed["step"] == 2
    written = sorted(path.name for path in (tmp_path / "together").iterdir())
    assert written == ["state.pt", "together.md", "together.safetensors"]


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(TextureError, match="known are"):
        check_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(TextureError, match="no GPU here for cuda"):
            check_device("cuda")
    if not torch.backends.mps.is_available():
        with pytest.raises(TextureError, match="no GPU here for mps"):
            check_device("mps")


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    crops = Crops({"a": [np.zeros((64, 64, 3), dtype=np.uint8)]})
    with pytest.raises(TextureError, match="3 crops a step do not divide among 2"):
        Trainer(Recipe(steps=4, grow=2, batch=6, size=32), crops, world=World(1, 2))
