"""What corrects lambda on the way of diffusion: Newton's step towards the statistics that y should have.

Under noise too a maximum-entropy density keeps its statistics, E f(y) = mu(sigma) = E f(x0 + sigma eps), which can be
measured; lambda_phi, which guesses lambda at a glance, misses it. An eps_hat of N a.grad f(y) more, a [n], takes

    f(y - sigma eps_hat) - f(y) = -3 sigma R a,     R = (N / 3) <grad f, grad f'>   (a pixel has three channels)

from the statistics, and is a'R a in the mean square. So the smallest change that takes f to mu is

    a = R^(-1) (f(y) - mu) / (3 sigma),

in which a statistic that is too large becomes dearer, as in the stochastic approximation of De Bortoli et al. (2021),
but without memory. Both mu and R are told from a few draws of f(x0 + sigma eps), their mean and their covariance, which
is sigma^2 <grad f, grad f'> to first order, at some of the levels, and between these by interpolation. Several hundred
unknowns a side from a few dozen draws: so correlations are those of all levels together, drawn towards those of
photographs on average (`Model.directions`).

R is not known well, and f is not linear. Both are mended by one more gradient, of a.f alone: its mean square is what
a'R a really is, and the step goes on along a only as far as is best for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from lib.model import Model
from lib.multipliers import envelope
from lib.samplers.step import APART, at_once, white_noise

EVERY = 3  # how many noise levels there are to one that is measured,
LEAST = 8  # but that so many are, if there are so many
DRAWS = 6  # of noise, at each that is measured
REACH = 2  # of these either side, within which variances are averaged
FLAT = 0.2  # share of a statistic's variance that is the mean of all
SHRINK = 0.6  # share of the correlations that is the photographs'
MOST = 1.0  # no correction is larger, in units of the noise that the best estimate of x could be wrong by


@dataclass(frozen=True)
class Asked:
    """A step for each of B images: `a` [B,...,n]; `expected` [B], a'R a, its mean square if R is right.

    `most` is the root mean square that it may have, `share` the part of it that is made.
    """

    a: Tensor
    expected: Tensor
    most: Tensor | float
    share: float


@dataclass(frozen=True)
class Correction:
    """Newton's step at each of K noise levels.

    `mu` [K,n], the mean of the network's statistics of the noisy exemplar; `newton` [K,n,n], R^(-1) / (3 sigma);
    `sigma` [K]; `most` [K] and `share` as in `Asked`.
    """

    mu: Tensor
    newton: Tensor
    sigma: Tensor
    most: Tensor
    share: float = 1.0

    def at(self, k: int, f: Tensor) -> Asked:
        """What is asked at level k of images with the statistics f [B,d], whose last n are the network's."""
        off = f[:, -self.mu.shape[1] :] - self.mu[k]
        a = off @ self.newton[k]
        return Asked(a, (a * off).sum(1) / (3 * self.sigma[k]), self.most[k], self.share)


def together(asked: Sequence[Asked], weights: Sequence[float]) -> Asked:
    """Steps for K textures in one image, each with its weight: `a` [B,K,n]."""
    return Asked(
        torch.stack([w * one.a for w, one in zip(weights, asked, strict=True)], 1),
        torch.stack([w * one.expected for w, one in zip(weights, asked, strict=True)]).sum(0),
        torch.stack([torch.as_tensor(one.most) for one in asked]).mean(),
        asked[0].share,
    )


@torch.no_grad()
def correction(model: Model, x: Tensor, sigmas: Tensor, variance: float, share: float) -> Correction:
    """For noise levels sigmas [K], measured at some of them on an exemplar x [1,3,H,W] of this pixel `variance`."""
    f, mu, apart = model.statistics.deep, [], []
    basis = envelope(model.statistics, x, sigmas)[:, :, None] * (
        model.lambda_phi.preconditioner if model.directions is None else model.directions
    )
    count = min(len(sigmas), max(LEAST, len(sigmas) // EVERY))
    measured = np.linspace(0, len(sigmas) - 1, count).round().astype(int)
    for k in measured:
        noisy = x + sigmas[k] * white_noise(DRAWS, x.shape[-2], x.shape[-1], int(k), APART)
        found = torch.cat([f(some) for some in noisy.split(at_once(x))])
        mu.append(found.mean(0))
        apart.append((found - mu[-1]) @ basis[k] / sigmas[k])
    levels = np.arange(len(sigmas))
    between = torch.from_numpy(CubicSpline(measured, torch.stack(mu).numpy())(levels)).float()
    places = torch.from_numpy(np.interp(levels, measured, np.arange(len(measured)))).float()
    pixels = x.shape[-2] * x.shape[-1]
    R_inverse = inverse_responses((pixels / 3 * DRAWS / (DRAWS - 1)) ** 0.5 * torch.stack(apart), places)
    newton = basis @ R_inverse @ basis.mT / (3 * sigmas[:, None, None])
    return Correction(between, newton, sigmas, MOST * (variance / (variance + sigmas**2)).sqrt(), share)


def inverse_responses(draws: Tensor, places: Tensor) -> Tensor:
    """R^(-1) [K,n,n] from draws [J,m,n] whose second moments are R: variances by level, correlations of all.

    `places` [K] says where among the J, from 0 to J - 1, each of K levels is.
    """
    rows = (draws / sizes(draws, torch.arange(len(draws)))[:, None]).flatten(0, 1).double()
    C = (1 - SHRINK) * rows.T @ rows / len(rows) + SHRINK * torch.eye(rows.shape[1], dtype=torch.float64)
    size = sizes(draws, places)
    return torch.linalg.inv(C).float() / size[:, :, None] / size[:, None]


def sizes(draws: Tensor, places: Tensor) -> Tensor:
    """Root mean squares [K,n] of draws [J,m,n] at `places` [K] among the J, averaged over those within reach."""
    weights = (1 - (places[:, None] - torch.arange(len(draws))).abs() / REACH).clamp_min(0)
    variance = weights / weights.sum(1, keepdim=True) @ draws.square().mean(1)
    return torch.lerp(variance, variance.mean(1, keepdim=True), FLAT).clamp_min(1e-20).sqrt()


def corrected(y: Tensor, f: Tensor, lam: Tensor, asked: Asked) -> tuple[Tensor, Tensor]:
    """eps_hat [B,3,H,W] of lam and of as much of what is asked as is best, and the multipliers in it, shaped as lam.

    f [B,...,d] are statistics of y [B,3,H,W] that remember it; lam has their shape, asked.a that of the network's,
    the last n of d.
    """
    pixels, n = y.shape[-2] * y.shape[-1], asked.a.shape[-1]
    (eps,) = torch.autograd.grad(pixels * (lam * f).sum(), y, retain_graph=True)
    (more,) = torch.autograd.grad(pixels * (asked.a * f[..., -n:]).sum(), y)
    square = more.square().mean((1, 2, 3)).clamp_min(1e-30)
    far = asked.share * torch.minimum((asked.expected / square).clamp(max=1), asked.most / square.sqrt())
    made = far.view(-1, *[1] * (lam.dim() - 1)) * asked.a
    return eps + far[:, None, None, None] * more, torch.cat([lam[..., :-n], lam[..., -n:] + made], -1)
