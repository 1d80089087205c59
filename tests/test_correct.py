"""The correction of lambda: exact where statistics are quadratic and R is known, harmless where they are not."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import lib
from lib.samplers.correct import Correction, corrected, correction, inverse_correlations, rising, sizes
from lib.samplers.diffuse import estimated, noise_levels, schedule, tiled
from lib.samplers.lbfgs import Pair
from lib.samplers.step import white_noise

FLOWER = lib.exemplar("flower")[None, :, :64, :64]


def linear(y: Tensor, g: Tensor) -> Tensor:
    """n statistics whose gradients are g [n,3,H,W] everywhere, over the number of pixels: [B,n]."""
    return torch.einsum("bchw,nchw->bn", y, g) / (y.shape[-2] * y.shape[-1])


def with_linear(y: Tensor, g: Tensor, known: Correction, rounds: int = 1) -> tuple[Tensor, Tensor]:
    """What `corrected` makes of lam = 0, the statistics being linear."""

    def look(seen: Tensor) -> tuple[Tensor, Tensor]:
        f = linear(seen, g)
        return f, f.detach()

    def tell(step: Tensor, change: Tensor) -> None:
        told.append(known.told(0, step, change))

    lam, told = torch.zeros(len(y), len(g)), list[Pair]()
    return corrected(y, lam, look, lambda found: known.at(0, found, told), known.sigma[0], rounds, tell)


def of_linear(g: Tensor, mu: Tensor, sigma: float, most: float = 1e9) -> Correction:
    """The correction of linear statistics, R = <g, g'> / (3 N) being known."""
    flat = g.flatten(1)
    R = flat @ flat.T / flat.shape[1]
    frame = torch.diag(torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0]))  # any will do
    inverse = torch.linalg.inv(frame @ R @ frame)
    return Correction(mu[None], frame[None], inverse, torch.tensor([sigma]), torch.tensor([most]), [1])


def responses_inverse(known: Correction) -> Tensor:
    """R^(-1) at each level."""
    return known.frames @ known.inverse @ known.frames.mT


def test_one_step_takes_linear_statistics_to_mu_by_the_smallest_change() -> None:
    g, y = white_noise(5, 16, 24, 0), white_noise(2, 16, 24, 1)
    mu, sigma = torch.randn(5, generator=torch.Generator().manual_seed(2)) / 50, 0.2
    f = linear(y, g)
    known = of_linear(g, mu, sigma)
    asked = known.at(0, f)
    eps, lam = with_linear(y, g, known)
    assert torch.allclose(lam, asked.a, rtol=1e-3)  # all of it
    assert torch.allclose(eps.square().mean((1, 2, 3)), asked.expected, rtol=1e-3)  # a'R a is its mean square
    moved = y - sigma * eps
    assert torch.allclose(linear(moved, g), mu.expand(2, -1), atol=1e-5)
    least = torch.linalg.lstsq(g.flatten(1), ((mu - f) * 16 * 24).T).solution  # of least norm
    assert torch.allclose((moved - y).flatten(1), least.T, atol=1e-4)


@pytest.mark.parametrize("wrong", [0.1, 10.0])
def test_a_size_of_R_that_is_wrong_does_not_make_it_overshoot(wrong: float) -> None:
    g, y = white_noise(5, 16, 24, 0), white_noise(1, 16, 24, 1)
    known = of_linear(g, torch.zeros(5), 0.2)
    known = replace(known, inverse=known.inverse / wrong)
    eps, _ = with_linear(y, g, known)
    left = linear(y - 0.2 * eps, g).norm() / linear(y, g).norm()
    assert left.item() == pytest.approx(max(0.0, 1 - 1 / wrong), abs=1e-3)  # the whole way, or too little: never beyond


def test_steps_tell_R_where_it_is_not_known() -> None:
    """Five steps solve five equations, each image its own, as conjugate gradients do; and each step leaves less."""
    root = torch.eye(5) + 0.5 * torch.randn(5, 5, generator=torch.Generator().manual_seed(3))
    g, y = torch.einsum("mn,nchw->mchw", root, white_noise(5, 16, 24, 0)), white_noise(2, 16, 24, 1)
    known = of_linear(g, torch.randn(5, generator=torch.Generator().manual_seed(2)), 0.2)
    blind, left = replace(known, inverse=1e3 * torch.eye(5)), []
    for rounds in range(1, 6):
        eps, lam = with_linear(y, g, blind, rounds)
        off = linear(y - 0.2 * eps, g) - known.mu[0]
        left.append((off @ responses_inverse(known)[0] * off).sum(1))
    assert (torch.stack(left).diff(dim=0) < 0).all()
    assert (left[-1] < 1e-4 * left[0]).all()
    at_once, known_lam = with_linear(y, g, known)
    assert torch.allclose(eps, at_once, atol=0.02 * at_once.abs().max().item())
    assert torch.allclose(lam, known_lam, atol=0.02 * known_lam.abs().max().item())


def test_it_vanishes_where_statistics_agree_and_is_never_larger_than_allowed() -> None:
    g, y = white_noise(5, 16, 24, 0), white_noise(1, 16, 24, 1)
    for apart, size in ((0, 0.0), (100, 0.25)):
        known = of_linear(g, linear(y, g)[0] + apart, 0.2, most=0.25)
        eps, _ = with_linear(y, g, known)
        assert eps.square().mean().sqrt().item() == pytest.approx(size, abs=1e-4)


def test_correlations_are_told_from_draws_and_of_few_those_of_photographs_stay() -> None:
    root = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    R = root @ root.T + torch.eye(6)
    many = torch.randn(3, 40_000, 6, generator=torch.Generator().manual_seed(1)) @ torch.linalg.cholesky(R).T
    flat = torch.lerp(R.diagonal(), R.diagonal().mean(), 0.2).sqrt()
    assert torch.allclose(sizes(many, torch.arange(3.0)), flat.expand(3, -1), rtol=0.02)
    expected = 0.4 * R / flat / flat[:, None] + 0.6 * torch.eye(6)
    assert torch.allclose(torch.linalg.inv(inverse_correlations(many)), expected, atol=0.03)
    one = inverse_correlations(torch.ones(2, 1, 6))  # a single draw, and yet there is an inverse
    assert torch.isfinite(one).all()


def test_sizes_are_those_of_a_level_and_its_neighbours() -> None:
    draws = white_noise(30, 1, 400, 0)[:, 0].reshape(30, 100, 4)[..., :3] * (1 + torch.arange(30.0))[:, None, None]
    found = sizes(draws, torch.arange(30.0)).mean(1)
    assert torch.allclose(found, 1 + torch.arange(30.0), rtol=0.25, atol=1.2)


@pytest.mark.parametrize("levels", [4, 12])  # all of them measured, or some between those that are
def test_statistics_of_images_under_noise_are_right_already(model: lib.Model, levels: int) -> None:
    """E f = mu where y is the exemplar under noise: little is left to correct there, much for the Gaussian's start."""
    sigmas = noise_levels(levels)[:-1]
    x = tiled(FLOWER)
    known = correction(model, x, sigmas, x.var().item(), 1.0)
    for k, sigma in enumerate(sigmas):
        with torch.no_grad():
            own = known.at(k, model.statistics.deep(x + sigma * white_noise(1, *x.shape[-2:], 9))).expected
            other = known.at(k, model.statistics.deep(0.5 + (sigma + 0.2) * white_noise(1, *x.shape[-2:], 9))).expected
        assert own < other / 5


@given(st.integers(1, 8), st.integers(2, 60))
def test_rounds_rise_from_one_and_cost_what_their_mean_says(rounds: int, levels: int) -> None:
    each = rising(rounds, levels)
    assert each[0] == 1
    assert each == sorted(each)
    assert sum(each) == rounds * levels


def test_without_correction_lambda_is_taken_at_its_word(model: lib.Model) -> None:
    known = schedule(model, FLOWER, 3, feedback=0)
    y = white_noise(2, 64, 64, 0)
    x_hat, lam = estimated(model, known, 1, torch.tensor(0.1), y)
    assert torch.equal(lam, known.lam[1].expand(2, -1))
    full = schedule(model, FLOWER, 3)
    assert torch.equal(full.lam, known.lam)
    moved, used = estimated(model, full, 1, torch.tensor(0.1), y)
    assert not torch.allclose(moved, x_hat, atol=1e-3)
    n = full.correction.mu.shape[1] if full.correction else 0
    assert torch.equal(used[:, :-n], lam[:, :-n])  # the built-in ones are not corrected


def test_photographs_directions_are_used_where_there_are_any(model: lib.Model) -> None:
    x, sigmas = tiled(FLOWER), torch.tensor([0.3, 0.1])
    own = SimpleNamespace(statistics=model.statistics, lambda_phi=model.lambda_phi, directions=None)
    as_before = responses_inverse(correction(own, x, sigmas, 0.04, 1.0))  # type: ignore[arg-type]
    own.directions = torch.randn(379, 379, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(responses_inverse(correction(own, x, sigmas, 0.04, 1.0)), as_before)  # type: ignore[arg-type]
    own.directions = 3 * model.lambda_phi.preconditioner  # their unit does not count
    again = responses_inverse(correction(own, x, sigmas, 0.04, 1.0))  # type: ignore[arg-type]
    assert torch.allclose(again, as_before, rtol=1e-3, atol=1e-3 * as_before.abs().max().item())
