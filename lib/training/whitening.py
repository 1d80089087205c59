"""The basis in which matching measures f: what varies within a texture counts by how much it varies.

    python -m lib.training.whitening CHECKPOINT --data PHOTOGRAPHS           after training; rewrites the checkpoint

Statistics vary together: where a piece of a texture has a little more contrast, a hundred of them are larger. If each
is measured in its own spread, |f(x) - f(x0)|^2 counts that one difference a hundred times, and what tells a texture's
pieces from an imitation hardly at all. So the residuals r = (f(b) - f(a)) / spread of two pieces a, b of many
photographs are collected, each scaled to one length, lest the least homogeneous photographs decide, and with their
covariance C = E r r',

    W = (C + delta I)^(-1/2) up to a factor,     E |W r|^2 / d = 1 :

|W (f(x) - f(x0)) / spread|^2 is Mahalanobis's distance. `SHARE` of the mean eigenvalue is taken for delta: C is of rank
N at most and its small eigenvalues are not known. For the same reason the mean of 1 is that of these pairs alone, and
pieces of other photographs lie further apart.
"""

import re
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

from lib.command import run
from lib.errors import TextureError
from lib.samplers.match import HasStatistics, Targets
from lib.statistics.quadratic import periodic_component
from lib.training import batches, checkpoint
from lib.training.precondition import inverse_root

PAIRS = 256
SIDE = 128  # pixels, of a piece
SHARE = 0.05
SEED = 0


def whiten(
    path: Annotated[Path, typer.Argument(help="A checkpoint, .safetensors.", metavar="CHECKPOINT")],
    data: Annotated[list[Path], typer.Option(help="folder of photographs; repeatable")],
    pairs: Annotated[int, typer.Option(min=2, help="photographs that give two pieces each")] = PAIRS,
) -> None:
    """Learn the basis from photographs and write it into the checkpoint."""
    model, recipe = checkpoint.load(path), checkpoint.recipe(path)
    photographs = chosen(batches.load(data, 2 * SIDE)[0], pairs)
    rows = []
    for k, image in enumerate(photographs, 1):
        rows.append(residual(model, image))
        if k % 16 == 0:
            print(f"{k} of {len(photographs)} photographs", file=sys.stderr, flush=True)
    model.whitening.copy_(whitening(torch.stack(rows)))
    recipe["whitening"] = {"pairs": len(rows), "side": SIDE, "share": SHARE, "data": [folder.name for folder in data]}
    beside = path.with_suffix(".md")
    card = re.sub(r"\nsha256 of `.*\n", "", beside.read_text(encoding="utf-8") if beside.exists() else "")
    print(checkpoint.save(model, path, card, recipe))


def chosen(groups: batches.Groups, pairs: int) -> list[Tensor]:
    """At most so many photographs of all groups, [3,H,W] in [0,1]; TextureError for less than two."""
    source = batches.Crops(groups)
    count = sum(source.counts)
    if count < 2:
        raise TextureError(f"{count} photographs of at least {2 * SIDE} pixels a side; give more")
    places = np.random.default_rng(SEED).permutation(count)[:pairs]
    return [torch.from_numpy(source.image(int(k)).copy()).permute(2, 0, 1).float() / 255 for k in places]


@torch.no_grad()
def residual(model: HasStatistics, photograph: Tensor) -> Tensor:
    """By how many spreads the statistics of two opposite corners of [3,H,W] differ: [d]."""
    first, second = photograph[None, :, :SIDE, :SIDE], photograph[None, :, -SIDE:, -SIDE:]
    targets = Targets.of(model, first)
    return ((model.statistics(periodic_component(second)) - targets.mu) / targets.spread)[0]


def whitening(residuals: Tensor) -> Tensor:
    """W [d,d], symmetric, from residuals [N,d]."""
    rows = residuals.double()
    rows = rows / rows.square().mean(1, keepdim=True).sqrt().clamp_min(1e-12)
    covariance = rows.T @ rows / len(rows)
    delta = SHARE * covariance.diagonal().mean()
    root = inverse_root(covariance + delta * torch.eye(len(covariance), dtype=torch.float64)).double()
    return (root / (rows @ root).square().mean().sqrt()).float()


if __name__ == "__main__":
    run(whiten)
