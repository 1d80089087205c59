"""The Gaussian texture against brute-force linear algebra, Monte Carlo, and lib.energy."""

import math
from itertools import combinations

import pytest
import torch

from lib import energy as general
from lib.errors import TextureError
from lib.statistics.gaussian import Autocovariance, GaussianTexture, autocovariance, smooth_autocovariance

HEIGHT, WIDTH = 5, 6  # one odd, one even: the two cases of rfft2's last column
SIGMA = 0.3


@pytest.fixture(scope="module")
def exemplar() -> torch.Tensor:
    """[1,3,9,8] in [0,1], neighbours and channels correlated, opposite directions unlike."""
    generator = torch.Generator().manual_seed(1)
    u = torch.rand(1, 3, 9, 8, generator=generator, dtype=torch.float64)
    u = (u + u.roll(1, 3) + 0.5 * u.roll((1, 2), (2, 3))) / 2.5
    u[:, 1] = 0.5 * (u[:, 1] + u[:, 0].roll(1, 2))
    return u


@pytest.fixture(scope="module")
def texture(exemplar: torch.Tensor) -> GaussianTexture:
    return GaussianTexture.fit(exemplar, lag=2)


@pytest.fixture(scope="module")
def noisy() -> torch.Tensor:
    return torch.rand(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def covariance_matrix(texture: GaussianTexture, height: int, width: int) -> torch.Tensor:
    """[3HW,3HW]: entry (i, k; j, l) sums C_ij over the lags that take l to k on the torus, one by one."""
    down, right = (n // 2 for n in texture.covariance.shape[-2:])
    matrix = torch.zeros(3, height, width, 3, height, width, dtype=torch.float64)
    for s in range(-down, down + 1):
        for t in range(-right, right + 1):
            for row in range(height):
                for column in range(width):
                    block = texture.covariance[0, :, :, down + s, right + t]
                    matrix[:, (row + s) % height, (column + t) % width, :, row, column] += block
    return matrix.reshape(3 * height * width, -1)


def test_autocovariance_is_the_sum_it_claims(exemplar: torch.Tensor) -> None:
    mean, covariance = autocovariance(exemplar)
    u = exemplar[0] - exemplar[0].mean((1, 2), keepdim=True)
    torch.testing.assert_close(mean[0], exemplar[0].mean((1, 2)))
    assert covariance.shape == (1, 3, 3, 17, 15)
    for i, j, s, t in [(0, 0, 0, 0), (0, 1, 2, -1), (2, 1, -3, 0), (1, 1, 8, 7)]:
        total = sum(
            float(u[i, k + s, m + t] * u[j, k, m])
            for k in range(9)
            for m in range(8)
            if 0 <= k + s < 9 and 0 <= m + t < 8
        )
        assert float(covariance[0, i, j, 8 + s, 7 + t]) == pytest.approx(total / 72, abs=1e-12)
    windowed = autocovariance(exemplar, 3)[1]
    assert windowed.shape == (1, 3, 3, 7, 7)
    ratio = float(windowed[0, 0, 1, 3 + 2, 3 - 1] / covariance[0, 0, 1, 8 + 2, 7 - 1])
    assert ratio == pytest.approx((1 - 2 / 4) * (1 - 1 / 4))


def test_the_whole_autocovariance_on_its_own_torus_is_the_periodogram(exemplar: torch.Tensor) -> None:
    U = torch.fft.rfft2(exemplar[0] - exemplar[0].mean((1, 2), keepdim=True))
    periodogram = torch.einsum("ihw,jhw->hwij", U, U.conj()) / 72
    torch.testing.assert_close(GaussianTexture.fit(exemplar).spectrum(9, 8)[0], periodogram)


@pytest.mark.parametrize("lag", [None, 0, 1, 4])
@pytest.mark.parametrize("size", [(9, 8), (5, 6), (3, 3), (16, 31)])
def test_the_spectrum_is_non_negative_on_every_torus(
    exemplar: torch.Tensor, lag: int | None, size: tuple[int, int]
) -> None:
    values = torch.linalg.eigvalsh(GaussianTexture.fit(exemplar, lag).spectrum(*size))
    assert float(values.min()) > -1e-12 * float(values.max())


@pytest.mark.parametrize("size", [(9, 8), (5, 6), (16, 31)])
def test_the_smooth_spectrum_is_of_circular_products(exemplar: torch.Tensor, size: tuple[int, int]) -> None:
    """Products go round the torus, under Parzen's window: the cubic B-spline, 1 at 0 and 0 at 4."""
    mean, covariance = smooth_autocovariance(exemplar, 3)
    u = exemplar[0] - exemplar[0].mean((1, 2), keepdim=True)
    parzen = (1, 23 / 32, 1 / 4, 1 / 32)
    for i, j, s, t in [(0, 0, 0, 0), (0, 1, 2, -1), (2, 1, -2, 1)]:
        product = float((u[i].roll((-s, -t), (0, 1)) * u[j]).mean())
        window = parzen[abs(s)] * parzen[abs(t)]
        assert float(covariance[0, i, j, 3 + s, 3 + t]) == pytest.approx(product * window, abs=1e-12), (s, t)
    values = torch.linalg.eigvalsh(GaussianTexture(mean, covariance).spectrum(*size))
    assert float(values.min()) > -1e-12 * float(values.max())


def test_a_smooth_spectrum_does_not_leak() -> None:
    """A wave with hardly any noise: far from its frequency there is the noise's power, and little else."""
    t = torch.arange(64, dtype=torch.float64)
    noise = 1e-3 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = 0.5 + 0.3 * torch.cos(2 * math.pi * 2 / 64 * t).expand(1, 3, 64, 64) + noise

    def far(table: tuple[torch.Tensor, torch.Tensor]) -> float:
        return float(GaussianTexture(*table).spectrum(64, 64)[0, 20:44, 24:].diagonal(dim1=-2, dim2=-1).real.mean())

    assert far(smooth_autocovariance(x, 24)) == pytest.approx(1e-6, rel=0.5)
    assert far(autocovariance(x, 24)) > 10e-6


def test_the_noise_estimate_is_the_posterior_mean(texture: GaussianTexture, noisy: torch.Tensor) -> None:
    """Against the conditional mean of jointly Gaussian (eps, y), all 90 coordinates at once."""
    covariance = covariance_matrix(texture, HEIGHT, WIDTH)
    mean = texture.mean[0].repeat_interleave(HEIGHT * WIDTH)
    u = noisy.flatten(1) - mean
    whitened = torch.linalg.solve(covariance + SIGMA**2 * torch.eye(len(mean)).double(), u.T).T
    torch.testing.assert_close(texture.predicted_noise(noisy, SIGMA).flatten(1), SIGMA * whitened)
    posterior_mean = mean + whitened @ covariance
    torch.testing.assert_close(texture.denoised(noisy, SIGMA).flatten(1), posterior_mean)
    torch.testing.assert_close(texture.energy(noisy, SIGMA), SIGMA / 2 * (u * whitened).sum(1))
    entropy = 0.5 * torch.logdet(2 * math.pi * math.e * (covariance + SIGMA**2 * torch.eye(len(mean))))
    torch.testing.assert_close(texture.entropy(HEIGHT, WIDTH, SIGMA)[0], entropy)


def test_the_noise_estimate_is_the_gradient_of_the_energy(
    texture: GaussianTexture, noisy: torch.Tensor
) -> None:
    """Central differences, exact for a quadratic but for rounding."""
    gradient, step = texture.predicted_noise(noisy[:1], SIGMA).flatten(), 1e-3
    for k in range(0, gradient.numel(), 7):
        bump = torch.zeros(gradient.numel(), dtype=torch.float64)
        bump[k] = step
        above, below = (texture.energy(noisy[:1] + s * bump.view_as(noisy[:1]), SIGMA) for s in (1, -1))
        assert float((above - below) / (2 * step)) == pytest.approx(float(gradient[k]), rel=1e-8, abs=1e-10)


def test_the_score_is_that_of_the_density_and_points_home(
    texture: GaussianTexture, noisy: torch.Tensor
) -> None:
    covariance = covariance_matrix(texture, HEIGHT, WIDTH) + SIGMA**2 * torch.eye(3 * HEIGHT * WIDTH)
    density = torch.distributions.MultivariateNormal(
        texture.mean[0].repeat_interleave(HEIGHT * WIDTH), covariance_matrix=covariance
    )
    y = noisy.clone().requires_grad_()
    (expected,) = torch.autograd.grad(density.log_prob(y.flatten(1)).sum(), y)
    score = texture.score(noisy, SIGMA)
    torch.testing.assert_close(score, expected)
    towards_mean = texture.mean[0][:, None, None] - noisy
    assert bool(((score * towards_mean).sum((1, 2, 3)) > 0).all())


def test_statistics_and_multipliers_give_the_same_through_lib_energy(
    texture: GaussianTexture, noisy: torch.Tensor
) -> None:
    f, lam = Autocovariance(HEIGHT, WIDTH), texture.multipliers(HEIGHT, WIDTH, SIGMA)
    values = f(noisy)
    assert values.shape == (2, f.dim)
    assert lam.shape == (1, f.dim)
    y = noisy.float()
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(general.predicted_noise(f, lam, y), texture.predicted_noise(y, SIGMA), **close)
    torch.testing.assert_close(general.denoised(f, lam, y, SIGMA), texture.denoised(y, SIGMA), **close)
    torch.testing.assert_close(general.score(f, lam, y, SIGMA), texture.score(y, SIGMA), **close)
    # energies agree up to the constant that Z swallows
    general_difference = general.energy(f, lam, y).diff()
    torch.testing.assert_close(general_difference, texture.energy(y, SIGMA).float().diff(), **close)


def test_the_statistics_do_not_see_a_shift(noisy: torch.Tensor) -> None:
    f = Autocovariance(HEIGHT, WIDTH)
    torch.testing.assert_close(f(noisy.roll((2, 3), (2, 3))), f(noisy))
    # the distinct entries stand for the whole table, 9 H W
    assert int(f.multiplicity.sum()) == 9 * HEIGHT * WIDTH
    with pytest.raises(TextureError, match="5x6"):
        f(noisy[..., :4])


def test_samples_have_the_mean_and_covariance(texture: GaussianTexture) -> None:
    """20,000 samples; by shift-invariance each lag is measured 30 times a sample."""
    n = 20_000
    f = Autocovariance(HEIGHT, WIDTH)
    samples = texture.sample(HEIGHT, WIDTH, n=n, seed=3).double() - texture.mean[:, :, None, None]
    measured = f(samples)
    spread = measured.std(0) / math.sqrt(n)
    table = torch.fft.irfft2(texture.spectrum(HEIGHT, WIDTH).permute(0, 3, 4, 1, 2), s=(HEIGHT, WIDTH))
    expected = torch.cat([torch.zeros(1, 3, dtype=torch.float64), f.distinct(table)], 1)[0]
    deviation = (measured.mean(0) - expected) / spread
    assert float(deviation.abs().max()) < 4.5
    assert float(deviation.square().mean()) == pytest.approx(1, abs=0.5)


def test_the_expected_loss_is_what_samples_cost(texture: GaussianTexture) -> None:
    """Against the trace of the posterior covariance, and 500 samples."""
    covariance = covariance_matrix(texture, HEIGHT, WIDTH)
    noisy_covariance = covariance + SIGMA**2 * torch.eye(len(covariance), dtype=torch.float64)
    posterior = covariance - covariance @ torch.linalg.solve(noisy_covariance, covariance)
    expected = texture.expected_loss(HEIGHT, WIDTH, SIGMA)[0]
    torch.testing.assert_close(expected, posterior.trace() / len(covariance) / SIGMA**2)
    clean = texture.sample(HEIGHT, WIDTH, n=500, seed=8)
    epsilon = torch.randn(clean.shape, generator=torch.Generator().manual_seed(9))
    losses = (texture.predicted_noise(clean + SIGMA * epsilon, SIGMA) - epsilon).square().mean((1, 2, 3))
    deviation = float(losses.std()) / math.sqrt(len(losses))
    assert float(losses.mean()) == pytest.approx(float(expected), abs=4 * deviation)


def test_samples_depend_on_seed_and_index_alone(texture: GaussianTexture) -> None:
    three = texture.sample(7, 10, n=3, seed=5)
    assert torch.equal(three, texture.sample(7, 10, n=5, seed=5)[:3])
    assert not torch.equal(three, texture.sample(7, 10, n=3, seed=6))
    assert not torch.equal(three[0], three[1])


def test_spot_noise_is_the_exemplar_convolved_with_white_noise(exemplar: torch.Tensor) -> None:
    """The covariance of u * W / sqrt(N), W one white noise for the three channels, is this model's."""
    u = exemplar[0] - exemplar[0].mean((1, 2), keepdim=True)
    columns = [u.roll((row, column), (1, 2)).flatten() for row in range(9) for column in range(8)]
    covariance = sum(torch.outer(column, column) for column in columns) / 72
    torch.testing.assert_close(covariance_matrix(GaussianTexture.fit(exemplar), 9, 8), covariance)


def test_limits_of_sigma(exemplar: torch.Tensor, noisy: torch.Tensor) -> None:
    texture = GaussianTexture.fit(exemplar, lag=2)
    mean = texture.mean[:, :, None, None]
    torch.testing.assert_close(texture.denoised(noisy, 1e4), mean.expand_as(noisy), atol=1e-6, rtol=0)
    torch.testing.assert_close(texture.denoised(noisy, 1e-6), noisy, atol=1e-6, rtol=0)
    far = (noisy - mean) / 1e4
    torch.testing.assert_close(texture.predicted_noise(noisy, 1e4), far, rtol=1e-6, atol=0)


def test_a_sigma_for_each_image(texture: GaussianTexture, noisy: torch.Tensor) -> None:
    both = texture.predicted_noise(noisy, torch.tensor([0.1, 2.0]))
    torch.testing.assert_close(both[:1], texture.predicted_noise(noisy[:1], 0.1))
    torch.testing.assert_close(both[1:], texture.predicted_noise(noisy[1:], 2.0))


def test_errors_say_what_to_do(exemplar: torch.Tensor) -> None:
    with pytest.raises(TextureError, match=r"\[B,3,H,W\]"):
        autocovariance(exemplar[0])
    with pytest.raises(TextureError, match="lag 8"):
        GaussianTexture.fit(exemplar, lag=8)
    with pytest.raises(TextureError, match="ask for 2"):
        GaussianTexture.fit(exemplar.repeat(2, 1, 1, 1), lag=1).sample(4, 4, n=3)


def test_no_two_seeds_give_one_sample() -> None:
    texture = GaussianTexture.fit(torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)), lag=2)
    drawn = [texture.sample(32, 32, seed=seed) for seed in (0, 1, 4096, 8192, 2**40)]
    assert all(not torch.equal(a, b) for a, b in combinations(drawn, 2))
