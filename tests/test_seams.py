"""How much of a border is seen, where the answer is known."""

import pytest
import torch

from lib.evaluation.seams import blended, profile, seam, valley
from lib.samplers.step import white_noise

RING = (torch.arange(96)[:, None] - 48.0) ** 2 + (torch.arange(96) - 48.0) ** 2 < 30**2
HALF = (torch.arange(96) < 48).expand(96, 96)


def smooth(seed: int, n: int = 4) -> torch.Tensor:
    z = white_noise(n, 96, 96, seed)
    return 0.5 + 0.2 * (z + z.roll(1, -1) + z.roll(1, -2) + z.roll((1, 1), (-2, -1)))


@pytest.mark.parametrize("region", [RING, HALF], ids=["ring", "half"])
def test_no_border_no_seam_and_a_paste_shows(region: torch.Tensor) -> None:
    one, other = smooth(0), smooth(1)
    assert abs(seam(one, region)) < 3
    assert seam(torch.where(region, other, one), region) > 10


def test_the_profile_is_by_distance() -> None:
    """Steps of white noise are twice its variance at every distance; on the border of a bright half, its height."""
    e = profile(white_noise(8, 96, 96, 0), RING)
    assert torch.allclose(e, torch.full_like(e, 2.0), rtol=0.1)
    e = profile(HALF.float().expand(1, 3, -1, -1), HALF)
    assert e[12] == 1
    assert e.sum() == 1


def test_blending_pixels_halves_the_contrast() -> None:
    place = torch.arange(96).expand(96, -1)
    left, middle, right = place < 24, (place > 40) & (place < 56), place > 72
    flat = blended(smooth(0), smooth(1), torch.full((96, 96), 0.5))
    image = torch.where(middle, flat, smooth(2))
    assert valley(image, middle, left, right) == pytest.approx(0.5, abs=0.1)
    assert valley(smooth(0), middle, left, right) == pytest.approx(1, abs=0.15)
