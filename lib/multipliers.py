"""lambda_phi(x, sigma): the multipliers, by a ConvNeXt (Liu et al. 2022) with FiLM (Perez et al. 2018) on sigma.

What lambda must be is known to first order, and the network is left the rest:

- a Gaussian texture's multipliers are proportional to sigma / (sigma^2 + variance), so the network's output is
  multiplied by that, with the variance of a texture's fine detail;
- in the `default` configuration the autocovariances' multipliers are the Gaussian's own, solved in closed form
  (quadratic.py) and only scaled by the network;
- f(x) itself (no gradient) is given to the head: lambda and mu = E f determine each other.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.statistics.learned import LearnedStatistics

DETAIL_VARIANCE = 0.003  # pixel units squared
OUTPUT_SCALE = 2e-4  # an output of order one must move eps_hat by less than one: f's gradients are in the hundreds
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
    """lambda_phi: x [B,3,H,W] in [0,1], sigma [B] or a number (same units) -> lam [B,512]."""

    def __init__(self, dim: int, channels: tuple[int, ...] = (48, 96, 160), depth: int = 2, width: int = 384) -> None:
        super().__init__()
        embedding = 64
        self.embed = nn.Sequential(nn.Linear(16, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU())
        self.stem = nn.Conv2d(3, channels[0], 4, stride=4)
        self.stages = nn.ModuleList(
            nn.ModuleList(ConvNeXtBlock(c, embedding) for _ in range(depth)) for c in channels
        )
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 2, stride=2) for a, b in zip(channels, channels[1:], strict=False)
        )
        self.join = nn.Linear(channels[-1] + dim, width)
        self.films = nn.ModuleList(Film(width, embedding) for _ in range(2))
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.out = nn.Linear(width, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def raw(self, x: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
        """The network's output, of order one: x [B,3,H,W], mu = f(x) [B,d], sigma [B] -> [B,d]."""
        octave = torch.log2(sigma.float())[:, None]
        centres = torch.linspace(-7, 4, 16, device=x.device)
        e = self.embed(torch.exp(-((octave - centres) ** 2)))
        h = self.stem(4 * (x - 0.5))
        for s, blocks in enumerate(self.stages):
            for block in blocks:
                h = block(h, e)
            if s < len(self.down):
                h = self.down[s](h)
        h = self.join(torch.cat([h.mean((2, 3)), torch.asinh(mu / MU_SCALE)], 1))
        for film, hidden in zip(self.films, self.hidden, strict=True):
            h = h + F.silu(hidden(film(F.layer_norm(h, h.shape[1:]), e)))
        return self.out(h)


def sigma_scale(sigma: Tensor) -> Tensor:
    """How a Gaussian's multipliers depend on sigma, sigma / (sigma^2 + variance of detail), scaled: [B] -> [B,1]."""
    return (OUTPUT_SCALE * sigma / (sigma**2 + DETAIL_VARIANCE))[:, None]


def multipliers(net: Multipliers, f: LearnedStatistics, x: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    """lam(x, sigma) for the statistics f, with mu = f(x): the network's output and what is known of lambda. [B,d]"""
    raw = net.raw(x, mu, sigma)
    scaled = sigma_scale(sigma) * raw
    if f.quadratic is None:
        return scaled
    known = f.quadratic.multipliers(x, sigma)
    # the first output, which the mean of luminance does not need for itself, says how much of the Gaussian to keep
    return torch.cat([known * (1 + raw[:, :1]), scaled[:, f.quadratic.dim :]], 1)


def as_sigma(sigma: Tensor | float, x: Tensor) -> Tensor:
    """sigma as [B] on x's device, a number being the same for every image."""
    sigma = torch.as_tensor(sigma, dtype=torch.float32, device=x.device)
    return sigma.expand(x.shape[0]) if sigma.dim() == 0 else sigma


