"""Measures of a line between textures, held against lines whose measures are known."""

import pytest
import torch

import lib
from lib.errors import TextureError
from lib.evaluation import path

NOISE = torch.Generator().manual_seed(0)


def noise(n: int, size: int = 64) -> torch.Tensor:
    return 0.5 + 0.1 * torch.randn(n, 3, size, size, generator=NOISE)


def test_a_straight_line_is_straight() -> None:
    a, b = torch.randn(2, 20, generator=NOISE)
    t = torch.linspace(0, 1, 7)[:, None]
    found = path.way(torch.lerp(a, b, t), a, b)
    assert torch.allclose(found.position, t[:, 0], atol=1e-5)
    assert found.backward == 0
    assert found.largest == pytest.approx(1 / 6, abs=1e-5)
    assert found.detour == pytest.approx(1, abs=1e-5)


def test_a_way_that_jumps_and_turns_back_is_found_out() -> None:
    a, b = torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0])
    g = torch.tensor([[0.0, 0.0], [0.6, 0.0], [0.4, 0.0], [1.0, 0.0]])
    found = path.way(g, a, b)
    assert found.backward == pytest.approx(0.2 / 1.4)
    assert found.largest == pytest.approx(0.6 / 1.4)
    assert found.detour == pytest.approx(1.4)
    aside = path.way(torch.tensor([[0.0, 0.0], [0.5, 1.0], [1.0, 0.0]]), a, b)
    assert aside.position.tolist() == [0, 0.5, 1]
    assert aside.detour == pytest.approx(5**0.5)
    with pytest.raises(TextureError, match="no way between"):
        path.way(g, a, a)


def test_blends_and_collages_are_of_their_ends() -> None:
    xa, xb = noise(2)
    line = path.blend_pixels(xa, xb, 4)
    assert torch.equal(line[0], xa)
    assert torch.equal(line[-1], xb)
    image = path.collage(xa, xb, 0.25)
    assert torch.equal(image[..., :48], xa[..., :48])
    assert torch.equal(image[..., 48:], xb[..., 48:])
    with pytest.raises(TextureError, match="one size"):
        path.collage(xa, xb[..., :32])


def test_a_photograph_passes_the_criterion_and_a_collage_does_not() -> None:
    xa, xb = lib.exemplar("pebble")[:, :128, :128], lib.exemplar("grass")[:, :128, :128]
    whole, halves = path.heterogeneity(torch.stack([xa, path.collage(xa, xb)]))
    assert whole < 1 < halves
    assert path.heterogeneity(noise(1, 130)) < 0.5
    with pytest.raises(TextureError, match="128x128 pixels or more, not 64x64"):
        path.heterogeneity(noise(1, 64))


def test_descriptions_ignore_where_things_are() -> None:
    x = noise(1)
    assert torch.equal(path.quantiles(x), path.quantiles(x.roll((5, 9), (2, 3))))
    assert path.quantiles(x).shape == (1, 27)
    spectra = path.spectrum(noise(20))
    assert spectra.shape == (20, 16)
    per_pixel = 0.01 / 3  # the variance of a mean of three channels; white, so the same in each band
    assert torch.allclose(spectra.exp().mean(0), torch.full((16,), per_pixel), rtol=0.35)


def test_the_spectrum_tells_octaves_and_orientations() -> None:
    k = torch.arange(64.0)
    stripes = 0.5 + 0.2 * torch.sin(2 * torch.pi * k * 0.18)  # an eighth to a quarter of a cycle a pixel: octave 1
    across = stripes[None, None, None].expand(1, 3, 64, 64)
    assert path.spectrum(across).argmax().item() == 4 * 1 + 0
    assert path.spectrum(across.mT).argmax().item() == 4 * 1 + 2


def test_parts_that_differ_are_uneven() -> None:
    a, b = torch.randn(2, 4, 500, generator=NOISE) * torch.tensor([1.0, 2.0])[:, None, None]
    line = torch.stack([a, 1.5 * torch.randn(4, 500, generator=NOISE), b])
    uneven = path.unevenness(line, a, b)
    assert uneven[[0, 2]].tolist() == pytest.approx([1, 1])
    assert uneven[1].item() == pytest.approx(1.5**2 / 2.5, rel=0.15)
    line[1] += torch.tensor([0.0, 0.0, 10.0, 10.0])[:, None]
    assert path.unevenness(line, a, b)[1] > 5
    line[1] = torch.randn(500, generator=NOISE)
    assert path.unevenness(line, a, b)[1].item() == pytest.approx(0, abs=1e-6)
