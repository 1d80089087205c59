"""Maximum entropy on small finite spaces: every claim of the theory, to rounding."""

import itertools
import math

import pytest
import torch

from lib.errors import TextureError
from lib.maxent import (
    Space,
    count_binary,
    kl,
    list_images,
    log10_fraction,
    neighbour_statistics,
    newton,
    parity_texture,
    same_moments,
    solve,
    space_of,
)

MU = torch.tensor([0.5, 10 / 32], dtype=torch.float64)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return list_images(4, 4)


@pytest.fixture(scope="module")
def space(images: torch.Tensor) -> Space:
    return space_of(neighbour_statistics(images), 16)


def test_a_single_pixel_by_hand() -> None:
    """One binary pixel of mean mu: p(1) = mu, lam = log((1 - mu) / mu), entropy of a biased coin."""
    space = space_of(torch.tensor([[0.0], [1.0]]), 1)
    mu = torch.tensor([0.2], dtype=torch.float64)
    lam = solve(space, mu)
    assert float(lam) == pytest.approx(math.log(0.8 / 0.2))
    coin = -0.2 * math.log(0.2) - 0.8 * math.log(0.8)
    assert float(space.entropy(space.probability(lam))) == pytest.approx(coin)
    assert float(space.dual(lam, mu)) == pytest.approx(coin)


def test_the_list_is_complete_and_the_statistics_as_defined() -> None:
    listed = list_images(2, 3, levels=3)
    assert len(torch.unique(listed.flatten(1), dim=0)) == 3**6
    assert listed.unique().tolist() == [0, 0.5, 1]
    image = listed[500]
    pairs = [
        image[i, j] * (image[(i + 1) % 2, j] + image[i, (j + 1) % 3]) for i in range(2) for j in range(3)
    ]
    f = neighbour_statistics(listed)[500]
    assert f.tolist() == pytest.approx([float(image.mean()), float(sum(pairs)) / 12])
    with pytest.raises(TextureError, match="too many"):
        list_images(6, 6)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (3, 3), (3, 4), (4, 4), (5, 3)])
def test_counting_finds_what_listing_finds(height: int, width: int) -> None:
    listed = list_images(height, width)
    f = neighbour_statistics(listed)
    expected, counted = space_of(f, height * width), count_binary(height, width)
    torch.testing.assert_close(counted.space.f, expected.f)
    assert torch.equal(counted.space.count, expected.count)
    # and how often each first row occurs, at a value of f in the middle
    value = expected.f[len(expected.f) // 2]
    chosen = listed[(f - value).abs().amax(1) < 1e-9]
    row = (chosen[:, 0] * 2 ** torch.arange(width)).sum(1).long()
    entropy, first_row = counted.microcanonical(value)
    assert float(entropy) == pytest.approx(math.log(len(chosen)))
    torch.testing.assert_close(first_row, row.bincount(minlength=2**width).double() / len(chosen))


def test_a_hundred_pixels_are_counted_in_full() -> None:
    assert float(count_binary(24, 4).space.count.sum()) == pytest.approx(2.0**96, rel=1e-12)


def test_gradient_and_hessian_of_log_z(space: Space) -> None:
    """By automatic differentiation of the sum itself, away from the solution."""
    lam = torch.tensor([0.7, -1.1], dtype=torch.float64)
    gradient = torch.func.grad(space.log_partition)(lam)
    torch.testing.assert_close(gradient, -space.pixels * space.moments(lam))
    hessian = torch.func.hessian(space.log_partition)(lam)
    torch.testing.assert_close(hessian, space.pixels**2 * space.covariance(lam))
    assert float(torch.linalg.eigvalsh(hessian).min()) > 0


def test_log_z_lies_below_its_chords(space: Space) -> None:
    a, b = torch.tensor([[3.0, -4.0], [-2.0, 1.5]], dtype=torch.float64)
    for t in (0.1, 0.5, 0.9):
        chord = (1 - t) * space.log_partition(a) + t * space.log_partition(b)
        assert float(space.log_partition((1 - t) * a + t * b)) < float(chord)


def test_newton_meets_the_moments(space: Space) -> None:
    steps = list(newton(space, MU))
    assert len(steps) < 10
    assert float((space.moments(steps[-1].lam) - MU).abs().max()) < 1e-8
    duals = [step.dual for step in steps]
    assert all(after <= before + 1e-9 for before, after in itertools.pairwise(duals))
    # black and white are exchangeable at mean 1/2, which ties the two multipliers together
    assert float(steps[-1].lam.sum()) == pytest.approx(0, abs=1e-6)


def test_newton_backtracks_to_a_far_target(space: Space) -> None:
    """Nearly all black: the full first step overshoots."""
    mu = torch.tensor([0.02, 0.012], dtype=torch.float64)
    steps = list(newton(space, mu))
    assert min(step.length for step in steps[:-1]) < 1
    assert float((space.moments(steps[-1].lam) - mu).abs().max()) < 1e-8


def test_redundant_statistics_are_no_obstacle(images: torch.Tensor) -> None:
    f = neighbour_statistics(images)
    doubled = space_of(torch.cat([f, f[:, :1]], 1), 16)
    mu = torch.cat([MU, MU[:1]])
    lam = solve(doubled, mu)
    assert float((doubled.moments(lam) - mu).abs().max()) < 1e-8


def test_targets_out_of_reach_are_refused(space: Space) -> None:
    with pytest.raises(TextureError, match=r"0\.6"):
        solve(space, torch.tensor([0.5, 0.6], dtype=torch.float64))


@pytest.mark.parametrize("seed", range(5))
def test_kl_is_the_entropy_that_is_missing(images: torch.Tensor, seed: int) -> None:
    """KL(P || P*) = H(P*) - H(P) for any P of the same moments, here over all 65,536 images one by one."""
    f = neighbour_statistics(images)
    space = Space(f, torch.ones(len(f), dtype=torch.float64), 16)
    best = space.probability(solve(space_of(f, 16), MU))
    other = same_moments(space, best, seed)
    assert float((other @ f - MU).abs().max()) < 1e-10
    assert float(other.sum()) == pytest.approx(1)
    assert float(other.min()) >= 0
    gap = space.entropy(best) - space.entropy(other)
    assert float(gap) == pytest.approx(float(kl(other, best)), abs=1e-10)
    assert float(gap) > 0.01


def test_duality_gap_closes_at_the_solution_alone(space: Space) -> None:
    lam = solve(space, MU)
    entropy = space.entropy(space.probability(lam))
    assert float(space.dual(lam, MU)) == pytest.approx(float(entropy))
    away = lam + torch.tensor([0.1, 0.0], dtype=torch.float64)
    assert float(space.dual(away, MU)) > float(entropy)


def test_the_two_ensembles_approach_each_other() -> None:
    """Per pixel their entropies differ less and less, and so do the laws of a row of four pixels."""
    gaps, distances, spreads = [], [], []
    for height in (4, 8, 16):
        counted = count_binary(height, 4)
        lam = solve(counted.space, MU)
        p = counted.space.probability(lam)
        entropy, row = counted.microcanonical(MU)
        gaps.append(float(counted.space.entropy(p) - entropy) / (4 * height))
        distances.append(float((row - counted.macrocanonical_row(lam)).abs().sum()) / 2)
        spreads.append(float(counted.space.covariance(lam)[0, 0]) * 4 * height)
        assert float(counted.macrocanonical_row(lam).sum()) == pytest.approx(1)
    assert gaps[0] > gaps[1] > gaps[2] > 0
    # like 1/N: doubling N at least halves the distance, nearly
    assert distances[1] < 0.55 * distances[0]
    assert distances[2] < 0.55 * distances[1]
    # Var f is c/N
    assert spreads[2] == pytest.approx(spreads[1], rel=0.01)


def test_fractions_of_all_images(space: Space) -> None:
    assert log10_fraction(space, math.log(2**16)) == pytest.approx(0)
    assert log10_fraction(space, math.log(2**16 / 1000)) == pytest.approx(-3)


def test_a_value_that_no_image_has() -> None:
    with pytest.raises(TextureError, match=r"row of space\.f"):
        count_binary(3, 3).microcanonical(MU)


@pytest.mark.parametrize("odd", [False, True])
def test_parity_textures_differ_from_noise_in_fourth_order_alone(odd: bool) -> None:
    """Over all 2^8 flips of a 4x4 image, as exact averages of pixels written as -1 and 1."""
    flips = list_images(1, 8)[:, 0]
    x = 2 * parity_texture(flips[:, :4], flips[:, 4:], odd) - 1
    s = x.flatten(1)
    torch.testing.assert_close(s.mean(0), torch.zeros_like(s[0]))
    torch.testing.assert_close(s.T @ s / len(s), torch.eye(16, dtype=s.dtype))
    third = torch.einsum("ni,nj,nk->ijk", s, s, s) / len(s)
    distinct = [third[i, j, k] for i, j, k in itertools.combinations(range(16), 3)]
    assert float(torch.stack(distinct).abs().max()) == 0
    blocks = x[:, 1:, 1:] * x[:, :-1, 1:] * x[:, 1:, :-1] * x[:, :-1, :-1]
    assert bool((blocks == (-1 if odd else 1)).all())
