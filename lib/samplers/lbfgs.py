"""L-BFGS over a batch of independent problems (Liu & Nocedal 1989): every problem has its own history and step.

torch's own optimiser takes a batch for one problem, so that image i would depend on the images beside it.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

MEMORY = 12  # pairs kept
ARMIJO, SHRINK, TRIES = 1e-4, 0.4, 5

Objective = Callable[[Tensor], tuple[Tensor, Tensor]]


def minimise(objective: Objective, z: Tensor, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (z [n,m], values [n]) after each of at most `steps` iterations.

    `objective` maps z [n,m] to values [n] and gradients [n,m]. An iteration that would raise a problem's value
    leaves that problem where it is, and the next one tries shorter steps.
    """
    value, gradient = objective(z)
    pairs: list[tuple[Tensor, Tensor]] = []
    length = 0.1 / gradient.abs().mean(1).clamp_min(1e-12)  # no curvature is known yet: a tenth a coordinate
    for _ in range(steps):
        direction = -_inverse_hessian(pairs, gradient)
        slope = _dot(direction, gradient)
        uphill = slope >= 0
        direction = torch.where(uphill[:, None], -gradient, direction)
        slope = torch.where(uphill, -_dot(gradient, gradient), slope)
        z_new, value_new, gradient_new = _search(objective, z, value, gradient, direction, slope, length)
        pairs = [*pairs[-MEMORY + 1 :], (z_new - z, gradient_new - gradient)]
        length = torch.where(value_new < value, 1.0, length * SHRINK**TRIES)
        z, value, gradient = z_new, value_new, gradient_new
        yield z, value


def _search(
    objective: Objective, z: Tensor, value: Tensor, gradient: Tensor, direction: Tensor, slope: Tensor, length: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Backtrack from `length`, each problem for itself, until the value has fallen enough (Armijo)."""
    best = (z, value, gradient)
    open_ = torch.ones_like(value, dtype=torch.bool)
    for _ in range(TRIES):
        trial = torch.where(open_[:, None], z + length[:, None] * direction, best[0])
        new_value, new_gradient = objective(trial)
        fallen = open_ & (new_value <= value + ARMIJO * length * slope)
        best = (
            torch.where(fallen[:, None], trial, best[0]),
            torch.where(fallen, new_value, best[1]),
            torch.where(fallen[:, None], new_gradient, best[2]),
        )
        open_ = open_ & ~fallen
        if not open_.any():
            break
        length = torch.where(open_, length * SHRINK, length)
    return best


def _inverse_hessian(pairs: list[tuple[Tensor, Tensor]], gradient: Tensor) -> Tensor:
    """The two-loop recursion: approximate inverse Hessian times gradient, [n,m]."""
    q, alphas, rhos = gradient, [], []
    scale = torch.zeros_like(gradient[:, 0])  # by the newest pair that has a curvature
    for s, y in reversed(pairs):
        curvature = _dot(s, y)
        good = curvature > 1e-10 * _dot(y, y)  # a pair without curvature (a step of zero, say) counts for nothing
        rho = torch.where(good, 1 / torch.where(good, curvature, 1.0), 0.0)
        alpha = rho * _dot(s, q)
        q = q - alpha[:, None] * y
        scale = torch.where(good & (scale == 0), curvature / _dot(y, y).clamp_min(1e-30), scale)
        alphas.append(alpha)
        rhos.append(rho)
    q = q * torch.where(scale > 0, scale, 1.0)[:, None]
    for (s, y), alpha, rho in zip(pairs, reversed(alphas), reversed(rhos), strict=True):
        q = q + s * (alpha - rho * _dot(y, q))[:, None]
    return q


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(1)
