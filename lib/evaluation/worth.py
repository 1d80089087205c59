"""What a group of statistics is worth to the denoiser: how much its loss rises when their multipliers are left out.

    worth of G = |eps_hat without G - eps|^2 / |eps_hat - eps|^2 - 1

with eps_hat of Eq. 4. A group is the statistics that a model reads together: those of waves at one octave, or of the
U-Net at one scale. What groups share counts for none of them, since the others still say it; so worths do not add up.
What a texture needs is another question: see `unmatched.py`.
"""

import torch
from torch import Tensor

from lib.energy import predicted_noise
from lib.model import Model


def groups(model: Model) -> dict[str, slice]:
    """The learned statistics of each group, as slices of f, by name ("waves at 1/2"), in f's order."""
    a, start, found = model.architecture, model.architecture.known, dict[str, slice]()
    for name, count in zip(a.sources, a.readouts, strict=True):
        found[name] = slice(start, start + count)
        start += count
    return found


def worths(model: Model, x: Tensor, sigma: float, eps: Tensor) -> dict[str, float]:
    """Of each group, the mean of worths over images x [B,3,H,W] in [0,1] under noise sigma eps, one of eps for each."""
    with torch.no_grad():
        lam = model.multipliers(x, sigma)
    y = x + sigma * eps

    def loss(kept: Tensor) -> Tensor:
        return (predicted_noise(model.statistics, kept, y) - eps).square().mean((1, 2, 3))

    whole = loss(lam)
    return {name: (loss(_without(lam, part)) / whole - 1).mean().item() for name, part in groups(model).items()}


def _without(lam: Tensor, part: slice) -> Tensor:
    left = lam.clone()
    left[:, part] = 0
    return left
