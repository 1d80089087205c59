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
a'R a really is, and the step goes on along a only as far as is best for that. And in `diffuse` most levels are looked
at several times, and what a step took from f, 3 sigma R a, corrects R^(-1) for the next (BFGS, see `lbfgs.py`). For
linear f these are conjugate gradients that begin with what is known of R.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from lib.model import Model
from lib.multipliers import envelope
from lib.samplers.lbfgs import Pair, inverse_hessian
from lib.samplers.step import APART, at_once, white_noise

EVERY = 3  # how many noise levels there are to one that is measured,
LEAST = 8  # but that so many are, if there are so many
DRAWS = 6  # of noise, at each that is measured; half of them where a level is looked at more than once
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


# y [B,3,H,W] -> statistics [B,...,d] that remember y, and those by which they are judged, which do not
Look = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Correction:
    """Newton's step at each of K noise levels.

    `mu` [K,n], the mean of the network's statistics of the noisy exemplar; R^(-1) = F C^(-1) F', with F the `frames`
    [K,n,n] and C^(-1) the `inverse` [n,n], the same at all levels; `sigma` [K]; level k has `rounds[k]`, a step each;
    `most` [K] and `share` as in `Asked`.
    """

    mu: Tensor
    frames: Tensor
    inverse: Tensor
    sigma: Tensor
    most: Tensor
    rounds: Sequence[int]
    share: float = 1.0

    def at(self, k: int, f: Tensor, told: Sequence[Pair] = ()) -> Asked:
        """What is asked at level k of images with the statistics f [B,d], whose last n are the network's.

        `told` is what steps before told of C, here or at other levels.
        """
        off = (f[:, -self.mu.shape[1] :] - self.mu[k]) / (3 * self.sigma[k])
        a = inverse_hessian(told, off @ self.frames[k], lambda v: v @ self.inverse) @ self.frames[k].mT
        return Asked(a, (a * off).sum(1), self.most[k], self.share)

    def told(self, k: int, a: Tensor, change: Tensor) -> Pair:
        """What a step a [B,n] at level k tells of C, having taken `change` [B,n] from the network's statistics."""
        return Pair.of(torch.linalg.solve(self.frames[k], a.T).T, change / (3 * self.sigma[k]) @ self.frames[k])


def together(asked: Sequence[Asked], weights: Sequence[float]) -> Asked:
    """Steps for K textures in one image, each with its weight: `a` [B,K,n]."""
    return Asked(
        torch.stack([w * one.a for w, one in zip(weights, asked, strict=True)], 1),
        torch.stack([w * one.expected for w, one in zip(weights, asked, strict=True)]).sum(0),
        torch.stack([torch.as_tensor(one.most) for one in asked]).mean(),
        asked[0].share,
    )


@torch.no_grad()
def correction(model: Model, x: Tensor, sigmas: Tensor, variance: float, share: float, rounds: int = 1) -> Correction:
    """For noise levels sigmas [K], measured at some of them on an exemplar x [1,3,H,W] of this pixel `variance`.

    `rounds` is how many a level has on average.
    """
    f, mu, apart = model.statistics.deep, [], []
    draws = DRAWS if rounds == 1 else DRAWS // 2
    basis = envelope(model.statistics, x, sigmas)[:, :, None] * (
        model.lambda_phi.preconditioner if model.directions is None else model.directions
    )
    count = min(len(sigmas), max(LEAST, len(sigmas) // EVERY))
    measured = np.linspace(0, len(sigmas) - 1, count).round().astype(int)
    for k in measured:
        noisy = x + sigmas[k] * white_noise(draws, x.shape[-2], x.shape[-1], int(k), APART)
        found = torch.cat([f(some) for some in noisy.split(at_once(x))])
        mu.append(found.mean(0))
        apart.append((found - mu[-1]) @ basis[k] / sigmas[k])
    levels = np.arange(len(sigmas))
    between = torch.from_numpy(CubicSpline(measured, torch.stack(mu).numpy())(levels)).float()
    places = torch.from_numpy(np.interp(levels, measured, np.arange(len(measured)))).float()
    pixels = x.shape[-2] * x.shape[-1]
    responses = (pixels / 3 * draws / (draws - 1)) ** 0.5 * torch.stack(apart)
    frames = basis / sizes(responses, places)[:, None]
    most = MOST * (variance / (variance + sigmas**2)).sqrt()
    inverse = inverse_correlations(responses)
    return Correction(between, frames, inverse, sigmas, most, rising(rounds, len(sigmas)), share)


def rising(rounds: int, levels: int) -> list[int]:
    """So many rounds a level on average, from one at the top: what noise drowns need not be exact."""
    return [round(1 + 2 * (rounds - 1) * k / max(1, levels - 1)) for k in range(levels)]


def inverse_correlations(draws: Tensor) -> Tensor:
    """C^(-1) [n,n], the correlations of draws [J,m,n] at J levels together, drawn towards none."""
    rows = (draws / sizes(draws, torch.arange(len(draws)))[:, None]).flatten(0, 1).double()
    C = (1 - SHRINK) * rows.T @ rows / len(rows) + SHRINK * torch.eye(rows.shape[1], dtype=torch.float64)
    return torch.linalg.inv(C).float()


def sizes(draws: Tensor, places: Tensor) -> Tensor:
    """Root mean squares [K,n] of draws [J,m,n] at `places` [K] among the J, averaged over those within reach."""
    weights = (1 - (places[:, None] - torch.arange(len(draws))).abs() / REACH).clamp_min(0)
    variance = weights / weights.sum(1, keepdim=True) @ draws.square().mean(1)
    return torch.lerp(variance, variance.mean(1, keepdim=True), FLAT).clamp_min(1e-20).sqrt()


def corrected(
    y: Tensor,
    lam: Tensor,
    look: Look,
    ask: Callable[[Tensor], Asked],
    sigma: Tensor,
    rounds: int = 1,
    tell: Callable[[Tensor, Tensor], None] = lambda step, change: None,
) -> tuple[Tensor, Tensor]:
    """eps_hat [B,3,H,W] of lam and of as much of what is asked as is best, and the multipliers in it, shaped as lam.

    y [B,3,H,W] has noise sigma. It is moved `rounds` times, each time by what is asked of it where it is; of all moves
    but the last one, it is told what they took from the network's statistics.
    """
    eps, moves, made = torch.zeros_like(y), torch.zeros_like(y), torch.zeros(())
    step, before = made, made
    for turn in range(rounds):
        seen = (y - sigma * moves).detach().requires_grad_()
        with torch.enable_grad():
            f, found = look(seen)
        if turn == 0:
            eps = gradient(seen, f, lam, keep=True)
        else:
            tell(step, (before - found)[..., -step.shape[-1] :])
        asked = ask(found)
        more = gradient(seen, f, asked.a)
        square = more.square().mean((1, 2, 3)).clamp_min(1e-30)
        far = asked.share * torch.minimum((asked.expected / square).clamp(0, 1), asked.most / square.sqrt())
        step, before = far.view(-1, *[1] * (lam.dim() - 1)) * asked.a, found
        moves, made = moves + far.view(-1, 1, 1, 1) * more, made + step
    n = made.shape[-1]
    return eps + moves, torch.cat([lam[..., :-n], lam[..., -n:] + made], -1)


def gradient(y: Tensor, f: Tensor, a: Tensor, keep: bool = False) -> Tensor:
    """N grad a.f [B,3,H,W], of the last of the statistics f [B,...,d] of y, which remember it; `keep` for another."""
    pixels = y.shape[-2] * y.shape[-1]
    return torch.autograd.grad(pixels * (a * f[..., -a.shape[-1] :]).sum(), y, retain_graph=keep)[0]
