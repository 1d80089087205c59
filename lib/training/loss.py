"""Eq. 4: min over theta, phi of E |grad_y[lambda_phi(x, sigma).f_theta(y)] - eps|^2, y = x + sigma eps.

Three choices stand beside the equation:

- sigma is log-normal (median 0.12 of the pixel range, a factor 3.3 either way at one standard deviation);
- a sample's loss is divided by what the best Gaussian model of x is expected to lose at that sigma, so that every
  noise level and every texture, smooth or rough, counts by the share that is left to learn;
- the statistics are periodic and a crop is not, so the loss leaves out the crop's outermost pixels.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lib.model import Model
from lib.statistics.quadratic import Quadratic

SIGMA_MEDIAN, SIGMA_SPREAD, SIGMA_RANGE = 0.12, 1.2, (0.01, 10.0)
LEAST_LOSS = 1e-4  # the Gaussian's expected loss is not trusted below it
FRAME = 4


def draw_sigma(count: int, generator: torch.Generator) -> Tensor:
    """Log-normal noise levels, in pixel units: [count]."""
    z = torch.randn(count, generator=generator, device=generator.device)
    return torch.exp(math.log(SIGMA_MEDIAN) + SIGMA_SPREAD * z).clamp(*SIGMA_RANGE)


def deep_loss(model: Model, y: Tensor, lam: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of |grad_y[N lam.f_net(y)] - target|^2 for the network's statistics; exact by torch.func.

    y, target [B,3,H,W]; lam [B,n] and weights [B] -> scalar. This is what gets compiled: it holds the double
    backward, and lam and target are ordinary inputs to it.
    """

    def energy(image: Tensor) -> Tensor:
        return image.shape[-1] * image.shape[-2] * (lam * model.statistics.deep(image)).sum()

    error = (torch.func.grad(energy)(y) - target)[..., FRAME:-FRAME, FRAME:-FRAME]
    return (weights * error.float().square().mean((1, 2, 3))).mean()


def deep_loss_bf16(model: Model, y: Tensor, *rest: Tensor) -> Tensor:
    """`deep_loss` with the convolutions in bfloat16; averages, energy and loss stay in float32."""
    with torch.autocast(y.device.type, torch.bfloat16):
        return deep_loss(model, y, *rest)


def deep_mean(model: Model, x: Tensor) -> Tensor:
    """The network's statistics of clean crops, no gradient: x [B,3,H,W] -> [B,n]. Compiled as well.

    Waves that are apart are never silent in it, lest what lambda_phi is told of x change when they join.
    """
    with torch.no_grad():
        return model.statistics.deep(x, silenced=False)


def deep_mean_bf16(model: Model, x: Tensor) -> Tensor:
    """`deep_mean` with the convolutions in bfloat16."""
    with torch.autocast(x.device.type, torch.bfloat16):
        return deep_mean(model, x).float()


def loss(
    model: Model, x: Tensor, sigma: Tensor, eps: Tensor,
    deep: Callable[..., Tensor] = deep_loss, mean: Callable[..., Tensor] = deep_mean,
) -> Tensor:  # fmt: skip
    """Eq. 4 on one batch, 1 being the Gaussian's: x, eps [B,3,H,W], sigma [B] -> scalar.

    The autocovariances' part of the gradient is linear and written out; only the network's needs a double backward.
    `deep` and `mean` may be compiled, or in bfloat16.
    """
    return regression(model, x, x + sigma[:, None, None, None] * eps, sigma, eps, deep, mean)


def regression(
    model: Model, x: Tensor, y: Tensor, sigma: Tensor, wanted: Tensor,
    deep: Callable[..., Tensor], mean: Callable[..., Tensor],
) -> Tensor:  # fmt: skip
    """How far eps_hat of y is from what is wanted there, in the units of `loss`: y, wanted [B,3,H,W] -> scalar."""
    mu, quadratic = mean(model, x), model.statistics.quadratic
    if quadratic is not None:
        with torch.no_grad():
            mu = torch.cat([quadratic(x), mu], 1)
    lam = model.multipliers(x, sigma, mu)
    known = model.architecture.known
    weights = relative_weight(x, sigma, lam[:, :known].detach() if known else None)
    target = wanted - _GAUSSIAN.to(x.device).predicted_noise(lam[:, :known], y) if known else wanted
    return deep(model, y, lam[:, known:], target, weights)


class Objective(nn.Module):
    """`loss` as a module, as DistributedDataParallel wants it."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, x: Tensor, sigma: Tensor, eps: Tensor, deep: Callable[..., Tensor], mean: Callable[..., Tensor]
    ) -> Tensor:
        return loss(self.model, x, sigma, eps, deep, mean)


def relative_weight(x: Tensor, sigma: Tensor, gaussian: Tensor | None = None) -> Tensor:
    """One over the expected loss of the best Gaussian model of x [B,3,H,W] at sigma [B], given its multipliers: [B]."""
    if gaussian is None:
        gaussian = _GAUSSIAN.to(x.device).multipliers(x, sigma)
    return 1 / _GAUSSIAN.expected_loss(gaussian, sigma, *x.shape[-2:]).clamp_min(LEAST_LOSS)


_GAUSSIAN = Quadratic()
