"""Portilla and Simoncelli's textures: what is matched, what goes when joint statistics do, sizes and tiles."""

import pytest
import torch
from torch import Tensor

import lib
from lib.models.portilla_simoncelli import measurable, portilla_simoncelli_steps, resampled
from lib.samplers.step import last, white_noise
from lib.statistics.portilla import Channels, PortillaSimoncelli

FLOWER = lib.exemplar("flower")[:, :64, :64]
PEBBLE = lib.exemplar("pebble")[:, :64, :64]


def off(x: Tensor, x0: Tensor, *groups: str) -> float:
    """Root mean square difference of statistics, relative to those above one, of 64x64 images measured alike."""
    x0, x = (measurable(image[None], 8, (1.0, 1.0)) for image in (x0, x))
    f = PortillaSimoncelli((64, 64), 3, channels=Channels.principal(x0))
    mu, found = f(x0)[0], f(x)[0]
    places = torch.cat([f.groups[name] for name in groups])
    return ((found - mu) / mu.abs().clamp_min(1))[places].square().mean().sqrt().item()


@pytest.fixture(scope="module")
def flower() -> list:
    return list(portilla_simoncelli_steps(FLOWER, size=64, seed=1, iterations=30))


def test_matching_lowers_the_mismatch_by_a_large_factor(flower: list) -> None:
    losses = [record.loss for record in flower]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 50
    assert (flower[-1].step, flower[-1].steps) == (30, 30)


def test_colours_are_matched_with_each_other(flower: list) -> None:
    """Noise of the exemplar's colours has none of what its channels have in common beyond a pixel."""
    x = flower[-1].image[0]
    channels = Channels.principal(FLOWER[None])
    noise = channels.image(white_noise(1, 64, 64, 0))[0].clamp(0, 1)
    for group in ("magnitude", "magnitude_parent"):
        assert off(x, FLOWER, group) < 0.2 * off(noise, FLOWER, group)
    for image in (FLOWER, x):
        assert (torch.corrcoef(image.flatten(1)) - torch.corrcoef(FLOWER.flatten(1))).abs().max() < 0.02


def test_joint_statistics_hold_what_marginal_ones_lose() -> None:
    """Edges are where magnitudes of neighbouring scales are large together."""
    joint, marginal = (
        last(portilla_simoncelli_steps(PEBBLE, size=64, seed=0, iterations=30, joint=joint))[0]
        for joint in (True, False)
    )
    groups = ("cross_scale_correlation_magnitude", "auto_correlation_reconstructed")
    for group in groups:
        assert off(joint, PEBBLE, group) < 0.3 * off(marginal, PEBBLE, group)
    assert off(marginal, PEBBLE, "std_reconstructed", "magnitude_std") < 0.15
    assert off(marginal, PEBBLE, "pixel_statistics") < 0.15


def test_a_grey_texture_stays_grey() -> None:
    x = last(portilla_simoncelli_steps(PEBBLE.mean(0, keepdim=True).expand(3, -1, -1), iterations=3))
    assert (x - x.mean(1, keepdim=True)).abs().max() < 0.1 / 255


def test_a_texture_of_stripes_is_matched() -> None:
    """Most of its bands are empty."""
    x0 = (0.5 + 0.3 * torch.sin(torch.arange(64) * torch.pi / 4)).expand(3, 64, 64)
    *_, record = portilla_simoncelli_steps(x0, iterations=30)
    assert record.image.isfinite().all()
    assert record.image.var(2).mean() < 0.5 * record.image.var(3).mean()


@pytest.mark.parametrize("size", [32, (48, 75), (130, 33)], ids=str)
@pytest.mark.parametrize("tileable", [False, True], ids=["cut", "tileable"])
def test_any_size(size: int | tuple[int, int], tileable: bool) -> None:
    x = last(portilla_simoncelli_steps(PEBBLE[:, :45, :33], size=size, iterations=2, tileable=tileable))
    assert x.shape == (1, 3, *((size, size) if isinstance(size, int) else size))
    assert x.dtype == torch.float32
    assert 0 <= x.min() <= x.max() <= 1


def test_a_tile_has_no_seam_and_a_cut_piece_has() -> None:
    """Mean squared difference of neighbouring lines: across the seam, and all those inside."""
    for tileable in (True, False):
        x = last(portilla_simoncelli_steps(PEBBLE, n=2, size=(45, 75), seed=2, tileable=tileable, iterations=6))
        for axis in (2, 3):
            lines = (x - x.roll(1, axis)).square().movedim(axis, 0).flatten(1).mean(1)
            seam, inside = lines[0], lines[1:]
            assert (inside.min() / 1.1 < seam < inside.max() * 1.1) == tileable, axis


def test_a_resampled_torus_is_the_same_wave() -> None:
    def wave(height: int, width: int) -> Tensor:
        t, s = torch.arange(height)[:, None] / height, torch.arange(width) / width
        return torch.cos(2 * torch.pi * (3 * t - 5 * s) + 1)[None, None]

    assert torch.allclose(resampled(wave(48, 56), 56, 75), wave(56, 75), atol=1e-5)


def test_sample_i_depends_on_seed_and_i_alone() -> None:
    two = last(portilla_simoncelli_steps(PEBBLE, n=2, seed=5, iterations=4))
    one = last(portilla_simoncelli_steps(PEBBLE, n=1, seed=5, iterations=4))
    other = last(portilla_simoncelli_steps(PEBBLE, n=1, seed=6, iterations=4))
    assert torch.equal(one, two[:1])
    assert (two[0] - two[1]).abs().mean() > 0.02
    assert (one - other).abs().mean() > 0.02


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 31}, "size 31 is not"),
        ({"n": 0}, "n is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"iterations": 0}, "iterations is 0"),
        ({"scales": 1}, "scales is 1"),
        ({"orientations": 1}, "orientations is 1"),
        ({"x0": PEBBLE[:, :16]}, "at least 32"),
        ({"x0": PEBBLE * 255}, "divide it by 255"),
        ({"x0": torch.full((3, 64, 64), 0.3)}, "one flat colour"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_errors_say_what_is_wrong(change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        next(portilla_simoncelli_steps(**({"x0": PEBBLE} | change)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
