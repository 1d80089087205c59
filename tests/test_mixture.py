"""A mixture on the line: a density, its samples, and Miyasawa's identity (Eq. 3)."""

import pytest
import torch

from lib.mixture import Mixture

MIXTURE = Mixture((0.5, 0.3, 0.2), (0.2, 0.5, 0.9), (0.05, 0.02, 0.1))


@pytest.mark.parametrize("sigma", [0.0, 0.1, 1.0])
def test_densities_integrate_to_one(sigma: float) -> None:
    y = torch.linspace(-10, 10, 200_001, dtype=torch.float64)
    assert torch.trapezoid(MIXTURE.log_density(y, sigma).exp(), y).item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("sigma", [0.02, 0.1, 1.0])
def test_expected_noise_is_minus_sigma_times_the_score(sigma: float) -> None:
    y = torch.linspace(-0.3, 1.3, 50, dtype=torch.float64).requires_grad_()
    (score,) = torch.autograd.grad(MIXTURE.log_density(y, sigma).sum(), y)
    torch.testing.assert_close(MIXTURE.expected_noise(y.detach(), sigma), -sigma * score, rtol=1e-7, atol=1e-9)


def test_one_gaussian_is_shrunk_towards_its_mean() -> None:
    one, y = Mixture((1.0,), (0.4,), (0.3,)), torch.linspace(-1, 2, 7, dtype=torch.float64)
    torch.testing.assert_close(one.expected_noise(y, 0.5), 0.5 * (y - 0.4) / (0.3**2 + 0.5**2))


def test_samples_have_its_moments_and_their_seed() -> None:
    x = MIXTURE.sample(100_000)
    assert x.mean().item() == pytest.approx(0.5 * 0.2 + 0.3 * 0.5 + 0.2 * 0.9, abs=0.005)
    assert torch.equal(MIXTURE.sample(5, seed=3), MIXTURE.sample(5, seed=3))
