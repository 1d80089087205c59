"""Xs among Ls: equal luminance, the order of the published columns, and what the mechanism is tuned to."""

import pytest
import torch
from torch import Tensor

from lib.errors import TextureError
from lib.statistics.texton import (
    ACROSS,
    BARS,
    INSIDE,
    LENGTH,
    SIZE,
    SPACING,
    centre_surround,
    discriminability,
    micropatterns,
    segregation_image,
)

SEEDS = range(10)


def d_prime(kind: str, seed: int, size: float = SIZE) -> float:
    image, mask = segregation_image(kind, seed)
    return discriminability(centre_surround(image, size), mask)


def energy(shape: str, length: float, size: float) -> float:
    """Sum of squares of the centre-surround response to one micropattern of unit luminance, mean over orientations."""
    angle = torch.linspace(0, torch.pi / 2, 13)[:-1]
    alone = [one / one.sum() for one in micropatterns(shape, length, angle, torch.zeros(12, 2))]
    return sum(centre_surround(one, size, pool=0.0).sum().item() for one in alone) / 12


def test_discriminability_has_the_published_order_at_every_seed() -> None:
    found = {kind: torch.tensor([d_prime(kind, seed) for seed in SEEDS]) for kind in BARS}
    assert (found["b"] > found["a"] + 1).all()
    assert (found["a"] > found["c"].abs() + 1).all()
    assert found["c"].abs().max() < 0.6
    assert found["c"].mean().abs() < 0.3


def test_a_single_micropattern_explains_it() -> None:
    """Not the arrangement: of one luminance, an X and an L of 3/4 answer alike, longer Ls the less."""
    x = energy("X", LENGTH, SIZE)
    short, same, long = (energy("L", LENGTH * bars, SIZE) / x for bars in (0.75, 1.0, 1.25))
    assert short == pytest.approx(1, abs=0.03)
    assert long < same - 0.1 < short - 0.2


def test_a_mechanism_for_bars_is_blind_to_size_and_prefers_the_brighter() -> None:
    """Tuned to the bars' thickness it sees short bright Ls better than Xs: the square in c is the darker one."""
    assert d_prime("c", 0, size=1.5) < -1


@pytest.mark.parametrize("kind", BARS)
def test_mean_luminance_is_the_same_everywhere(kind: str) -> None:
    image, mask = segregation_image(kind, 3)
    assert image.shape == mask.shape == (ACROSS * SPACING, ACROSS * SPACING)
    assert 0 <= image.min() < image.max() <= 1
    assert int(mask.sum()) == (INSIDE * SPACING) ** 2
    assert image[mask].mean().item() == pytest.approx(image[~mask].mean().item(), rel=0.01)
    assert image.mean().item() == pytest.approx(segregation_image("a", 3)[0].mean().item(), rel=0.01)


@pytest.mark.parametrize("shape", ["X", "L"])
def test_micropatterns_are_two_bars_of_the_length(shape: str) -> None:
    """Turned by nothing: rows and columns that are lit, and the area of two bars less what they share."""
    (one,) = micropatterns(shape, 12.0, torch.zeros(1), torch.zeros(1, 2))
    lit = one > 0.5
    extents = [int(lit.any(axis).sum()) for axis in (0, 1)]
    shared = 4 if shape == "X" else 1  # thickness squared, and a quarter of it where ends meet
    assert extents == [12, 12] if shape == "X" else [13, 13]
    assert one.sum().item() == pytest.approx(2 * 12 * 2 - shared, abs=0.01)


def test_orientations_and_places_are_the_seeds() -> None:
    image, mask = segregation_image("a", 1)
    again, other, longer = (segregation_image(kind, seed)[0] for kind, seed in (("a", 1), ("a", 2), ("b", 1)))
    assert torch.equal(image, again)
    assert (image != other).float().mean() > 0.2
    inner = torch.zeros_like(mask)
    quarter = (ACROSS - INSIDE) // 2 * SPACING + SPACING
    inner[quarter:-quarter, quarter:-quarter] = True  # the Xs that no L overlaps
    assert torch.allclose(image[inner], longer[inner], atol=1e-6)


def test_discriminability_is_d_prime() -> None:
    g = torch.Generator().manual_seed(0)
    mask = torch.rand(400, 400, generator=g) < 0.3
    response: Tensor = torch.randn(400, 400, generator=g) * 2 + 3 * mask
    assert discriminability(response, mask) == pytest.approx(1.5, abs=0.03)
    assert discriminability(-response, mask) == pytest.approx(-1.5, abs=0.03)


def test_a_mechanism_does_not_answer_an_even_field() -> None:
    assert centre_surround(torch.full((64, 64), 0.7)).abs().max() < 1e-10


def test_errors_say_what_to_do() -> None:
    with pytest.raises(TextureError, match="kind is 'd'; choose one of a, b, c"):
        segregation_image("d")
    with pytest.raises(TextureError, match="seed is -1"):
        segregation_image("a", -1)
