"""The sliced Wasserstein distance: exact on a line, blind to order, and to the number of points."""

import pytest
import torch
from recognisers import random_backbone
from torch import Tensor

from lib.statistics.sliced_wasserstein import LEVELS, SlicedWasserstein, projected, quantiles, wasserstein

scipy_stats = pytest.importorskip("scipy.stats")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def noise(n: int = 1, height: int = 32, width: int = 48) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def f() -> SlicedWasserstein:
    return SlicedWasserstein(random_backbone())


def test_permuted_features_are_at_distance_zero() -> None:
    h, v = normal(1, 5, 6, 7), torch.nn.functional.normalize(normal(5, 5, seed=1), dim=1)
    permuted = h.flatten(2)[:, :, torch.randperm(42)].reshape(1, 5, 7, 6)
    assert wasserstein(projected(h, v), projected(permuted, v)).item() < 1e-10
    assert wasserstein(projected(h, v), projected(h.flip(1), v)).item() > 1e-3


def test_one_direction_is_the_exact_distance_on_a_line() -> None:
    """Over all assignments of 6 points to 6 points, the cheapest; and W_1 is scipy's."""
    a, b, v = normal(1, 1, 2, 3), 1 + 2 * normal(1, 1, 2, 3, seed=1), torch.ones(1, 1)
    cost = (a.flatten()[:, None] - b.flatten()[None]).square()
    rows, columns = pytest.importorskip("scipy.optimize").linear_sum_assignment(cost.numpy())
    p, q = projected(a, v), projected(b, v)
    assert wasserstein(p, q).item() == pytest.approx(cost[rows, columns].mean().item(), rel=1e-5)
    assert (p - q).abs().mean().item() == pytest.approx(
        scipy_stats.wasserstein_distance(a.flatten(), b.flatten()), rel=1e-5
    )


def test_gaussians_of_different_sizes_are_as_far_as_theory_says() -> None:
    """W^2 = (m - m')^2 + (s - s')^2, whatever the number of points."""
    p, q = projected(normal(1, 1, 100, 100), torch.ones(1, 1)), projected(
        2 + 3 * normal(1, 1, 120, 90, seed=1), torch.ones(1, 1)
    )
    assert wasserstein(p, q).item() == pytest.approx(4 + 4, rel=0.05)
    assert wasserstein(q, p).item() == pytest.approx(4 + 4, rel=0.05)


def test_quantiles_are_read_between_points() -> None:
    p = torch.tensor([[[0.0, 1.0, 2.0, 3.0]]])
    assert quantiles(p, 4) is p
    assert quantiles(p, 2).tolist() == [[[0.5, 2.5]]]
    assert quantiles(p, 8)[0, 0, 1:-1].tolist() == [0.25, 0.75, 1.25, 1.75, 2.25, 2.75]


def test_directions_are_unit_and_belong_to_the_seed(f: SlicedWasserstein) -> None:
    again, other = (SlicedWasserstein(f.backbone, seed=seed) for seed in (0, 1))
    for v, w, u in zip(f.directions, again.directions, other.directions, strict=True):
        assert v.shape[0] == v.shape[1]
        torch.testing.assert_close(v.norm(dim=1), torch.ones(len(v)))
        assert torch.equal(v, w)
        assert not torch.allclose(v, u)


def test_statistics_are_quantile_functions(f: SlicedWasserstein) -> None:
    x = noise(2)
    values = f(x)
    assert values.shape == (2, f.dim)
    assert f.dim == LEVELS * sum(len(v) for v in f.directions)
    assert (values.unflatten(1, (-1, LEVELS)).diff(dim=2) >= 0).all()
    torch.testing.assert_close(f(x[1:]), values[1:], rtol=1e-4, atol=1e-4)


def test_neither_shifts_nor_tiling_matter(f: SlicedWasserstein) -> None:
    x = noise()
    torch.testing.assert_close(f(x.roll((8, 16), (2, 3))), f(x), rtol=1e-3, atol=1e-3)
    for p, q in zip(f.projections(x), f.projections(x.repeat(1, 1, 2, 2)), strict=True):
        assert wasserstein(p, q).item() < 1e-2 * p.var().item()
