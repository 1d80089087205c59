"""Histograms are matched to the last value, and alternating projections meet where the sets do."""

import pytest
import torch
from torch import Tensor

from lib.samplers.project import histogram_distance, match_histogram, project, quantiles


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_of_equal_sizes_the_values_are_the_sources() -> None:
    x, source = draws(2, 3, 500), draws(3, 500, seed=1).exp().sort().values
    y = match_histogram(x, source)
    assert torch.equal(y.sort().values, source.expand(2, 3, 500))
    assert torch.equal(y.argsort(), x.argsort())


@pytest.mark.parametrize("n", [100, 333, 1000, 2500])
def test_of_other_sizes_the_quantiles_are_the_sources(n: int) -> None:
    source = draws(1000, seed=1).exp().sort().values
    y = match_histogram(draws(n), source)
    at = torch.linspace(0.05, 0.95, 25)
    assert torch.allclose(y.quantile(at), source.quantile(at), rtol=0.05, atol=0.05)
    assert source[0] <= y.min() <= y.max() <= source[-1]


def test_a_whole_number_of_copies_has_the_same_mean() -> None:
    source = draws(50, seed=1).sort().values
    assert quantiles(source, 5000).mean() == pytest.approx(source.mean().item(), abs=0.01)
    assert torch.equal(quantiles(source, 50), source)
    assert torch.allclose(quantiles(torch.tensor([0.0, 1.0]), 4), torch.tensor([0.0, 0.25, 0.75, 1.0]))
    assert torch.equal(quantiles(torch.tensor([2.0]), 3), torch.full((3,), 2.0))


def test_matching_twice_is_matching_once() -> None:
    source = draws(700, seed=1).sort().values
    once = match_histogram(draws(300), source)
    assert torch.equal(match_histogram(once, source), once)


def test_it_is_the_nearest_signal_of_that_histogram() -> None:
    x, source = draws(40), draws(40, seed=1).sort().values
    nearest = (match_histogram(x, source) - x).square().mean()
    g = torch.Generator().manual_seed(2)
    others = [(source[torch.randperm(40, generator=g)] - x).square().mean() for _ in range(100)]
    assert nearest < min(others)
    assert histogram_distance(x, source) == pytest.approx(nearest.item(), rel=1e-5)
    assert histogram_distance(source.flip(0), source) == 0


def test_ties_are_broken_by_place_alone() -> None:
    flat, source = torch.zeros(6), torch.arange(6.0)
    assert torch.equal(match_histogram(flat, source), source)


def test_rounds_meet_where_two_lines_cross() -> None:
    """Projections onto the lines y = x and y = 1/2, in the first two of an image's numbers, meet at (1/2, 1/2)."""

    def diagonal(z: Tensor) -> Tensor:
        return z[..., :2].mean(-1, keepdim=True).expand_as(z)

    def level(z: Tensor) -> Tensor:
        return torch.stack([z[..., 0], torch.full_like(z[..., 1], 0.5)], -1)

    def off(z: Tensor) -> Tensor:
        return (z[..., 0] - z[..., 1]).square()

    start = torch.tensor([[7.0, 3.0], [-2.0, 0.0]])
    records = list(project([diagonal, level], start, 12, off, image=lambda z: z / 4))
    assert [(r.step, r.steps) for r in records] == [(i, 12) for i in range(1, 13)]
    losses = [r.loss for r in records]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-5
    assert torch.allclose(records[-1].image, torch.full((2, 2), 0.125), atol=1e-3)
    assert all(0 <= r.image.min() <= r.image.max() <= 1 for r in records)
