"""What corrects lambda on the way of diffusion: Newton's step towards the statistics that y should have.

Under noise too a maximum-entropy density keeps its statistics, E f(y) = mu(sigma) = E f(x0 + sigma eps), which can be
measured; lambda_phi, which guesses lambda at a glance, misses it. An eps_hat of N a.grad f(y) more, a [n], takes

    f(y - sigma eps_hat) - f(y) = -3 sigma R a,     R = (N / 3) <grad f, grad f'>   (a pixel has three channels)

from the statistics, and is a'R a in the mean square. So the smallest change that takes f to mu is

    a = R^(-1) (f(y) - mu) / (3 sigma),

in which a statistic that is too large becomes dearer, as in the stochastic approximation of De Bortoli et al. (2021),
but without memory. Both mu and R are told from a few draws of f(x0 + sigma eps), their mean and their covariance, which
is sigma^2 <grad f, grad f'> to first order. Several hundred unknowns a side from a hundred draws: so correlations are
those of all levels together, drawn towards those of photographs on average (`Model.directions`).

R is not known well, and f is not linear. Both are mended by one more gradient, of a.f alone: its mean square is what
a'R a really is, and the step goes on along a only as far as is best for that.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lib.model import Model
from lib.multipliers import envelope
from lib.samplers.step import APART, white_noise

DRAWS = 5  # of noise, a level
NEIGHBOURS = 2  # levels either side, over which variances are averaged
FLAT = 0.2  # share of a statistic's variance that is the mean of all
SHRINK = 0.6  # share of the correlations that is the photographs'
MOST = 1.0  # no correction is larger, in units of the noise that the best estimate of x could be wrong by


@dataclass(frozen=True)
class Correction:
    """Newton's step at each of K noise levels.

    `mu` [K,n], the mean of the network's statistics of the noisy exemplar; `newton` [K,n,n], R^(-1) / (3 sigma);
    `sigma` [K]; `most` [K], the root mean square of the largest correction of eps_hat. `share` of the step is made.
    """

    mu: Tensor
    newton: Tensor
    sigma: Tensor
    most: Tensor
    share: float = 1.0

    def at(self, k: int, f: Tensor) -> tuple[Tensor, Tensor]:
        """a [B,n] at level k for the network's statistics f [B,n], and a'R a [B], what R says of its size."""
        off = f - self.mu[k]
        a = off @ self.newton[k]
        return a, (a * off).sum(1) / (3 * self.sigma[k])


@torch.no_grad()
def correction(model: Model, x: Tensor, sigmas: Tensor, variance: float, share: float) -> Correction:
    """Measured on an exemplar x [1,3,H,W] at noise levels sigmas [K]; `variance` is that of its pixels."""
    f, mu, apart = model.statistics.deep, [], []
    basis = envelope(model.statistics, x.expand(len(sigmas), -1, -1, -1), sigmas)[:, :, None] * (
        model.lambda_phi.preconditioner if model.directions is None else model.directions
    )
    for k, sigma in enumerate(sigmas):
        found = torch.cat([f(x + sigma * eps) for eps in white_noise(DRAWS, x.shape[-2], x.shape[-1], k, APART)])
        mu.append(found.mean(0, keepdim=True))
        apart.append((found - mu[-1]) @ basis[k] / sigma)
    pixels = x.shape[-2] * x.shape[-1]
    R_inverse = inverse_responses((pixels / 3 * DRAWS / (DRAWS - 1)) ** 0.5 * torch.stack(apart))
    newton = basis @ R_inverse @ basis.mT / (3 * sigmas[:, None, None])
    return Correction(torch.cat(mu), newton, sigmas, MOST * (variance / (variance + sigmas**2)).sqrt(), share)


def inverse_responses(draws: Tensor) -> Tensor:
    """R^(-1) [K,n,n] from draws [K,m,n] whose second moments are R: variances by level, correlations of all."""
    levels = torch.arange(len(draws))
    weights = (1 - (levels[:, None] - levels).abs() / (NEIGHBOURS + 1)).clamp_min(0)
    variance = weights / weights.sum(1, keepdim=True) @ draws.square().mean(1)
    size = torch.lerp(variance, variance.mean(1, keepdim=True), FLAT).clamp_min(1e-20).sqrt()
    rows = (draws / size[:, None]).flatten(0, 1).double()
    C = (1 - SHRINK) * rows.T @ rows / len(rows) + SHRINK * torch.eye(rows.shape[1], dtype=torch.float64)
    return torch.linalg.inv(C).float() / size[:, :, None] / size[:, None]


def corrected(
    y: Tensor, f: Tensor, lam: Tensor, a: Tensor, expected: Tensor, most: Tensor | float, share: float
) -> tuple[Tensor, Tensor]:
    """eps_hat [B,3,H,W] of lam and of as much of a as is best, and how much that is, [B].

    f [B,...,d] are statistics of y [B,3,H,W] that remember it; lam has their shape, a [B,...,n] that of the network's,
    the last; `expected` [B] is what a is thought to add, in the mean square, `most` and `share` as in `Correction`.
    """
    pixels = y.shape[-2] * y.shape[-1]
    (eps,) = torch.autograd.grad(pixels * (lam * f).sum(), y, retain_graph=True)
    (more,) = torch.autograd.grad(pixels * (a * f[..., -a.shape[-1] :]).sum(), y)
    square = more.square().mean((1, 2, 3)).clamp_min(1e-30)
    far = share * torch.minimum((expected / square).clamp(max=1), most / square.sqrt())
    return eps + far[:, None, None, None] * more, far
