"""The paper profile's first two steps: filter your photographs, train on them in full."""

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
    """The commands, in order; each continues where it was interrupted and is quick when all is done."""
    patches = settings.root / "data" / "patches"
    out, device = str(model_path(settings.root).parent), settings.device
    python = [sys.executable, "-m", "lib"]
    return [
        [*python, "filter", settings.data, "--out", str(patches)],
        [*python, "train", "--data", str(patches), *RECIPE, "--out", out, "--device", device,
         *(["--compile", "--bf16"] if device == "cuda" else [])],
    ]  # fmt: skip


def prepare(settings: Settings) -> None:
    """Run the steps.

    Raises:
        TextureError: one of them failed; its own words are above.
    """
    for step in steps(settings):
        if subprocess.run(step, cwd=settings.root, check=False).returncode:
            raise TextureError(f"`{' '.join(step[1:4])} ...` failed; the same command goes on where it was")
