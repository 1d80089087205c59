"""Diversity of models whose diversity is known."""

import pytest
import torch
from torch import Tensor

import lib
from lib.errors import TextureError
from lib.evaluation import variety

SEEDED = torch.Generator().manual_seed(0)


def moments(x: Tensor) -> Tensor:
    return torch.cat([x.mean((2, 3)), x.square().mean((2, 3))], 1)


def noise(n: int) -> Tensor:
    return 0.5 + 0.1 * torch.randn(n, 3, 40, 40, generator=SEEDED)


def test_new_draws_of_one_law_are_as_various_as_the_law() -> None:
    assert variety.places(noise(40), noise(1)[0]) == pytest.approx(1, abs=0.05)
    assert variety.statistics(moments, noise(60), noise(60)) == pytest.approx(1, abs=0.25)


def test_one_picture_again_and_again_is_no_texture() -> None:
    again = noise(1).expand(5, -1, -1, -1)
    assert variety.places(again, again[0]) == 0
    assert variety.statistics(moments, again, noise(10)) < 1e-3


def test_one_picture_shifted_moves_its_pixels_and_not_its_statistics() -> None:
    """What tells a model that shifts from one that makes: a torus has its averages wherever it begins."""
    x = lib.exemplar("grass")[:, :40, :40]
    shifted = torch.stack([x.roll((7 * i, 11 * i), (1, 2)) for i in range(8)])
    periodic = torch.stack([noise(1)[0] for _ in range(8)])
    assert variety.places(shifted, x) > 0.5
    made = variety.statistics(lambda x: moments(x), shifted, periodic)
    assert made < variety.statistics(moments, noise(8), periodic) / 3


def test_one_sample_does_not_vary() -> None:
    with pytest.raises(TextureError, match="samples are 1; give at least 2"):
        variety.places(noise(1), noise(1)[0])
    with pytest.raises(TextureError, match="pieces are 1"):
        variety.statistics(moments, noise(2), noise(1))
