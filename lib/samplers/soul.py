"""SOUL: the multipliers of a maximum-entropy model, learned while it is sampled (De Bortoli et al. 2021).

Among all densities with E f(x) = mu, the one nearest to a reference density exp[-J(x)] (of largest entropy, if J is
flat) is, with N the number of pixels and f a spatial average,

    p_theta(x) = exp[-U(x)] / Z(theta),     U(x) = N theta.(f(x) - mu) + J(x)      (macrocanonical: Desolneux 2021)

and theta minimises log Z, which is convex: its gradient is -N (E f - mu). Stochastic descent with chains that follow
p_theta by Langevin's algorithm, both at once:

    x <- x - gamma_k P grad U(x) + (2 gamma_k P)^(1/2) z       m_k times, each chain from where it was
    theta <- Proj[theta + delta_k (mean of f over these m_k images of each chain - mu) / v]

A statistic that is too large in the images becomes dearer. theta_k converges to the minimum almost surely (their
theorem, for smooth f of moderate growth) if

    sum delta_k = infinity,     sum delta_k / (m_k gamma_k) < infinity,     sum delta_k gamma_k^(1/2) < infinity,

which delta_k ~ k^-a, gamma_k ~ k^-b, m_k ~ k^c fulfil for a <= 1, a - b + c > 1 and a + b/2 > 1: here a = 0.9, b = 0.3,
c = 0.5, setting in after `onset` iterations.

A run of a minute ends long before k is large: what it shows is the transient, in which theta and f swing about each
other. Where f is nearly linear, a step of x lowers f by gamma A theta, with A = N grad f P grad f', and a step of theta
raises theta by delta (f - mu) / v: a swing that stays bounded if delta gamma rho < 4, with rho the largest eigenvalue
of v^(-1/2) A v^(-1/2). Statistics that answer as one make it as large as they are many.

Departures. P and v > 0 [d] are constants that make both steps without unit; theta and p_theta are the same. J is any
energy; theirs is epsilon/2 |x|^2. Proj is onto a ball |v^(1/2) theta| <= radius. The drift is truncated (langevin.py).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.energy import Statistics
from lib.samplers.langevin import Filter, Noise, checked_positive, move
from lib.samplers.step import Step, checked_count

A, B, C = 0.9, 0.3, 0.5  # powers of k with which delta and gamma fall and m grows
RADIUS = 1000.0  # of v^(1/2) theta, which is 0.1 to 100 in pictures: theta has diverged if it gets there
SMALL = 0.05  # of P^(1/2) z: a move that f answers in proportion


@dataclass(frozen=True)
class SoulStep(Step):
    """`theta` [d] as learned so far, and its `average` over the iterations, the k-th weighted by k.

    `loss` is the root mean square over statistics of (N / v)^(1/2) (mean f - mu): the mismatch, in deviations of f.
    """

    theta: Tensor
    average: Tensor


def soul(
    f: Statistics,
    mu: Tensor,
    starts: Tensor,
    noise: Noise,
    steps: int,
    delta: float,
    gamma: float,
    reference: Callable[[Tensor], Tensor],
    unit: Tensor | float = 1.0,
    root: Filter = lambda u: u,
    theta: Tensor | None = None,
    onset: int = 100,
    radius: float = RADIUS,
) -> Iterator[SoulStep]:
    """One record an iteration k = 1, 2, ..., `steps`: the chains' images clipped to [0,1], the mismatch, theta.

    Args:
        f: statistics [n,3,H,W] -> [n,d], differentiable; `mu` [d], what they are to be on average.
        starts: [n,3,H,W], where the chains start; all learn one theta.
        noise: draws of white noise [n,3,H,W], the first being `noise(1)`; one for each Langevin step.
        delta, gamma: the step sizes at k = 0.
        reference: J, [n,3,H,W] -> [n].
        unit: v [d], N times the variance that f has, or may have, under p_theta (see `rates`).
        root: P^(1/2).
        theta: [d], where learning starts; None for 0.
        onset: k at which the steps begin to fall.
        radius: of the ball that v^(1/2) theta is kept in.

    Raises TextureError for step sizes, an onset or a radius that are not positive.
    """
    for name, value in (("delta", delta), ("gamma", gamma), ("radius", radius)):
        checked_positive(name, value)
    checked_count("steps", steps), checked_count("onset", onset)
    pixels = starts.shape[-2] * starts.shape[-1]
    v = torch.as_tensor(unit).to(starts)
    theta = project(torch.zeros_like(mu) if theta is None else theta, v, radius)
    average, moves = torch.zeros_like(mu), 0
    x, deviation = _measured(f, mu, starts)
    for k in range(1, steps + 1):
        late = 1 + k / onset
        delta_k, gamma_k, m = delta * late**-A, gamma * late**-B, int(late**C)
        mean = torch.zeros_like(mu)
        for _ in range(m):
            with torch.enable_grad():
                energy = pixels * (deviation @ theta) + reference(x)
                (gradient,) = torch.autograd.grad(energy.sum(), x)
            moves += 1
            x, deviation = _measured(f, mu, move(x.detach(), gradient, gamma_k, noise(moves), root))
            mean = mean + deviation.detach().mean(0) / m
        theta = project(theta + delta_k * mean / v, v, radius)
        average = torch.lerp(average, theta, 2 / (k + 1))
        loss = (pixels * mean.square() / v).mean().sqrt().item()
        yield SoulStep(x.detach().clamp(0, 1), loss, k, steps, theta, average)


def project(theta: Tensor, v: Tensor, radius: float) -> Tensor:
    """The nearest theta [d] with |v^(1/2) theta| <= radius, in that norm."""
    return theta * (radius / (v.sqrt() * theta).norm().clamp_min(radius))


@torch.no_grad()
def rates(f: Statistics, x: Tensor, root: Filter, noise: Tensor) -> Tensor:
    """N^(1/2) times the rates at which f answers to moves P^(1/2) z of x [1,3,H,W]: [K,d] for K draws z [K,3,H,W].

    Their mean square v is N E |P^(1/2) grad f|^2 at x. Its mean over a Gaussian density of covariance P bounds N times
    the variance of f there (the Poincare inequality), and equals it where f is linear.
    """
    changes = torch.cat([f(x + SMALL * root(z[None])) for z in noise]) - f(x)
    return (x.shape[-2] * x.shape[-1]) ** 0.5 * changes / SMALL


def largest(rates: Tensor, v: Tensor) -> float:
    """rho, from rates [K,d] and v [d]: rather too large than too small, the more so the fewer draws there are."""
    scaled = (rates / v.sqrt()).double()
    return torch.linalg.eigvalsh(scaled @ scaled.T / len(rates))[-1].item()


def _measured(f: Statistics, mu: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """x, ready for a gradient, and f(x) - mu [n,d]."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return x, f(x) - mu
