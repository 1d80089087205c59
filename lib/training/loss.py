"""Eq. 4: min over theta, phi of E |grad_y[lambda_phi(x, sigma).f_theta(y)] - eps|^2, y = x + sigma eps.

Three choices stand beside the equation:

- sigma is log-normal (median 0.15 of the pixel range, a factor 3.3 either way at one standard deviation);
- each sample counts 1 + (sigma / 0.2)^2 times, at most 30 (the weighting of Karras et al. 2022 in these units: at
  large sigma a small error in eps is a large one in x, and diffusion starts there);
- the statistics are periodic and a crop is not, so the loss leaves out the crop's outermost pixels.
"""

import math

import torch
from torch import Tensor

from lib.model import Model

SIGMA_MEDIAN, SIGMA_SPREAD, SIGMA_RANGE = 0.15, 1.2, (0.01, 10.0)
WEIGHT_SIGMA, WEIGHT_MAX = 0.2, 30.0
FRAME = 4


def draw_sigma(count: int, generator: torch.Generator) -> Tensor:
    """Log-normal noise levels, in pixel units: [count]."""
    z = torch.randn(count, generator=generator, device=generator.device)
    return torch.exp(math.log(SIGMA_MEDIAN) + SIGMA_SPREAD * z).clamp(*SIGMA_RANGE)


def weight(sigma: Tensor) -> Tensor:
    """How much a sample at this noise level counts: [B] -> [B]."""
    return (1 + (sigma / WEIGHT_SIGMA) ** 2).clamp(max=WEIGHT_MAX)


def deep_loss(model: Model, y: Tensor, lam: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of |grad_y[N lam.f_net(y)] - target|^2 for the network's statistics; exact by torch.func.

    y, target [B,3,H,W]; lam [B,n] and weights [B] -> scalar. This is what gets compiled: it holds the double
    backward, and lam and target are ordinary inputs to it.
    """

    def energy(image: Tensor) -> Tensor:
        return image.shape[-1] * image.shape[-2] * (lam * model.statistics.deep(image)).sum()

    error = (torch.func.grad(energy)(y) - target)[..., FRAME:-FRAME, FRAME:-FRAME]
    return (weights * error.float().square().mean((1, 2, 3))).mean()


def loss(model: Model, x: Tensor, sigma: Tensor, eps: Tensor, deep=deep_loss) -> Tensor:  # type: ignore[no-untyped-def]
    """Eq. 4 on one batch: x, eps [B,3,H,W], sigma [B] -> scalar. `deep` may be a compiled `deep_loss`.

    The autocovariances' part of the gradient is linear and written out; only the network's needs a double backward.
    """
    y = x + sigma[:, None, None, None] * eps
    lam = model.multipliers(x, sigma)
    quadratic = model.statistics.quadratic
    if quadratic is None:
        return deep(model, y, lam, eps, weight(sigma))
    target = eps - quadratic.predicted_noise(lam[:, : quadratic.dim], y)
    return deep(model, y, lam[:, quadratic.dim :], target, weight(sigma))
