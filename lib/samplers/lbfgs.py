"""L-BFGS over a batch of independent problems (Liu & Nocedal 1989): every problem has its own history and step.

torch's own optimiser takes a batch for one problem, so that image i would depend on the images beside it.

The recursion starts from a guess H0 of the inverse Hessian. Usually that is one number, s.y / y.y of the newest pair of
steps s and changes of gradient y. Where the coordinates come in parts, it is one number each: by the pairs in memory,
part k has moved by s_k where its gradient changed by y_k, so H0 is in proportion to |s_k| / |y_k|. Or it is whatever
else is known (see `correct.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

MEMORY = 12  # pairs kept
ARMIJO, SHRINK, TRIES = 1e-4, 0.4, 5

Objective = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Pair:
    """A step s [n,m], the change of gradient y [n,m] it made, and 1 / s.y [n], 0 where there was no curvature.

    `moved` and `changed` [n,K] are |s|^2 and |y|^2 of each of K parts, over |y|^2 of all; 0 for such a pair too.
    """

    s: Tensor
    y: Tensor
    rho: Tensor
    moved: Tensor
    changed: Tensor

    @classmethod
    def of(cls, s: Tensor, y: Tensor, parts: Tensor | None = None) -> "Pair":
        """`parts` [m] numbers the parts of the coordinates; without it, all are one."""
        parts = torch.zeros(s.shape[1], dtype=torch.long, device=s.device) if parts is None else parts
        curvature, square = _dot(s, y), _dot(y, y)
        good = curvature > 1e-10 * square  # a pair without curvature (a step of zero, say) counts for nothing
        weight = torch.where(good, 1 / square.clamp_min(1e-30), 0.0)[:, None]
        none = s.new_zeros(len(s), int(parts.max()) + 1)
        moved, changed = (weight * none.index_add(1, parts, v.square()) for v in (s, y))
        return cls(s, y, torch.where(good, 1 / torch.where(good, curvature, 1.0), 0.0), moved, changed)


def minimise(
    objective: Objective, z: Tensor, steps: int, parts: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (z [n,m], values [n]) after each of at most `steps` iterations.

    `objective` maps z [n,m] to values [n] and gradients [n,m]. An iteration that would raise a problem's value
    leaves that problem where it is, and the next one tries shorter steps. `parts` numbers the part to which each
    coordinate belongs, whole numbers of any shape with m elements; without it, all are one.
    """
    value, gradient = objective(z)
    pairs: list[Pair] = []
    parts = torch.zeros(z.shape[1], dtype=torch.long) if parts is None else parts.flatten()
    parts = parts.to(z.device)
    length = 0.1 / gradient.abs().mean(1).clamp_min(1e-12)  # no curvature is known yet: a tenth a coordinate
    for _ in range(steps):
        direction = -inverse_hessian(pairs, gradient, partial(_first_guess, pairs, parts))
        slope = _dot(direction, gradient)
        uphill = slope >= 0
        direction = torch.where(uphill[:, None], -gradient, direction)
        slope = torch.where(uphill, -_dot(gradient, gradient), slope)
        z_new, value_new, gradient_new = _search(objective, z, value, gradient, direction, slope, length)
        pairs = [*pairs[-MEMORY + 1 :], Pair.of(z_new - z, gradient_new - gradient, parts)]
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


def inverse_hessian(pairs: Sequence[Pair], gradient: Tensor, first: Callable[[Tensor], Tensor]) -> Tensor:
    """The two-loop recursion: approximate inverse Hessian times gradient, [n,m]; `first` is H0, [n,m] -> [n,m]."""
    q, alphas = gradient, []
    for pair in reversed(pairs):
        alpha = pair.rho * _dot(pair.s, q)
        q = q - alpha[:, None] * pair.y
        alphas.append(alpha)
    q = first(q)
    for pair, alpha in zip(pairs, reversed(alphas), strict=True):
        q = q + pair.s * (alpha - pair.rho * _dot(pair.y, q))[:, None]
    return q


def _first_guess(pairs: list[Pair], parts: Tensor, q: Tensor) -> Tensor:
    """H0 q [n,m], H0 diagonal: the shape by the pairs in memory, the size by the newest that has a curvature."""
    if not pairs:
        return q
    moved, changed = torch.stack([torch.stack([pair.moved, pair.changed]) for pair in pairs]).sum(0)
    shape = (moved / changed.clamp_min(1e-30)).sqrt()
    shape = shape / shape.amax(1, keepdim=True).clamp_min(1e-30)
    H = torch.where((shape > 0).any(1, keepdim=True), shape, 1.0)[:, parts]
    scale = torch.zeros_like(q[:, 0])
    for pair in reversed(pairs):
        size = 1 / (pair.rho * _dot(H * pair.y, pair.y)).clamp_min(1e-30)
        scale = torch.where((pair.rho > 0) & (scale == 0), size, scale)
    return torch.where(scale > 0, scale, 1.0)[:, None] * H * q


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(1)
