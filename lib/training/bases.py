"""Two bases that samplers use and that are learned when f is: after training, and written into the checkpoint.

    python -m lib.training.bases CHECKPOINT --data PHOTOGRAPHS

`whitening` (whitening.py) is the basis in which matching measures differences of f; `directions` (precondition.py) that
in which diffusion corrects lambda. The second is what `precondition.py` gives to lambda before training, of the waves
alone; training moves the waves and adds the U-Net to them.
"""

import re
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.progress import track
from torch import Tensor

from lib.command import run
from lib.errors import TextureError
from lib.model import Model
from lib.training import batches, checkpoint
from lib.training.loss import draw_sigma, relative_weight
from lib.training.precondition import gram, inverse_root
from lib.training.whitening import SIDE, residuals, whitening

SEED = 0
CROPS, CROP = 24, 64  # how many, and of how many pixels a side, the gradients are measured on
AT_ONCE = 4  # crops


def learn(
    path: Annotated[
        Path, typer.Argument(help="A checkpoint, .safetensors, or a shipped model's name; rewritten.", metavar="MODEL")
    ],
    data: Annotated[list[Path], typer.Option(help="folder of photographs or of patch shards; repeatable")],
    most: Annotated[int, typer.Option(min=2, help="photographs at most")] = 1000,
) -> None:
    """Learn the bases of matching and of diffusion's correction from photographs, and keep them with the model."""
    path = checkpoint.find(path)
    model, recipe = checkpoint.load(path), checkpoint.recipe(path)
    groups = load(data)
    photographs = chosen(groups, most)
    rows = [residuals(model, image) for image in track(photographs, "photographs")]
    model.whitening.copy_(whitening(torch.stack(rows)))
    model.directions = directions(model, groups)
    recipe["bases"] = {"photographs": len(rows), "data": [folder.name for folder in data]}
    beside = path.with_suffix(".md")
    card = re.sub(r"\nsha256 of `.*\n", "", beside.read_text(encoding="utf-8") if beside.exists() else "")
    print(f"{checkpoint.save(model, path, card, recipe)}: from {len(rows)} photographs")


def load(data: list[Path]) -> batches.Groups:
    """Photographs that have room for two pieces; or where there are none, as in patch shards, for two of half the side.

    Raises TextureError for folders that have neither.
    """
    try:
        return batches.load(data, 2 * SIDE)[0]
    except TextureError:
        return batches.load(data, SIDE)[0]


def chosen(groups: batches.Groups, most: int) -> list[Tensor]:
    """At most so many photographs of all groups, [3,H,W] in [0,1]; TextureError for less than two."""
    source = batches.Crops(groups)
    count = sum(source.counts)
    if count < 2:
        raise TextureError(f"{count} photograph of {2 * SIDE} pixels a side, or else of {SIDE}; give two or more")
    places = np.random.default_rng(SEED).permutation(count)[:most]
    return [torch.from_numpy(source.image(int(k)).copy()).permute(2, 0, 1).float() / 255 for k in places]


def directions(model: Model, groups: batches.Groups) -> Tensor:
    """Combinations [n,n] of the network's statistics whose gradients are orthogonal, nearly, in units of lambda's."""
    x = batches.Crops(groups, SEED).batch(0, CROPS, CROP)
    generator = torch.Generator().manual_seed(SEED)
    sigma, eps = draw_sigma(CROPS, generator), torch.randn(x.shape, generator=generator)
    parts = [slice(k, k + AT_ONCE) for k in range(0, CROPS, AT_ONCE)]
    grams = [
        gram(model, x[part], sigma[part], eps[part], relative_weight(x[part], sigma[part]))
        for part in track(parts, "gradients")
    ]
    return inverse_root(torch.stack(grams).mean(0))


if __name__ == "__main__":
    run(learn)
