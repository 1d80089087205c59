"""Portilla and Simoncelli's statistics: plenoptic's in grey, counted in colour, with the invariances of averages."""

import pytest
import torch
from plenoptic.models import PortillaSimoncelli as GreyStatistics
from torch import Tensor

import lib
from lib.statistics.portilla import Channels, PortillaSimoncelli

PEBBLE = lib.exemplar("pebble")[None, :, :64, :96]
GREY = Channels(torch.zeros(3), torch.full((1, 3), 1 / 3), torch.ones(3, 1))


@pytest.fixture(scope="module")
def f() -> PortillaSimoncelli:
    return PortillaSimoncelli((64, 96), scales=3)


@pytest.fixture(scope="module")
def of_pebble(f: PortillaSimoncelli) -> Tensor:
    return f(PEBBLE)[0]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def number(S: int, K: int, C: int, M: int = 7) -> int:
    """Counted from the definitions: in grey as Portilla & Simoncelli do (their sec. 2), then in colour."""
    lags = (M**2 - 1) // 2
    grey = 6 + 2 * (S + 1) + 1 + (S + 1) * (lags + 1) + S * K * (lags + 1) + S * K * (K - 1) // 2 + (S - 1) * 3 * K**2
    if C == 1:
        return grey
    unordered, ordered, bands = C * (C - 1) // 2, C * (C - 1), C * K
    pixels = 2 * 3 + unordered + C * lags
    same_scale = S * unordered * K**2 + S * bands * (bands + 1) // 2
    next_scale = (S - 1) * ordered * 3 * K**2
    return C * grey + pixels + same_scale + next_scale + bands * 5 * C + 13 * unordered


# --- how many


def test_the_published_count() -> None:
    assert number(4, 4, 1) == 710
    assert PortillaSimoncelli((112, 112), channels=GREY).dim == 710
    assert PortillaSimoncelli((112, 112)).dim == 3798


@pytest.mark.parametrize(("scales", "orientations"), [(2, 2), (2, 5), (3, 4)])
@pytest.mark.parametrize("channels", [GREY, Channels.opponent()], ids=["grey", "colour"])
def test_the_count_is_the_formula(scales: int, orientations: int, channels: Channels) -> None:
    f = PortillaSimoncelli((64, 96), scales, orientations, channels)
    found = f(PEBBLE)
    assert found.shape == (1, f.dim) == (1, number(scales, orientations, len(channels.analysis)))
    assert torch.equal(torch.cat(list(f.groups.values())).sort().values, torch.arange(f.dim))
    assert found.isfinite().all()


# --- what


def test_grey_statistics_are_those_of_plenoptic() -> None:
    grey = PEBBLE[:, :1]
    found = PortillaSimoncelli((64, 96), 3, channels=GREY)(grey.expand(-1, 3, -1, -1))
    assert torch.allclose(found, GreyStatistics((64, 96), 3, 4, 7)(grey)[0], rtol=1e-4, atol=1e-5)


def test_each_channel_has_the_grey_statistics(f: PortillaSimoncelli, of_pebble: Tensor) -> None:
    grey = GreyStatistics((64, 96), 3, 4, 7)(f.channels.of(PEBBLE))[0]
    assert torch.equal(of_pebble[: grey.numel()], grey.flatten())


def test_groups_hold_what_they_are_named_after(f: PortillaSimoncelli, of_pebble: Tensor) -> None:
    u = f.channels.of(PEBBLE)[0]
    v = u - u.mean((1, 2), keepdim=True)
    range_ = torch.stack([u.amin((1, 2)), u.amax((1, 2))], 1).flatten()
    assert torch.allclose(of_pebble[f.groups["pixel_range"]], range_)
    covariance = torch.stack([(v[i] * v[j]).mean() for i, j in ((0, 1), (0, 2), (1, 2))])
    assert torch.allclose(of_pebble[f.groups["covariance"]], covariance, atol=1e-6)
    right = (v * v.roll(1, 2)).mean((1, 2)) / v.square().mean((1, 2))
    table = of_pebble[f.groups["autocorrelation"]].reshape(3, 24)
    assert torch.allclose(table[:, -1], right, atol=1e-4)  # the last lag before zero
    red = (PEBBLE[0, 0] - PEBBLE[0, 0].mean()) / PEBBLE[0, 0].std(correction=0)
    assert torch.allclose(of_pebble[f.groups["rgb_moments"]][0], red.pow(3).mean(), atol=1e-4)


def test_channels_that_are_one_correlate_with_each_other_as_with_themselves() -> None:
    """Every statistic across channels then has a twin within one, which plenoptic has measured."""
    same = Channels(torch.zeros(3), torch.full((2, 3), 1 / 3), torch.full((3, 2), 0.5))
    f = PortillaSimoncelli((64, 96), 3, channels=same)
    found = f(PEBBLE)[0]
    grey = f.grey.convert_to_dict(found[None, None, : number(3, 4, 1)])
    own = grey["cross_scale_correlation_magnitude"][0, 0].permute(2, 0, 1)  # [scale, band, band of the next]
    across = found[f.groups["magnitude_parent"]].unflatten(0, (2, 2, 4, 4))[:, 0]
    assert torch.allclose(across, own, atol=1e-4)
    own = grey["cross_scale_correlation_real"][0, 0].permute(2, 0, 1)
    across = found[f.groups["real_parent"]].unflatten(0, (2, 2, 4, 8))[:, 0]
    assert torch.allclose(across, own, atol=1e-4)
    own = grey["cross_orientation_correlation_magnitude"][0, 0].permute(2, 0, 1)
    across = found[f.groups["magnitude"]].unflatten(0, (3, 4, 4))
    assert torch.allclose(across.tril(-1), own.nan_to_num(), atol=1e-4)
    assert torch.allclose(across.diagonal(dim1=1, dim2=2), torch.ones(3, 4), atol=1e-4)


def test_colours_that_go_together_are_seen(f: PortillaSimoncelli) -> None:
    """One pattern in two channels, at one place or at two: the same to each channel, not to both."""
    pattern, third = noise(1, 1, 64, 96) / 3, noise(1, 1, 64, 96, seed=1) / 30
    together, apart = (
        f.channels.image(torch.cat([pattern, pattern.roll(shift, (2, 3)), third], 1)) for shift in ((0, 0), (24, 40))
    )
    difference = (f(together) - f(apart))[0].abs()
    assert difference[: 3 * number(3, 4, 1)].max() < 0.01
    for name in ("magnitude", "real", "lowpass"):
        assert difference[f.groups[name]].max() > 0.5
    for name in ("magnitude_parent", "real_parent", "real_lowpass"):
        assert difference[f.groups[name]].max() > 0.05


# --- invariances


def test_a_shift_by_the_coarsest_pixel_changes_nothing(f: PortillaSimoncelli, of_pebble: Tensor) -> None:
    shifted = f(PEBBLE.roll((8, -16), (2, 3)))[0]
    assert torch.allclose(shifted, of_pebble, rtol=1e-3, atol=1e-3)


def test_any_other_shift_changes_little(f: PortillaSimoncelli, of_pebble: Tensor) -> None:
    moved = (f(PEBBLE.roll((3, 5), (2, 3)))[0] - of_pebble).square().mean().sqrt()
    other = (f(PEBBLE.flip(2))[0] - of_pebble).square().mean().sqrt()
    assert moved < 0.1 * other


def test_statistics_do_not_depend_on_the_size_of_the_canvas(f: PortillaSimoncelli, of_pebble: Tensor) -> None:
    """Two by two tiles are the same texture."""
    large = PortillaSimoncelli((128, 192), scales=3)(PEBBLE.repeat(1, 1, 2, 2))[0]
    assert torch.allclose(large, of_pebble, rtol=2e-3, atol=2e-3)


def test_a_batch_is_its_images(f: PortillaSimoncelli, of_pebble: Tensor) -> None:
    both = f(torch.cat([noise(1, 3, 64, 96), PEBBLE]))
    assert torch.allclose(both[1], of_pebble, rtol=1e-4, atol=1e-5)


def test_statistics_are_differentiable(f: PortillaSimoncelli) -> None:
    """Along a random direction the gradient is the slope."""
    f64 = PortillaSimoncelli((64, 96), scales=3).double()
    x = PEBBLE.double().requires_grad_()
    g = torch.Generator().manual_seed(0)
    weights, direction = torch.randn(f64.dim, generator=g), torch.randn(x.shape, generator=g)
    weights[f64.groups["pixel_range"]] = 0  # the extremes of two images are at two places
    (gradient,) = torch.autograd.grad(f64(x)[0] @ weights.double(), x)
    with torch.no_grad():
        ends = [f64(x + e * direction)[0] @ weights.double() for e in (1e-4, -1e-4)]
    assert gradient.isfinite().all()
    assert (gradient * direction).sum().item() == pytest.approx(((ends[0] - ends[1]) / 2e-4).item(), rel=0.01)


# --- colours


def test_principal_channels_are_uncorrelated_and_return_the_image() -> None:
    channels = Channels.principal(PEBBLE)
    u = channels.of(PEBBLE)
    assert torch.allclose(torch.cov(u[0].flatten(1), correction=0), torch.eye(3), atol=1e-3)
    assert torch.allclose(channels.image(u), PEBBLE, atol=1e-5)


def test_a_grey_image_has_one_principal_channel() -> None:
    grey = PEBBLE.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    channels = Channels.principal(grey)
    assert len(channels.analysis) == 1
    assert torch.allclose(channels.image(channels.of(grey)), grey, atol=1e-5)


# --- errors


@pytest.mark.parametrize(
    ("size", "scales", "orientations", "said"),
    [
        ((96, 128), 4, 4, "128x96 is too small for 4 scales, which need 112 pixels a side"),
        ((116, 128), 4, 4, "128x116 cannot be halved 4 times; crop to multiples of 16"),
        ((64, 64), 1, 4, "1 scales"),
        ((64, 64), 3, 1, "1 orientations"),
    ],
)
def test_errors_say_what_is_wrong(size: tuple[int, int], scales: int, orientations: int, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        PortillaSimoncelli(size, scales, orientations)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_sizes_and_flat_colours_are_refused(f: PortillaSimoncelli) -> None:
    with pytest.raises(lib.TextureError, match="are of 96x64 images; make new ones for 64x64"):
        f(PEBBLE[..., :64])
    with pytest.raises(lib.TextureError, match="one flat colour"):
        Channels.principal(torch.full((1, 3, 64, 64), 0.3))
