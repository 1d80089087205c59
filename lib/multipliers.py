"""lambda_phi(x, sigma): the multipliers, by a ConvNeXt (Liu et al. 2022) with FiLM (Perez et al. 2018) on sigma.

What lambda must be is known to first order, and the network is left the rest:

- structure is worth nothing where the noise is larger than it, and a gradient of unit size is worth the same
  whatever statistic it comes from: the network's output is multiplied by S / (S + sigma^2), with S the variance that
  x has at the scale which the statistic is read at, and by the inverse of the typical gradient of the statistic;
- but for `paper`, the autocovariances' multipliers are the Gaussian's own, solved in closed form
  (quadratic.py), and the network gives the others;
- f(x) itself (no gradient) is given to the head: lambda and mu = E f determine each other.
"""

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.statistics.learned import LearnedStatistics
from lib.statistics.periodic import around

LEAST_VARIANCE = 1e-5  # pixel units squared: less than one grey level
OUTPUT_SCALE = 0.001  # so small that a step of the optimiser moves eps_hat by less than what a batch can tell
MU_SCALE = 0.3  # f(x) enters the head as asinh(f / MU_SCALE), of order one for most statistics


class Film(nn.Module):
    """Scale and shift of features by an embedding of sigma: h [B,C,...], e [B,E] -> like h."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.affine = nn.Linear(embedding, 2 * channels)
        nn.init.zeros_(self.affine.weight)
        nn.init.zeros_(self.affine.bias)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        scale, shift = self.affine(e)[(...,) + (None,) * (h.dim() - 2)].chunk(2, 1)
        return h * (1 + scale) + shift


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, normalisation, FiLM, pointwise expansion by 4 and back, residual. [B,C,H,W]"""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.GroupNorm(1, channels)
        self.film = Film(channels, embedding)
        self.expand = nn.Conv2d(channels, 4 * channels, 1)
        self.contract = nn.Conv2d(4 * channels, channels, 1)
        nn.init.zeros_(self.contract.weight)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        return h + self.contract(F.gelu(self.expand(self.film(self.norm(self.depthwise(h)), e))))


class Multipliers(nn.Module):
    """lambda_phi: x [B,3,H,W] in [0,1], sigma [B] or a number (same units) -> lam [B,512].

    `preconditioner` mixes the outputs so that each moves eps_hat in a direction of its own (training/precondition.py).
    """

    preconditioner: Tensor

    def __init__(
        self, dim: int, known: int, channels: tuple[int, ...] = (48, 96, 160), depth: int = 2, width: int = 384
    ) -> None:
        """`dim` statistics in mu, of which the multipliers of the first `known` are not asked of the network."""
        super().__init__()
        embedding = 64
        self.embed = nn.Sequential(nn.Linear(16, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU())
        self.stem = nn.Conv2d(3, channels[0], 4, stride=4)
        self.stages = nn.ModuleList(
            nn.ModuleList(ConvNeXtBlock(c, embedding) for _ in range(depth)) for c in channels
        )
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(channels)
        )
        self.join = nn.Linear(channels[-1] + dim, width)
        self.films = nn.ModuleList(Film(width, embedding) for _ in range(2))
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.out = nn.Linear(width, dim - known)
        # before training no direction is known: of n unit vectors in any position, no sum is longer than n^(1/2)
        self.register_buffer("preconditioner", torch.eye(dim - known) / (dim - known) ** 0.5)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def raw(self, x: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
        """The network's output, of order one: x [B,3,H,W], mu = f(x) [B,d], sigma [B] -> [B,n]."""
        octave = torch.log2(sigma.float())[:, None]
        centres = torch.linspace(-7, 4, 16, device=x.device)
        e = self.embed(torch.exp(-((octave - centres) ** 2)))
        h = self.stem(4 * (x - 0.5))
        for s, blocks in enumerate(self.stages):
            for block in cast(nn.ModuleList, blocks):
                h = block(h, e)
            if s < len(self.down):
                h = self.down[s](h)
        h = self.join(torch.cat([h.mean((2, 3)), torch.asinh(mu / MU_SCALE)], 1))
        for film, hidden in zip(self.films, self.hidden, strict=True):
            h = h + F.silu(hidden(film(F.layer_norm(h, h.shape[1:]), e)))
        return OUTPUT_SCALE * self.out(h)


def scale_variances(x: Tensor, scales: int) -> Tensor:
    """Variance of x [B,3,H,W] at each scale, on the footing of white noise (sigma^2 at all): [B,scales]."""
    variances = []
    for scale in range(scales):
        if scale:
            x = F.avg_pool2d(x, 2)
        variances.append(4**scale * (x - around(x)).square().mean((1, 2, 3)))
    return torch.stack(variances, 1) + LEAST_VARIANCE


def envelope(f: LearnedStatistics, x: Tensor, sigma: Tensor) -> Tensor:
    """What the network's output is multiplied by, see above: x [B,3,H,W] (or one for all), sigma [B] -> [B,n]."""
    variances = scale_variances(x, 1 + max(f.architecture.scales))
    columns = []
    for group, scale in enumerate(f.architecture.scales):
        power, noise = variances[:, scale, None], sigma[:, None] ** 2
        columns.append(power / (power + noise) * f.gradient_inverse(group, (power + noise) / 4**scale))
    return torch.cat(columns, 1)


def multipliers(net: Multipliers, f: LearnedStatistics, x: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    """lam(x, sigma) for the statistics f, mu = f(x): the network's output and what is known of lambda. [B,d]

    x [B,3,H,W] and mu [B,d], or one of each for all of sigma [B].
    """
    count = len(sigma)
    raw = net.raw(x.expand(count, -1, -1, -1), mu.expand(count, -1), sigma)
    if f.quadratic is None:
        return envelope(f, x, sigma) * raw
    known = f.quadratic.multipliers(x, sigma)
    return torch.cat([known, envelope(f, x, sigma) * (raw @ net.preconditioner)], 1)


def as_sigma(sigma: Tensor | float, x: Tensor) -> Tensor:
    """sigma as [B] on x's device, a number being the same for every image."""
    sigma = torch.as_tensor(sigma, dtype=torch.float32, device=x.device)
    return sigma.expand(x.shape[0]) if sigma.dim() == 0 else sigma


