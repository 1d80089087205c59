"""Langevin's algorithm against Gaussians, where its law at any step size is known exactly, bias included."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lib.errors import TextureError
from lib.samplers.langevin import langevin, move
from lib.samplers.match import spectral
from lib.samplers.step import white_noise
from lib.statistics.gaussian import GaussianTexture

MEAN, VARIANCE = 0.4, 0.01


def pixelwise(x: Tensor) -> Tensor:
    """U of independent pixels of this mean and variance."""
    return (x - MEAN).square().sum((1, 2, 3)) / (2 * VARIANCE)


def draws(n: int, side: int = 32) -> Callable[[int], Tensor]:
    return lambda k: white_noise(n, side, side, 0, k)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_the_law_of_independent_pixels_is_the_known_one(share: float) -> None:
    """Right mean, and variance s / (1 - gamma / 2s): 2.5, 18 and 43 per cent too much."""
    start = torch.full((4, 3, 32, 32), 0.5)
    records = list(langevin(pixelwise, start, draws(4), 100, share * VARIANCE))
    seen = torch.stack([r.image for r in records[-20:]])
    assert seen.mean().item() == pytest.approx(MEAN, abs=0.004)
    assert seen.var().item() == pytest.approx(VARIANCE / (1 - share / 2), rel=0.03)


def test_the_bias_falls_with_the_step() -> None:
    """Half the step, not quite half the bias: 25 and 11 per cent."""
    wide = []
    for share in (0.4, 0.2):
        *_, record = langevin(pixelwise, torch.full((16, 3, 32, 32), MEAN), draws(16), 60, share * VARIANCE)
        wide.append(record.image.var().item() / VARIANCE - 1)
    assert wide[0] / wide[1] == pytest.approx(0.25 / (1 / 0.9 - 1), rel=0.25)


def test_in_units_of_the_spectrum_every_frequency_has_the_same_bias() -> None:
    """A Gaussian texture whose spectrum spans a factor of 200, with P its covariance."""
    side, gamma, n = 32, 0.4, 24
    lags = torch.arange(-6, 7, dtype=torch.float64)
    bump = torch.exp(-(lags[:, None] ** 2 + lags**2) / 4) * 0.01
    covariance = torch.eye(3, dtype=torch.float64)[None, :, :, None, None] * bump
    covariance[..., 6, 6] += 0.002 * torch.eye(3, dtype=torch.float64)
    texture = GaussianTexture(torch.full((1, 3), 0.5, dtype=torch.float64), covariance)
    of = spectral(texture, side, side)
    root, inverse = of(0.5), of(-0.5)

    def energy(x: Tensor) -> Tensor:
        return inverse(x - 0.5).square().sum((1, 2, 3)) / 2

    *_, record = langevin(energy, torch.full((n, 3, side, side), 0.5), draws(n), 25, gamma, root)
    power = torch.fft.rfft2(record.image - 0.5).abs().square().mean((0, 1)) / side**2
    truth = texture.spectrum(side, side)[0, ..., 0, 0].real
    ratio = (power / truth).flatten()
    order = truth.flatten().argsort()
    for band in order.chunk(4):  # from the weakest frequencies to the strongest
        assert ratio[band].mean().item() == pytest.approx(1 / (1 - gamma / 2), rel=0.06)


def test_a_slow_chain_has_not_arrived_without_that_metric() -> None:
    """The same number of steps, P = 1: the step that the weakest frequency bears leaves the strongest behind."""
    weak, strong = 0.002, 0.1
    scale = torch.full((1, 3, 32, 32), weak)
    scale[..., 16:, :] = strong

    def energy(x: Tensor) -> Tensor:
        return ((x - 0.5).square() / (2 * scale**2)).sum((1, 2, 3))

    start = torch.full((4, 3, 32, 32), 0.5)
    spread = []
    for gamma, root in ((0.4 * weak**2, lambda u: u), (0.4, lambda u: scale * u)):
        *_, record = langevin(energy, start, draws(4), 30, gamma, root)
        spread.append(record.image[..., 16:, :].std().item() / strong)
    assert spread[0] < 0.2
    assert spread[1] == pytest.approx((1 / 0.8) ** 0.5, rel=0.05)


def test_a_long_drift_is_shortened_and_a_short_one_is_not() -> None:
    x, z = torch.zeros(2, 3, 32, 32), torch.zeros(2, 3, 32, 32)
    gradient = torch.ones(2, 3, 32, 32)
    gradient[1] *= 1e6
    moved = move(x, gradient, 0.04, z, lambda u: u)
    assert torch.allclose(moved[0], torch.tensor(-0.04))
    assert torch.allclose(moved[1], torch.tensor(-0.2))  # gamma^(1/2)


def test_chains_do_not_know_each_other() -> None:
    start = torch.full((3, 3, 32, 32), 0.5)
    *_, three = langevin(pixelwise, start, draws(3), 10, 0.003)
    *_, one = langevin(pixelwise, start[:1], draws(1), 10, 0.003)
    assert torch.allclose(three.image[:1], one.image, atol=1e-6)
    assert (three.image[0] - three.image[1]).abs().mean() > 0.05


def test_records_are_shown_in_range_and_hold_the_energy() -> None:
    start = torch.full((2, 3, 32, 32), 0.98)
    records = list(langevin(pixelwise, start, draws(2), 3, 0.01))
    assert [r.step for r in records] == [1, 2, 3]
    assert all(r.image.min() >= 0 and r.image.max() <= 1 for r in records)
    assert records[0].loss == pytest.approx(pixelwise(start)[0].item(), rel=1e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gamma": 0}, "gamma is 0"),
        ({"gamma": float("nan")}, "gamma is nan"),
        ({"gamma": "1"}, "gamma is '1'"),
        ({"steps": 0}, "steps is 0"),
        ({"energy": lambda x: (x * torch.nan).sum((1, 2, 3))}, "not finite"),
    ],
    ids=["zero", "nan", "text", "steps", "energy"],
)
def test_errors_say_what_is_wrong(change: dict, said: str) -> None:
    given = {"energy": pixelwise, "starts": torch.zeros(1, 3, 32, 32), "noise": draws(1), "steps": 2, "gamma": 0.001}
    with pytest.raises(TextureError) as caught:
        list(langevin(**(given | change)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
