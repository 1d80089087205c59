"""Reference losses against their expectation in closed form, and their limits in sigma."""

from itertools import combinations

import pytest
import torch

from lib.errors import TextureError
from lib.evaluation.reference import SIGMAS, count, noise, reference_table
from lib.statistics.gaussian import GaussianTexture

SIZE = 48


@pytest.fixture(scope="module")
def patches() -> torch.Tensor:
    """[6,3,48,48]: samples of a Gaussian texture with correlations over about three pixels."""
    spot = torch.zeros(1, 3, 9, 9)
    spot[0, :, 3:6, 3:6] = torch.tensor([1.0, 0.7, 0.4])[:, None, None]
    texture = GaussianTexture.fit(spot)
    variance = texture.covariance[0, 0, 0, 8, 8]
    texture = GaussianTexture(0.5 + 0 * texture.mean, texture.covariance * (0.02 / variance))
    return texture.sample(SIZE, SIZE, n=6, seed=1)


@pytest.fixture(scope="module")
def table(patches: torch.Tensor) -> dict[str, list[float]]:
    return reference_table(patches, lags=(2, 4, 8))


def test_rows_and_columns(table: dict[str, list[float]]) -> None:
    assert list(table) == ["zero", "gaussian-2", "gaussian-4", "gaussian-8"]
    assert all(len(row) == len(SIGMAS) for row in table.values())


def test_predicting_nothing_costs_one(table: dict[str, list[float]]) -> None:
    assert table["zero"] == pytest.approx([1.0] * len(SIGMAS), abs=0.03)  # 41,472 squares: 4 sd


def test_a_gaussian_loses_what_theory_says(patches: torch.Tensor) -> None:
    """E|eps_hat - eps|^2 over eps alone: a filter's gain on eps, and what is left of x."""
    sigma = 0.1
    texture = GaussianTexture.fit(patches, lag=4)
    measured = reference_table(patches, (sigma,), (4,))["gaussian-4"][0]
    identity = torch.eye(3, dtype=torch.float64)
    inverse = torch.linalg.inv(texture.spectrum(SIZE, SIZE) + sigma**2 * identity)
    often = torch.full((SIZE // 2 + 1,), 2.0, dtype=torch.float64)
    often[0] = often[-1] = 1
    # eps_hat - eps = (sigma^2 P - 1) eps + sigma P (x - m)
    gain = sigma**2 * inverse - identity
    from_noise = (gain @ gain).diagonal(dim1=-2, dim2=-1).sum(-1).real * often
    from_signal = texture.predicted_noise(patches.double(), sigma).square().mean()
    expected = from_noise.sum((1, 2)).mean() / (3 * SIZE**2) + from_signal
    assert measured == pytest.approx(float(expected), rel=0.03)


def test_knowing_more_costs_less(table: dict[str, list[float]]) -> None:
    for fewer, more in [("zero", "gaussian-2"), ("gaussian-2", "gaussian-4"), ("gaussian-4", "gaussian-8")]:
        assert all(a > b for a, b in zip(table[fewer], table[more], strict=True))


def test_losses_fall_with_sigma_to_what_the_mean_costs(table: dict[str, list[float]]) -> None:
    for name in ("gaussian-2", "gaussian-4", "gaussian-8"):
        losses = table[name]
        assert losses == sorted(losses, reverse=True)
        # far above the signal eps_hat = (y - m) / sigma, wrong by (x - m) / sigma alone: variance / sigma^2
        assert losses[-1] < 0.02 / SIGMAS[-1] ** 2 * 2


def test_the_same_seed_the_same_table(patches: torch.Tensor, table: dict[str, list[float]]) -> None:
    assert reference_table(patches, lags=(2,))["gaussian-2"] == table["gaussian-2"]
    # a column does not depend on which others are asked for
    assert reference_table(patches, SIGMAS[2:3], (2,))["gaussian-2"] == table["gaussian-2"][2:3]
    assert reference_table(patches, lags=(2,), seed=1)["gaussian-2"] != table["gaussian-2"]
    assert not torch.equal(noise(patches, 0.02), noise(patches, 0.05))


def test_count() -> None:
    """Lag 0: three means, three variances, three covariances; lag 1 adds 4 lags x 3 and 8 lags x 3."""
    assert count(0) == 9
    assert count(1) == 9 + 4 * 3 + 8 * 3


def test_errors_say_what_to_do(patches: torch.Tensor) -> None:
    with pytest.raises(TextureError, match=r"\[N,3,H,W\]"):
        reference_table(patches[0])
    with pytest.raises(TextureError, match="lag 64"):
        reference_table(patches, lags=(64,))


def test_no_two_seeds_give_one_noise() -> None:
    drawn = [noise(torch.zeros(1, 3, 8, 8), 0.1, seed) for seed in (0, 1, 256, 512, 65536)]
    assert all(not torch.equal(a, b) for a, b in combinations(drawn, 2))
