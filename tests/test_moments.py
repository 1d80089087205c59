"""Moments over draws against Gaussian numbers whose moments are known."""

import pytest
import torch

from lib.evaluation.moments import expectation, scaling

D = 300
COIN = torch.Generator().manual_seed(0)
MU, SPREAD = torch.randn(D, generator=COIN), torch.rand(D, generator=COIN) + 0.5


def numbers(n: int, variance: float, bias: float = 0.0) -> torch.Tensor:
    return MU + SPREAD * (bias + variance**0.5 * torch.randn(n, D, generator=COIN))


def test_right_draws_are_within_their_errors() -> None:
    found = expectation(numbers(50, 0.25), MU, SPREAD)
    assert found.error.mean().item() == pytest.approx((0.25 / 50) ** 0.5, rel=0.05)
    assert found.within == pytest.approx(0.945, abs=0.04)  # of Student's t with 49 degrees of freedom
    assert found.bias < 0.03


def test_a_bias_is_found_and_noise_is_not_taken_for_one() -> None:
    assert expectation(numbers(10, 1.0, bias=0.5), MU, SPREAD).bias == pytest.approx(0.5, abs=0.06)
    assert expectation(numbers(200, 0.01, bias=0.5), MU, SPREAD).within == 0


@pytest.mark.parametrize("power", [-1.0, -0.5, 0.0])
def test_the_slope_is_that_of_the_variance(power: float) -> None:
    found = scaling({n: numbers(20, (n / 1024) ** power) for n in (1024, 4096, 16384)}, SPREAD)
    assert found.slope == pytest.approx(power, abs=4 * found.slope_error)
    assert found.slope_error < 0.05
    assert found.variance[0].item() == pytest.approx(1, abs=4 * found.error[0].item())


def test_errors_are_those_of_repeated_experiments() -> None:
    """Statistics that move together: one number in all columns, so that averaging over columns buys nothing."""
    def draws() -> torch.Tensor:
        return torch.randn(8, 1, generator=COIN).expand(8, D) * SPREAD

    slopes = [scaling({1: draws(), 4: draws(), 16: draws()}, SPREAD) for _ in range(200)]
    spread = torch.tensor([s.slope for s in slopes]).std().item()
    told = torch.tensor([s.slope_error for s in slopes]).mean().item()
    assert told == pytest.approx(spread, rel=0.3)
