"""Heeger & Bergen's textures: which marginals they share with the exemplar, and which structure they do not."""

import pytest
import torch
from plenoptic.process import SteerablePyramidFreq
from torch import Tensor

import lib
from lib.models.heeger_bergen import (
    Colours,
    Histograms,
    Texture,
    heeger_bergen_mixture_steps,
    heeger_bergen_steps,
    reflected,
)
from lib.samplers.step import last
from lib.statistics.pyramid import SteerablePyramid


def crop(name: str, side: int = 64) -> Tensor:
    return lib.exemplar(name)[:, :side, :side]


def soft(name: str, side: int = 64) -> Tensor:
    """A texture of so little contrast that no pixel of another one like it leaves [0,1]."""
    return 0.5 + 0.25 * (crop(name, side) - 0.5)


def colours_of(x: Tensor) -> Colours:
    return Colours.of(x.mean((1, 2)), x.flatten(1).cov(correction=0))


def band_variances(colours: Colours, x: Tensor) -> Tensor:
    """Of principal colours of an exemplar [3,H,W]: [3,18]."""
    levels = Histograms.of(colours.principal(x), scales=4, orientations=4).levels
    return torch.cat([level.var(2) for level in levels], 1)


def torus_variances(colours: Colours, x: Tensor) -> Tensor:
    """The same of a torus."""
    levels = SteerablePyramid(*x.shape[-2:]).analyse(colours.principal(x)[None])
    return torch.cat([level[0].var((2, 3)) for level in levels], 1)


def test_principal_colours_are_uncorrelated_and_lead_back() -> None:
    x = crop("flower")
    colours = colours_of(x)
    z = colours.principal(x)
    assert torch.allclose(z.flatten(1).cov(correction=0), torch.eye(3), atol=1e-3)
    assert torch.allclose(colours.pixels(z[None])[0], x, atol=1e-5)
    gram = colours.axes.T @ colours.axes
    assert torch.allclose(gram, gram.diagonal().diag(), atol=1e-6)
    assert gram[0, 0] >= gram[1, 1] >= gram[2, 2]


@pytest.mark.parametrize("name", ["pebble", "cloth"])
def test_after_every_iteration_pixels_have_the_exemplars_histograms(name: str) -> None:
    x0 = soft(name)
    colours = colours_of(x0)
    wanted = colours.principal(x0).flatten(1).sort().values
    for record in heeger_bergen_steps(x0, n=2, tileable=True, iterations=2):
        assert 0 < record.image.min() < record.image.max() < 1
        for image in record.image:
            assert torch.allclose(colours.principal(image).flatten(1).sort().values, wanted, atol=1e-3)


@pytest.mark.parametrize("name", ["pebble", "grass", "flower"])
def test_colours_have_the_exemplars_mean_and_covariance(name: str) -> None:
    x0 = soft(name)
    *_, record = heeger_bergen_steps(x0, tileable=True, seed=1, size=128)
    x = record.image[0].flatten(1)
    assert torch.allclose(x.mean(1), x0.mean((1, 2)), atol=1e-3)
    covariance = x0.flatten(1).cov()
    assert (x.cov() - covariance).norm() < 0.1 * covariance.norm()


@pytest.mark.parametrize("name", ["pebble", "cloth", "marble"])
def test_bands_have_the_exemplars_variances(name: str) -> None:
    x0 = soft(name)
    colours = colours_of(x0)
    (x,) = last(heeger_bergen_steps(x0, tileable=True, iterations=10))
    white = x.flatten(1)[:, torch.randperm(4096, generator=torch.Generator().manual_seed(0))].view(x.shape)
    off, far = ((torus_variances(colours, y) / band_variances(colours, x0)).log().abs()[0] for y in (x, white))
    assert off.mean() < 0.2
    assert far.mean() > 0.7


@pytest.mark.parametrize("name", lib.EXEMPLARS)
def test_variances_of_an_exemplars_bands_add_up_to_its_pixels(name: str) -> None:
    """Or the histograms of bands and pixels could not agree; marble has a slope across it."""
    x = crop(name)
    colours = colours_of(x)
    assert torch.allclose(band_variances(colours, x).sum(1), colours.principal(x).flatten(1).var(1), rtol=0.02)


def test_reflection_leaves_no_jump() -> None:
    x = torch.rand(3, 5, 7)
    torus = reflected(x)
    assert torch.equal(torus[:, :5, :7], x)
    assert torch.equal(torus, torus.flip(1))
    assert torch.equal(torus, torus.flip(2))


def test_the_loss_falls_and_is_that_of_the_image() -> None:
    x0 = soft("pebble")
    records = list(heeger_bergen_steps(x0, tileable=True, iterations=8))
    losses = [r.loss for r in records]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.02
    one = torch.ones(1)
    texture = Texture.of([x0[None]], one, one, (64, 64))

    def distance(z: Tensor) -> float:
        return sum((texture.distance(z[i : i + 1], i) / texture.variance).item() for i in range(3))

    assert distance(texture.colours.principal(records[-1].image[0])) == pytest.approx(losses[-1], rel=0.02)
    assert distance(torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))) > 0.2
    other = lib.exemplar("pebble")[:, 64:128, :64]
    assert distance(texture.colours.principal(0.5 + 0.25 * (other - 0.5))) > 2 * losses[-1]


# --- what it is known not to keep


def across_scales(x: Tensor) -> float:
    """How magnitudes of fine bands correlate with those an octave coarser, same direction: luminance of [3,H,W].

    Portilla & Simoncelli's (2000) statistic: magnitudes are those of quadrature pairs.
    """
    torus = x.mean(0)[None, None]
    levels = SteerablePyramidFreq(torus.shape[-2:], height=3, is_complex=True, downsample=False)(torus)
    pairs = [(levels[k][0, 0, o].abs(), levels[k + 1][0, 0, o].abs()) for k in range(2) for o in range(4)]
    return sum(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item() for a, b in pairs) / len(pairs)


@pytest.mark.parametrize("name", ["pebble", "grass", "rug"])
def test_joint_statistics_are_not_kept(name: str) -> None:
    """Edges come apart: large coefficients no longer lie at one place in neighbouring octaves."""
    x0, other = lib.exemplar(name)[:, :128, :128], lib.exemplar(name)[:, 128:256, 128:256]
    drawn = last(heeger_bergen_steps(x0, n=2, seed=1, tileable=True))
    assert across_scales(other) > 0.7 * across_scales(x0)
    assert max(across_scales(x) for x in drawn) < 0.65 * min(across_scales(x0), across_scales(other))


def regularity(x: Tensor) -> float:
    """The highest correlation of luminance [3,H,W] with itself 24 to 48 pixels away."""
    v = x.mean(0) - x.mean()
    size = [2 * side for side in v.shape]
    products, pairs = (
        torch.fft.irfft2(torch.fft.rfft2(u, s=size).abs().square(), s=size) for u in (v, torch.ones_like(v))
    )
    down, right = torch.meshgrid(*(torch.fft.fftfreq(side) * side for side in size), indexing="ij")
    away = (torch.hypot(down, right) > 24) & (torch.hypot(down, right) < 48)
    return (products / pairs.clamp_min(1))[away].max().item() / v.var().item()


def test_a_weave_is_not_kept() -> None:
    """Directions and octaves of cloth are, its lattice is not."""
    x0, other = lib.exemplar("cloth")[:, :128, :128], lib.exemplar("cloth")[:, 128:256, 128:256]
    drawn = last(heeger_bergen_steps(x0, n=2, seed=1, tileable=True))
    assert max(regularity(x) for x in drawn) < 0.6 * min(regularity(x0), regularity(other))


# --- mixtures


def test_a_mixture_of_a_texture_with_itself_is_that_texture() -> None:
    x0 = crop("rubber")
    alone = last(heeger_bergen_steps(x0, seed=4, iterations=2))
    both = last(heeger_bergen_mixture_steps([x0, x0], seed=4, iterations=2, pattern=(0.3, 0.7), palette=(1, 4)))
    assert (alone - both).abs().mean() < 1e-3


def test_a_weight_of_one_is_that_texture() -> None:
    a, b = crop("grass"), crop("marble", 48)
    mixed = last(heeger_bergen_mixture_steps([a, b], size=48, iterations=2, pattern=(0, 1), palette=(0, 1)))
    alone = last(heeger_bergen_steps(b, size=48, iterations=2))
    assert (mixed - alone).abs().mean() < 1e-3


def test_the_pattern_of_one_in_the_palette_of_another() -> None:
    a, b = soft("cloth"), soft("grass")
    (x,) = last(heeger_bergen_mixture_steps([a, b], pattern=(1, 0), palette=(0, 1), tileable=True))
    colours = colours_of(b)
    wanted = colours.principal(b).flatten(1).sort().values
    assert torch.allclose(colours.principal(x).flatten(1).sort().values, wanted, atol=1e-3)
    profiles = ((torus_variances, x), (band_variances, a), (band_variances, b))
    luminance = [variances(colours_of(y), y)[0].log() for variances, y in profiles]
    assert (luminance[0] - luminance[1]).abs().mean() < 0.5 * (luminance[0] - luminance[2]).abs().mean()


def test_a_mixture_is_between() -> None:
    a, b = soft("grass"), soft("marble")
    (x,) = last(heeger_bergen_mixture_steps([a, b], tileable=True))
    assert torch.allclose(x.mean((1, 2)), (a.mean((1, 2)) + b.mean((1, 2))) / 2, atol=2e-3)
    deviations = [image.mean(0).std() for image in (a, x, b)]
    assert min(deviations[::2]) < deviations[1] < max(deviations[::2])


# --- what every sampler promises


@pytest.mark.parametrize("size", [32, (48, 75), (33, 64), 150], ids=str)
@pytest.mark.parametrize("tileable", [False, True], ids=["cut", "tileable"])
def test_any_size(size: int | tuple[int, int], tileable: bool) -> None:
    x = last(heeger_bergen_steps(crop("grass"), size=size, iterations=1, tileable=tileable))
    assert x.shape == (1, 3, *((size, size) if isinstance(size, int) else size))
    assert x.dtype == torch.float32
    assert 0 <= x.min() <= x.max() <= 1


def test_any_exemplar() -> None:
    assert last(heeger_bergen_steps(lib.exemplar("star")[:, :33, :50], iterations=1)).shape == (1, 3, 33, 50)
    grey = last(heeger_bergen_steps(crop("pebble").mean(0, keepdim=True).expand(3, -1, -1), iterations=2))
    assert (grey - grey.mean(1, keepdim=True)).abs().max() < 1e-3
    assert grey.std() > 0.05
    flat = last(heeger_bergen_steps(torch.full((3, 32, 32), 0.4), iterations=2))
    assert torch.allclose(flat, torch.tensor(0.4), atol=1e-3)


def test_a_larger_texture_has_the_same_colours() -> None:
    """Quantiles of 64x64 pixels over 96x160."""
    x0 = soft("pebble")
    (x,) = last(heeger_bergen_steps(x0, size=(96, 160), tileable=True))
    at = torch.linspace(0.01, 0.99, 20)
    colours = colours_of(x0)
    z, z0 = (colours.principal(image).flatten(1).quantile(at, dim=1) for image in (x, x0))
    assert torch.allclose(z, z0, atol=0.02)


def test_an_image_is_a_function_of_seed_and_place() -> None:
    x0 = crop("grass", 48)
    three = last(heeger_bergen_steps(x0, n=3, seed=5, iterations=2))
    assert torch.equal(three[:2], last(heeger_bergen_steps(x0, n=2, seed=5, iterations=2)))
    assert (three[0] - three[1]).abs().mean() > 0.05
    assert (three - last(heeger_bergen_steps(x0, n=3, seed=6, iterations=2))).abs().mean() > 0.05


def edges(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Mean squared difference of neighbouring lines along an axis: across the seam, and all those inside."""
    squares = (x - x.roll(1, axis)).square().movedim(axis, 0).flatten(1).mean(1)
    return squares[0], squares[1:]


@pytest.mark.parametrize("size", [(48, 64), (45, 51)], ids=str)
def test_a_tile_has_no_seam(size: tuple[int, int]) -> None:
    tiles = last(heeger_bergen_steps(crop("pebble"), n=4, size=size, tileable=True))
    for axis in (-1, -2):
        seam, inside = edges(tiles, axis)
        assert inside.min() / 1.1 < seam < inside.max() * 1.1


def test_a_cut_piece_has_one() -> None:
    pieces = last(heeger_bergen_steps(crop("pebble"), n=6, size=(40, 56)))
    assert all(seam > inside.max() for seam, inside in (edges(pieces, axis) for axis in (-1, -2)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 31}, "size 31 is not"),
        ({"n": 0}, "n is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"scales": 0}, "scales is 0"),
        ({"orientations": 17}, "orientations is 17"),
        ({"iterations": 0}, "iterations is 0"),
        ({"x0": torch.zeros(1, 64, 64)}, "three channels"),
        ({"x0": torch.full((3, 64, 64), 200.0)}, "divide it by 255"),
    ],
)
def test_errors_say_what_is_wrong(change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        last(heeger_bergen_steps(**({"x0": torch.rand(3, 64, 64)} | change)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"exemplars": []}, "one or more"),
        ({"exemplars": torch.rand(2, 3, 64, 64)}, "no list of images"),
        ({"exemplars": [torch.rand(3, 64, 64), torch.rand(3, 8, 8)]}, "exemplars[1] is 8x8"),
        ({"pattern": (1,)}, "pattern is (1,)"),
        ({"pattern": (-1, 2)}, "pattern is (-1, 2)"),
        ({"palette": (0, 0)}, "palette is (0, 0)"),
        ({"palette": "ab"}, "palette is 'ab'"),
        ({"palette": 1}, "palette is 1"),
    ],
)
def test_mixtures_say_what_is_wrong(change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        last(heeger_bergen_mixture_steps(**({"exemplars": [torch.rand(3, 64, 64)] * 2} | change)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
