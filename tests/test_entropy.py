"""Entropy from denoising: exact for Gaussian textures, exact for coin tosses, an upper bound for a poor denoiser."""

import math

import pytest
import torch
from torch import Tensor

from lib.errors import TextureError
from lib.evaluation.entropy import (
    LEAST,
    entropy,
    gaussian_entropy,
    information,
    learned,
    levels,
    losses,
    wiener,
)
from lib.images import exemplar
from lib.samplers.match import gaussian_of
from lib.statistics.gaussian import GaussianTexture
from lib.training.checkpoint import load

SIDE = 64


def texture(name: str) -> GaussianTexture:
    return gaussian_of(exemplar(name)[None, :, :128, :128])


def exact_losses(of: GaussianTexture, sigmas: list[float]) -> Tensor:
    return torch.stack([of.expected_loss(SIDE, SIDE, sigma)[0] for sigma in sigmas])


@pytest.mark.parametrize("name", ["grass", "cloth", "marble", "glitter"])
def test_the_integral_of_exact_losses_is_the_exact_entropy(name: str) -> None:
    of = texture(name)
    assert information(levels(), exact_losses(of, levels())).item() == pytest.approx(
        gaussian_entropy(of, LEAST, SIDE), abs=0.02
    )
    many = levels(40, most=50.0)
    assert information(many, exact_losses(of, many)).item() == pytest.approx(
        gaussian_entropy(of, LEAST, SIDE), abs=1e-3
    )


def test_gaussian_textures_measured_have_their_exact_entropy() -> None:
    of = texture("pebble")
    x = of.sample(SIDE, SIDE, n=6, seed=1)
    found = information(levels(), losses(wiener(of), x, levels(), frame=0))
    error = (found.std() / len(found) ** 0.5).item()
    assert found.mean().item() == pytest.approx(gaussian_entropy(of, LEAST, SIDE), abs=3 * error + 0.02)
    assert error < 0.05


def test_white_noise() -> None:
    s = 0.1
    x = s * torch.randn(8, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    found = entropy(lambda y, sigma: y / (1 + (sigma / s) ** 2), x)
    assert found.bits == pytest.approx(1.5 * math.log2(1 + (s / LEAST) ** 2), abs=0.02 + 3 * found.error)
    assert found.error < 0.02
    assert found.sigma == LEAST


def test_a_coin_tossed_for_each_channel_is_three_bits_a_pixel() -> None:
    """Far from Gaussian: x = ±1/2, for which E[x | y] = tanh(y / (2 sigma^2)) / 2."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(2, (4, 3, SIDE, SIDE), generator=generator) - 0.5
    sigmas = levels(24, most=5.0)
    found = entropy(lambda y, sigma: torch.tanh(y / (2 * sigma**2)) / 2, x, sigmas)
    assert found.bits == pytest.approx(3, abs=0.03)
    flat = entropy(lambda y, sigma: y / (1 + 4 * sigma**2), x, sigmas)  # what its spectrum knows
    assert flat.bits == pytest.approx(1.5 * math.log2(1 + 0.25 / LEAST**2), abs=0.1)


def test_a_constant_holds_nothing() -> None:
    x = torch.full((2, 3, 48, 48), 0.3)
    assert entropy(lambda y, sigma: torch.full_like(y, 0.3), x).bits == pytest.approx(0, abs=1e-9)


def test_a_poorer_denoiser_gives_an_upper_bound() -> None:
    of = texture("grass")
    x = of.sample(SIDE, SIDE, n=3, seed=2)
    rough = GaussianTexture.fit(x, lag=1)
    assert entropy(wiener(rough), x).bits > entropy(wiener(of), x).bits


def test_the_learned_model_finds_what_a_spectrum_does_not() -> None:
    """On pebbles, which are no Gaussian texture."""
    left, x = exemplar("pebble")[:, :160, :160], exemplar("pebble")[None, :, :96, 300:396]
    sigmas = levels(4)
    ours, flat = (
        information(sigmas, losses(denoiser, x, sigmas)).item()
        for denoiser in (learned(load(), left), wiener(gaussian_of(left[None])))
    )
    assert 0 < ours < flat


def test_too_few_levels_are_refused() -> None:
    for sigmas in (levels(3), levels(5)[::-1]):
        with pytest.raises(TextureError, match="four or more"):
            information(sigmas, torch.ones(len(sigmas)))
