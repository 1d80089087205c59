"""SOUL where theta* is known exactly: independent pixels with a Gaussian reference, mean and mean square prescribed.

With u = x - 1/2, f = (mean u, mean u^2) and J = |u|^2 / 2s^2, a pixel's colour is Gaussian under p_theta, of
precision 1/q = 1/s^2 + 2 theta_2 / 3 and mean m = -q theta_1 / 3. So E f = (m, q + m^2) asks for

    theta_1 = -3 m / q,     theta_2 = 3/2 (1/q - 1/s^2).
"""

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from lib.errors import TextureError
from lib.samplers.langevin import move
from lib.samplers.match import spectral
from lib.samplers.soul import A, B, C, SoulStep, largest, project, rates, soul
from lib.samplers.step import white_noise
from lib.statistics.gaussian import Autocovariance, GaussianTexture

SIDE = 32
S2 = 0.04  # of the reference
M, Q = -0.1, 0.01  # what is asked for
MU = torch.tensor([M, Q + M**2])
UNIT = torch.tensor([Q, 2 * Q**2 + 4 * M**2 * Q]) / 3


def star(gamma: float = 0.0) -> Tensor:
    """theta*, or what takes its place at step size gamma, where a variance q comes out as q / (1 - gamma / 2q)."""
    q = (Q + math.sqrt(Q**2 - 2 * Q * gamma)) / 2
    return torch.tensor([-3 * M / q, 1.5 * (1 / q - 1 / S2)])


STAR = star()


def f(x: Tensor) -> Tensor:
    u = x - 0.5
    return torch.stack([u.mean((1, 2, 3)), u.square().mean((1, 2, 3))], 1)


def reference(x: Tensor) -> Tensor:
    return (x - 0.5).square().sum((1, 2, 3)) / (2 * S2)


def draws(n: int, seed: int = 0) -> Callable[[int], Tensor]:
    return lambda k: white_noise(n, SIDE, SIDE, seed, k)


def run(n: int = 4, steps: int = 400, **given: object) -> Iterator[SoulStep]:
    start = 0.5 + S2**0.5 * white_noise(n, SIDE, SIDE, 0, 49_000)
    settings = {"delta": 0.2, "gamma": 0.1 * Q, "reference": reference, "unit": UNIT} | given
    return soul(f, MU, start, draws(n), steps, **settings)  # type: ignore[arg-type]


def log_likelihood(theta: Tensor) -> float:
    """Of data with f = mu, a pixel and colour, exactly."""
    q = 1 / (1 / S2 + 2 * theta[1] / 3)
    m = -q * theta[0] / 3
    log_z = 0.5 * torch.log(2 * math.pi * q) + m**2 / (2 * q)
    return (-(theta @ MU) / 3 - MU[1] / (2 * S2) - log_z).item()


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_theta_and_the_statistics_come_to_what_is_known(share: float) -> None:
    """Langevin's bias included: 0.2, 1 and 7 per cent of theta at the last, smaller step."""
    records = list(run(gamma=share * Q, steps=1000))
    known = star(share * Q * 11**-B)
    assert torch.allclose(records[-1].theta, known, rtol=0.06)
    assert torch.allclose(records[-1].average, known, rtol=0.12)
    late = torch.stack([f(r.image).mean(0) for r in records[-50:]]).mean(0)
    assert torch.allclose(late, MU, rtol=0.02)
    assert records[0].loss > 40
    assert records[-1].loss < 2


def test_the_likelihood_rises_to_that_of_theta_star() -> None:
    records = list(run(delta=0.05))
    values = [log_likelihood(torch.zeros(2)), *(log_likelihood(records[k].theta) for k in (2, 10, -1))]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(log_likelihood(STAR), abs=0.01)
    assert log_likelihood(STAR) > values[0] + 0.2
    assert all(log_likelihood(STAR) > log_likelihood(share * STAR) for share in (0.9, 1.1))


def test_an_iteration_is_the_one_written_down() -> None:
    """Too large a statistic becomes dearer, too small a one cheaper: theta moves by delta_1 (f(x_1) - mu) / v."""
    theta = torch.tensor([3.0, 5.0])
    start = torch.full((1, 3, SIDE, SIDE), 0.6)
    record = next(soul(f, MU, start, draws(1), 5, 0.2, 0.001, reference, UNIT, theta=theta, onset=1))
    gamma, delta = 0.001 * 2**-B, 0.2 * 2**-A
    gradient = (theta[0] + 2 * theta[1] * 0.1) / 3 + 0.1 / S2
    x = move(start, gradient.expand_as(start), gamma, draws(1)(1), lambda u: u)
    assert torch.allclose(record.image, x.clamp(0, 1), atol=1e-6)
    assert torch.allclose(record.theta, theta + delta * (f(x)[0] - MU) / UNIT, rtol=1e-4)
    assert record.theta[0] > theta[0]  # the mean is 0.1 and should be -0.1
    assert record.theta[1] < theta[1]  # the square 0.01 and should be 0.02


def test_the_steps_fall_as_the_theorem_asks() -> None:
    assert A <= 1
    assert A - B + C > 1
    assert A + B / 2 > 1


def test_more_steps_are_made_between_late_updates() -> None:
    asked = []

    def noise(k: int) -> Tensor:
        asked.append(k)
        return white_noise(1, SIDE, SIDE, 0, k)

    start = torch.full((1, 3, SIDE, SIDE), 0.5)
    for record in soul(f, MU, start, noise, 40, 0.1, 0.001, reference, UNIT, onset=5):
        assert isinstance(record, SoulStep)
    assert asked == list(range(1, sum(int((1 + k / 5) ** C) for k in range(1, 41)) + 1))


def test_learning_goes_on_from_a_given_theta() -> None:
    cold, warm = (next(run(n=1, theta=theta, delta=1e-6)).theta for theta in (None, STAR))
    assert torch.allclose(cold, torch.zeros(2), atol=1e-2)
    assert torch.allclose(warm, STAR, rtol=1e-3)


def test_theta_stays_in_its_ball() -> None:
    unit = torch.tensor([4.0, 0.25])
    inside, outside = torch.tensor([0.1, 0.1]), torch.tensor([3.0, 8.0])
    assert torch.equal(project(inside, unit, 1.0), inside)
    kept = project(outside, unit, 1.0)
    assert (unit.sqrt() * kept).norm().item() == pytest.approx(1)
    assert torch.allclose(kept / kept[0], outside / outside[0])
    sizes = [(UNIT.sqrt() * r.theta).norm().item() for r in run(n=1, steps=30, radius=0.5)]
    assert max(sizes) <= 0.5 + 1e-5
    assert max(sizes) > 0.499  # theta* lies outside


def test_the_gaussian_textures_multipliers_are_found() -> None:
    """All autocovariances of a texture prescribed: theta times f must become the known quadratic energy."""
    side = 8
    lags = torch.arange(-2, 3, dtype=torch.float64)
    shape = torch.exp(-(lags[:, None] ** 2 + lags**2) / 1.5) * (1 - lags.abs()[:, None] / 3) * (1 - lags.abs() / 3)
    covariance = 0.01 * torch.eye(3, dtype=torch.float64)[None, :, :, None, None] * shape
    texture = GaussianTexture(torch.full((1, 3), 0.5, dtype=torch.float64), covariance)
    statistics = Autocovariance(side, side)

    def centred(x: Tensor) -> Tensor:
        return statistics(x - 0.5)[:, 3:]

    wide = 0.2  # deviation of the reference
    root = spectral(texture, side, side)(0.5)
    # E r_ii(tau) = C(tau), the texture's autocovariance on this torus; other colours are independent
    kernel = torch.fft.irfft2(texture.spectrum(side, side).permute(0, 3, 4, 1, 2), s=(side, side))
    mu = statistics.distinct(kernel)[0].float()
    noise = lambda k: white_noise(64, side, side, 0, k)  # noqa: E731
    start = 0.5 + root(noise(0))
    with torch.no_grad():
        unit = side**2 * centred(start).var(0)
    runs = soul(
        centred, mu, start, noise, 250, 0.02, 0.2,
        lambda x: (x - 0.5).square().sum((1, 2, 3)) / (2 * wide**2), unit, root,
    )  # fmt: skip
    *_, record = runs
    # compare energies, as pairs of lags are counted once: U(x) = (x - m)' S^-1 (x - m) / 2 up to a constant
    fresh = texture.sample(side, side, n=200, seed=7)
    with torch.no_grad():
        learned = side**2 * centred(fresh) @ record.theta + (fresh - 0.5).square().sum((1, 2, 3)) / (2 * wide**2)
    exact = texture.energy(fresh, 1e-3) / 1e-3
    slope = torch.cov(torch.stack([learned.double(), exact]))
    assert (slope[0, 1] / (slope[0, 0] * slope[1, 1]).sqrt()).item() > 0.9
    assert (slope[0, 1] / slope[1, 1]).item() == pytest.approx(1, abs=0.25)


def test_the_mean_square_rates_of_linear_statistics_are_their_variances() -> None:
    """v = N Var f exactly, for f linear in x and moves of covariance P."""
    weights = torch.randn(5, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) / SIDE**2
    scale = torch.linspace(0.1, 1, SIDE)

    def linear(x: Tensor) -> Tensor:
        return torch.einsum("dchw,bchw->bd", weights, x)

    found = rates(linear, torch.full((1, 3, SIDE, SIDE), 0.5), lambda z: scale * z, white_noise(400, SIDE, SIDE, 0))
    assert torch.allclose(found.square().mean(0), SIDE**2 * (weights * scale).square().sum((1, 2, 3)), rtol=0.25)


@pytest.mark.parametrize("copies", [1, 20])
def test_theta_and_f_swing_and_stay_bounded_below_four(copies: int) -> None:
    """delta gamma rho = 2 and 4.4, for a mean that is asked for once, or many times; steps that do not fall."""

    def mean(x: Tensor) -> Tensor:
        return x.mean((1, 2, 3))[:, None].repeat(1, copies)

    start, gamma = torch.full((1, 3, SIDE, SIDE), 0.5), 1e-4
    v = torch.full((copies,), 1 / 3)  # N times the variance of the mean of 3N numbers of variance one
    assert largest(rates(mean, start, lambda u: u, draws(200)(0)), v) == pytest.approx(copies, rel=0.3)

    def highest(product: float) -> float:
        records = soul(
            mean, mean(start)[0], start, draws(1), 100, product / (gamma * copies), gamma,
            lambda x: 0 * x.sum((1, 2, 3)), v, onset=10**9, radius=1e9,
        )  # fmt: skip
        return max(record.loss for record in records)

    assert highest(2.0) < 20 * (2 * gamma) ** 0.5  # a step's noise, a hundred times: a walk of ten
    assert highest(4.4) > 60 * (2 * gamma) ** 0.5  # no further, as the drift is shortened


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"delta": 0.0}, "delta is 0.0"),
        ({"gamma": -1.0}, "gamma is -1.0"),
        ({"radius": math.inf}, "radius is inf"),
        ({"steps": 0}, "steps is 0"),
        ({"onset": 0}, "onset is 0"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_errors_say_what_is_wrong(change: dict, said: str) -> None:
    with pytest.raises(TextureError) as caught:
        next(run(**change))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
