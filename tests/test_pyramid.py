"""The steerable pyramid: what goes in comes out, on every torus, and bands hold what they are named after."""

import math

import pytest
import torch

import lib
from lib.statistics.pyramid import SteerablePyramid, deepest

sizes = pytest.mark.parametrize("size", [(64, 64), (36, 52), (48, 75), (33, 47), (8, 8)], ids=str)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@sizes
@pytest.mark.parametrize("orientations", [1, 4, 5])
@pytest.mark.parametrize("subsampled", [True, False])
def test_collapse_undoes_analyse(size: tuple[int, int], orientations: int, subsampled: bool) -> None:
    pyramid, x = SteerablePyramid(*size, orientations=orientations, subsampled=subsampled), noise(2, 3, *size)
    assert torch.allclose(pyramid.collapse(pyramid.analyse(x)), x, atol=1e-4)


@sizes
def test_variances_of_bands_add_up_to_the_images(size: tuple[int, int]) -> None:
    x = noise(1, 1, *size)
    levels = SteerablePyramid(*size).analyse(x)
    assert sum(level.square().mean((-2, -1)).sum().item() for level in levels) == pytest.approx(
        x.square().mean().item(), rel=1e-3
    )


@sizes
def test_there_are_as_many_octaves_as_fit(size: tuple[int, int]) -> None:
    pyramid = SteerablePyramid(*size, scales=9, orientations=3)
    assert pyramid.scales == deepest(*size) == math.floor(math.log2(min(size))) - 2
    levels = pyramid.analyse(noise(1, 2, *size))
    assert [level.shape[2] for level in levels] == [1, *[3] * pyramid.scales, 1]
    assert levels[0].shape == (1, 2, 1, *size)
    assert SteerablePyramid(64, 64, scales=2).scales == 2


def test_subsampling_takes_every_second_sample() -> None:
    x = noise(1, 1, 48, 64)
    few, all_ = (SteerablePyramid(48, 64, scales=3, subsampled=s).analyse(x) for s in (True, False))
    for some, level in zip(few, all_, strict=True):
        step = 48 // some.shape[-2]
        assert torch.allclose(some, level[..., ::step, ::step], atol=1e-4)


@pytest.mark.parametrize("size", [(48, 64), (45, 63)], ids=str)
def test_a_shift_of_the_torus_shifts_the_bands(size: tuple[int, int]) -> None:
    pyramid, x = SteerablePyramid(*size, scales=3), noise(1, 1, *size)
    shifted = pyramid.analyse(x.roll((8, 16), (2, 3)))
    for level, moved in zip(pyramid.analyse(x), shifted, strict=True):
        by = (8 * level.shape[-2] // size[0], 16 * level.shape[-1] // size[1])
        assert torch.allclose(level.roll(by, (3, 4)), moved, atol=1e-4)


@pytest.mark.parametrize("width", [64, 63])
@pytest.mark.parametrize("octave", [0, 1, 2])
@pytest.mark.parametrize("orientation", [0, 2])
def test_a_grating_is_in_the_band_of_its_octave_and_direction(width: int, octave: int, orientation: int) -> None:
    """Octave k is largest at a period of 2^(k + 2) pixels; band 0 takes waves along the rows, band 2 across them."""
    cycles = round(width / 2 ** (octave + 2))
    wave = torch.cos(2 * math.pi * cycles / width * torch.arange(width)).expand(width, width)
    x = (wave if orientation == 0 else wave.T)[None, None]
    levels = SteerablePyramid(width, width, scales=3).analyse(x)
    power = torch.cat([level.square().mean((0, 1, 3, 4)) for level in levels])
    assert power.argmax() == 1 + 4 * octave + orientation
    assert power.max() > 0.5 * power.sum()


def test_the_nearest_image_is_a_projection() -> None:
    """Bands of no image: what collapse gives has bands nearer to them than those of any image near it."""
    pyramid = SteerablePyramid(32, 32)
    g = torch.Generator().manual_seed(1)
    wanted = [torch.randn(level.shape, generator=g) for level in pyramid.analyse(noise(1, 1, 32, 32))]
    weights = [32 * 32 / (level.shape[-2] * level.shape[-1]) for level in wanted]

    def distance(x: torch.Tensor) -> float:
        pairs = zip(weights, pyramid.analyse(x), wanted, strict=True)
        return sum(w * (a - b).square().sum().item() for w, a, b in pairs)

    best = pyramid.collapse(wanted)
    assert all(distance(best + 0.05 * torch.randn(best.shape, generator=g)) > distance(best) for _ in range(5))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scales": 0}, "scales is 0"),
        ({"orientations": 0}, "orientations is 0"),
        ({"orientations": 17}, "orientations is 17"),
        ({"height": 7}, "7x64"),
    ],
)
def test_errors_say_what_is_wrong(change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError, match=said):
        SteerablePyramid(**({"height": 64, "width": 64} | change))
