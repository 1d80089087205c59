"""The paper profile's first three steps: filter your photographs, train on them in full, learn the samplers' bases."""

import subprocess
import sys
from pathlib import Path

from lib.companion.run import Settings
from lib.errors import TextureError

# 5 million samples, the paper's five passes over one million, of which the network has a tenth to itself
RECIPE = [
    "--config", "large", "--steps", "78125", "--warm", "8000", "--grow", "78125", "--batch", "64", "--size", "128",
    "--rate", "1e-3", "--muon", "5e-3",
]  # fmt: skip


def model_path(root: Path) -> Path:
    """Where the model trained by the paper profile lies."""
    return root / "runs" / "paper" / "paper.safetensors"


def steps(settings: Settings) -> list[list[str]]:
    """The commands, in order; the first two go on where they were interrupted and are quick when all is done."""
    patches, model, device = str(settings.root / "data" / "patches"), model_path(settings.root), settings.device
    python = [sys.executable, "-m"]
    return [
        [*python, "lib", "filter", settings.data, "--out", patches],
        [*python, "lib", "train", "--data", patches, *RECIPE, "--out", str(model.parent), "--device", device,
         *(["--compile", "--bf16"] if device == "cuda" else [])],
        [*python, "lib.training.bases", str(model), "--data", patches],
    ]  # fmt: skip


def prepare(settings: Settings) -> None:
    """Run the steps, the last where the model has no bases yet.

    Raises:
        TextureError: one of them failed; its own words are above.
    """
    from lib.training import checkpoint  # takes seconds, which --list need not wait

    filtering, training, bases = steps(settings)
    _run(filtering, settings.root)
    _run(training, settings.root)
    if "bases" not in checkpoint.recipe(model_path(settings.root)):
        _run(bases, settings.root)


def _run(step: list[str], root: Path) -> None:
    if subprocess.run(step, cwd=root, check=False).returncode:
        raise TextureError(f"`{' '.join(step[1:4])} ...` failed; the same command goes on where it was")
