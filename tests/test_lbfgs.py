"""L-BFGS over a batch: exact on quadratics, down Rosenbrock's valley, each problem for itself."""

import pytest
import torch
from torch import Tensor

from lib.samplers.lbfgs import minimise


def quadratics(scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Four problems x'Ax/2 - b'x in eight dimensions: A [4,8,8] positive definite, b [4,8]."""
    coin = torch.Generator().manual_seed(0)
    root = torch.randn(4, 8, 8, dtype=torch.float64, generator=coin)
    b = torch.randn(4, 8, dtype=torch.float64, generator=coin)
    return scale * (root @ root.mT + 0.1 * torch.eye(8)), scale * b


def rosenbrock(z: Tensor) -> tuple[Tensor, Tensor]:
    """The banana-shaped valley whose only minimum is 0, at ones: z [n,m] -> [n] and its gradient."""
    z = z.detach().requires_grad_()
    value = (100 * (z[:, 1:] - z[:, :-1] ** 2) ** 2 + (1 - z[:, :-1]) ** 2).sum(1)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_a_quadratic_is_solved_exactly_whatever_its_units(scale: float) -> None:
    A, b = quadratics(scale)

    def objective(z: Tensor) -> tuple[Tensor, Tensor]:
        gradient = torch.einsum("nij,nj->ni", A, z) - b
        return 0.5 * (z * (gradient - b)).sum(1), gradient

    for z, value in minimise(objective, torch.zeros_like(b), 50):  # noqa: B007
        pass
    solution = torch.linalg.solve(A, b)
    assert torch.allclose(z, solution, atol=1e-6)
    assert torch.allclose(value, -0.5 * (b * solution).sum(1), rtol=1e-12)


@pytest.mark.parametrize(("dimension", "steps"), [(2, 45), (10, 100)])
def test_rosenbrock(dimension: int, steps: int) -> None:
    starts = torch.randn(4, dimension, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for z, value in minimise(rosenbrock, starts, steps):  # noqa: B007
        pass
    assert value.max() < 1e-12
    assert torch.allclose(z, torch.ones_like(z), atol=1e-6)


def test_no_iteration_goes_uphill() -> None:
    start = torch.tensor([[-1.2, 1.0], [3.0, -2.0]], dtype=torch.float64)
    before = rosenbrock(start)[0]
    for _, value in minimise(rosenbrock, start, 60):
        assert (value <= before).all()
        before = value


def test_a_problem_does_not_know_its_neighbours() -> None:
    starts = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    together = list(minimise(rosenbrock, starts, 20))
    alone = list(minimise(rosenbrock, starts[1:2], 20))
    for (z, value), (z_alone, value_alone) in zip(together, alone, strict=True):
        assert torch.allclose(z[1], z_alone[0], rtol=1e-9)
        assert torch.allclose(value[1], value_alone[0], rtol=1e-9)


def test_at_the_minimum_it_stays() -> None:
    ones = torch.ones(2, 3, dtype=torch.float64)
    for z, value in minimise(rosenbrock, ones, 3):
        assert torch.equal(z, ones)
        assert (value == 0).all()
