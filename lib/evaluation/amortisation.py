"""How much is lost in f and how much in lambda_phi: the best lambda for one texture and noise level, f held fixed.

Given f, the noise estimate of Eq. 4 is linear in lam, eps_hat = sum_k lam_k N grad f_k(y). So the loss is least
squares in lam, and conjugate gradients find its minimum with one product by the matrix J = [N grad f_k(y)]_k and one
by its transpose an iteration; J itself, 512 images wide, is never formed. What lambda_phi(x, sigma) loses more than
that minimum is the amortisation gap: the price of predicting lambda instead of solving for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.energy import Statistics, energy

PROBES = 4  # random images for the sizes of J's columns, which are many orders of magnitude apart
FRAME = 4  # pixels at the border of a crop, which the periodic f joins to the opposite edge, are left out


@dataclass(frozen=True)
class Iterate:
    """lam [d] after `step` iterations, and mean |eps_hat - eps|^2 on the images it was solved on."""

    lam: Tensor
    loss: float
    step: int


def solve_multipliers(
    f: Statistics, lam: Tensor, y: Tensor, eps: Tensor, steps: int, seed: int = 0
) -> Iterator[Iterate]:
    """Lower mean |eps_hat(y) - eps|^2 over lam [d], starting at the one given, `steps` iterations; yields each.

    y = x + sigma eps: crops of one texture at one noise level, [B,3,H,W]. Use enough of them: d numbers are fitted.
    The frame of each crop is not counted. Yields the starting point first.
    """
    y = y.detach().requires_grad_()
    free = lam.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(energy(f, free, y).sum(), y, create_graph=True)  # linear in free
    estimate = inside(slope)
    dummy = torch.zeros_like(estimate).requires_grad_()
    (product,) = torch.autograd.grad(estimate, free, dummy, create_graph=True)  # J' dummy

    def transposed(r: Tensor) -> Tensor:
        """J' r: [d]."""
        return torch.autograd.grad(estimate, free, r, retain_graph=True)[0]

    def times(direction: Tensor) -> Tensor:
        """J direction, as the derivative of direction.J' r with respect to r: like estimate."""
        return torch.autograd.grad(product, dummy, direction, retain_graph=True)[0]

    generator = torch.Generator().manual_seed(seed)
    probes = [transposed(torch.randn(estimate.shape, generator=generator)) for _ in range(PROBES)]
    scale = 1 / torch.stack(probes).square().mean(0).sqrt().clamp_min(1e-12)

    target = inside(eps)
    lam, residual = lam.detach().clone(), target - estimate.detach()
    gradient = scale * transposed(residual)
    direction, size = gradient, gradient.square().sum()
    yield Iterate(lam, residual.square().mean().item(), 0)
    for step in range(1, steps + 1):
        moved = times(scale * direction)
        rate = size / moved.square().sum()
        lam, residual = lam + rate * scale * direction, residual - rate * moved
        gradient = scale * transposed(residual)
        size, before = gradient.square().sum(), size
        direction = gradient + size / before * direction
        yield Iterate(lam, residual.square().mean().item(), step)


def loss_of(f: Statistics, lam: Tensor, y: Tensor, eps: Tensor) -> float:
    """Mean |eps_hat(y) - eps|^2 of one lam [d] on crops y [B,3,H,W], their frames left out."""
    y = y.detach().requires_grad_()
    (estimate,) = torch.autograd.grad(energy(f, lam, y).sum(), y)
    return (inside(estimate) - inside(eps)).square().mean().item()


def inside(image: Tensor) -> Tensor:
    """Without the frame: [B,3,H,W] -> [B,3,H-8,W-8]."""
    return image[..., FRAME:-FRAME, FRAME:-FRAME]
