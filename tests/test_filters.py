"""FRAME's statistics: the bank against what it is named after, histograms against counting."""

import math

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch import Tensor

import lib
from lib.statistics.filters import BINS, GABORS, LOGS, ORIENTATIONS, TAIL, FilterMarginals, bank, responses
from lib.statistics.quadratic import periodic_component

PEBBLE = lib.exemplar("pebble")[:, :64, :56]
FIRST_GABOR = 3 + len(LOGS)


@pytest.fixture(scope="module")
def f() -> FilterMarginals:
    return FilterMarginals(PEBBLE)


def noise(height: int = 40, width: int = 48, n: int = 1) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_there_are_990(f: FilterMarginals) -> None:
    assert len(bank()) == 30
    assert f.dim == 3 * 30 * 11 == 990
    assert f(noise(n=2)).shape == (2, 990)


def test_filters_but_the_first_see_no_constant() -> None:
    intensity, *others = bank()
    assert torch.equal(intensity, torch.ones(1, 1))
    for kernel in others:
        assert kernel.shape[0] == kernel.shape[1]
        assert kernel.shape[0] % 2 == 1
        assert abs(kernel.sum().item()) < 1e-4
        assert kernel.norm().item() == pytest.approx(1, abs=1e-5)


def test_laplacians_of_gaussians_are_round_and_of_their_size() -> None:
    """|k|^2 < T^2 has one sign, what is outside the other."""
    for kernel, size in zip(bank()[3:FIRST_GABOR], LOGS, strict=True):
        torch.testing.assert_close(kernel, kernel.T)
        torch.testing.assert_close(kernel, kernel.flip(0))
        line = kernel[kernel.shape[0] // 2, kernel.shape[0] // 2 :]
        signs = line.sign().tolist()
        assert signs.index(-signs[0]) == pytest.approx(size, abs=1)


def test_responses_are_circular_convolutions() -> None:
    u = noise(37, 33)
    found = responses(bank(), u)
    assert found.shape == (1, 3, 30, 37, 33)
    for k in (1, 2, 4, FIRST_GABOR + 2, 29):  # the last is wider than the image
        expected = scipy.ndimage.convolve(u[0, 2].numpy().astype(np.float64), bank()[k].numpy(), mode="wrap")
        np.testing.assert_allclose(found[0, 2, k].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("size", range(len(GABORS)))
@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_gabors_choose_their_orientation_and_period(size: int, orientation: int) -> None:
    """Of all Gabors of the bank, a grating excites its own most, and in the same way wherever its bars lie."""
    side, angle = 64, math.pi * orientation / ORIENTATIONS
    rows, columns = torch.arange(side)[:, None], torch.arange(side)
    down, along = (round(side / GABORS[size] * part) for part in (math.sin(angle), math.cos(angle)))
    grating = torch.cos(2 * math.pi * (down * rows + along * columns) / side).expand(1, 1, side, side)
    r = responses(bank()[FIRST_GABOR:], grating)[0, 0].unflatten(0, (-1, 2))
    energies = r.square().sum(1)
    energy = energies.mean((1, 2)).view(len(GABORS), ORIENTATIONS)
    assert divmod(int(energy.argmax()), ORIENTATIONS) == (size, orientation)
    others = torch.cat([energy[size, :orientation], energy[size, orientation + 1 :]])
    assert others.max() < 0.5 * energy[size, orientation]
    own = energies[ORIENTATIONS * size + orientation]
    assert own.std() < 0.2 * own.mean()


def test_histograms_are_histograms(f: FilterMarginals) -> None:
    h = f.histograms(noise(n=2))
    assert h.shape == (2, 3, 30, BINS)
    assert h.min() >= -1e-6
    torch.testing.assert_close(h.sum(3), torch.ones(2, 3, 30))


def test_shifts_and_more_of_the_same_change_nothing(f: FilterMarginals) -> None:
    x = noise()
    torch.testing.assert_close(f(x.roll((7, -13), (2, 3))), f(x), atol=1e-4, rtol=0)
    torch.testing.assert_close(f(x.repeat(1, 1, 2, 3)), f(x), atol=1e-4, rtol=0)
    torch.testing.assert_close(f(torch.cat([noise(n=1), x.flip(3)]))[:1], f(x))
    assert (f(x.flip(3)) - f(x)).abs().max() > 1e-3


def test_few_of_the_exemplars_responses_are_in_the_open_bins(f: FilterMarginals) -> None:
    """`TAIL` of them at either end, and no bin between is empty."""
    h = f.histograms(periodic_component(PEBBLE[None]))[0]
    for tail in (h[..., 0], h[..., -1]):
        assert tail.mean().item() == pytest.approx(TAIL, abs=TAIL)
    assert (h[..., 1:-1] > 0).float().mean() > 0.9


def test_two_levels_fill_two_bins_by_their_shares() -> None:
    """A quarter black, the rest white, in bars: counts of pixels, and of the two edges a period, done by hand."""
    f = FilterMarginals(PEBBLE)
    f.colours, f.mean = torch.eye(3), torch.zeros(3)
    f.width = torch.full((3, 30), 0.5)
    f.first = torch.full((3, 30), -2.25)  # v = 0 lies in the middle of bin 5, 1 of bin 7
    image = torch.ones(1, 3, 32, 32)
    image[..., torch.arange(32) % 16 < 4] = 0
    expected = torch.zeros(3, BINS)
    expected[0, [5, 7]] = torch.tensor([0.25, 0.75])
    # the gradient, of unit norm, is 2^(-1/2) at an edge, a little below that between bins 6 and 7
    s = 0.5 + (2**-0.5 - 0.75) / 0.5
    above = 3 * s**2 - 2 * s**3
    expected[1, [3, 4, 5, 6, 7]] = torch.tensor([above, 1 - above, 14, 1 - above, above]) / 16
    expected[2, 5] = 1
    torch.testing.assert_close(f.histograms(image)[0, 0, :3], expected, atol=1e-4, rtol=0)


def test_gradients_are_those_of_differences(f: FilterMarginals) -> None:
    x, direction = noise(32, 32).double(), noise(32, 32).double() - 0.5
    weights = torch.randn(f.dim, generator=torch.Generator().manual_seed(2)).double()
    x.requires_grad_()
    (gradient,) = torch.autograd.grad((f(x) @ weights).sum(), x)
    step = 1e-5
    with torch.no_grad():
        difference = (f(x + step * direction) - f(x - step * direction)) @ weights / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(difference.item(), rel=1e-4)


def test_colours_that_an_exemplar_lacks_are_left_small() -> None:
    """A grey exemplar: tinted images differ in the dead colours by grey levels, not by millions."""
    f = FilterMarginals(PEBBLE.mean(0, keepdim=True).expand(3, -1, -1))
    assert f.colours.norm(dim=1)[1:].max() < 256
    assert f(noise()).isfinite().all()
