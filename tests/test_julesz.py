"""Iso-dipole and iso-trigon textures: their orders of statistics, counted over all textures there are."""

from itertools import combinations, product

import pytest
import torch
from torch import Tensor

from lib.errors import TextureError
from lib.statistics.julesz import BOXES, UNIT, box_texture, boxes, dots_among_dots, drawn, four_dots
from lib.statistics.texton import centre_surround, discriminability

HEIGHT, WIDTH = 3, 4
PIXELS = list(product(range(HEIGHT), range(WIDTH)))


def every(odd: bool) -> Tensor:
    """All textures of 3x4 pixels, each as often: [2^7,12] of -1 and +1."""
    signs = torch.tensor(list(product((-1.0, 1.0), repeat=HEIGHT + WIDTH)))
    return boxes(signs[:, :HEIGHT], signs[:, HEIGHT:], odd).flatten(1)


@pytest.mark.parametrize("odd", [False, True], ids=["even", "odd"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_up_to_the_third_order_boxes_are_noise(odd: bool, order: int) -> None:
    """Each of the 2^k patterns of any k <= 3 pixels is as frequent: counted, not estimated."""
    textures = every(odd)
    for places in combinations(range(len(PIXELS)), order):
        patterns = ((textures[:, list(places)] > 0).int() * 2 ** torch.arange(order)).sum(1)
        assert torch.bincount(patterns, minlength=2**order).tolist() == [len(textures) // 2**order] * 2**order


@pytest.mark.parametrize("odd", [False, True], ids=["even", "odd"])
def test_in_the_fourth_order_corners_of_rectangles_are_bound_and_no_other_four(odd: bool) -> None:
    textures = every(odd)
    for places in combinations(range(len(PIXELS)), 4):
        mean = textures[:, list(places)].prod(1).mean().item()
        rows, columns = ({PIXELS[k][axis] for k in places} for axis in (0, 1))
        if len(rows) == len(columns) == 2:
            area = (max(rows) - min(rows)) * (max(columns) - min(columns))
            assert mean == ((-1) ** area if odd else 1)
        else:
            assert mean == 0


def test_boxes_are_even_or_odd_everywhere_and_random_ones_are_neither() -> None:
    for kind, wanted in (("even", 1), ("odd", -1)):
        x = box_texture(kind, 50, 71, seed=3)
        assert x.shape == (50, 71)
        assert (x.abs() == 1).all()
        assert (x[1:, 1:] * x[1:, :-1] * x[:-1, 1:] * x[:-1, :-1] == wanted).all()
    x = box_texture("random", 200, 200)
    assert (x[1:, 1:] * x[1:, :-1] * x[:-1, 1:] * x[:-1, :-1]).mean().abs() < 0.03
    assert torch.equal(x, box_texture("random", 200, 200))
    assert not torch.equal(x, box_texture("random", 200, 200, seed=1))


@pytest.mark.parametrize("kind", BOXES)
def test_boxes_have_a_white_spectrum(kind: str) -> None:
    """Mean of 300 textures, at every frequency, within 5.5 standard errors: there are 136 of them."""
    power = torch.stack([torch.fft.rfft2(box_texture(kind, 16, 16, seed)).abs().square() for seed in range(300)]) / 256
    off = (power.mean(0) - 1) / (power.std(0) / 300**0.5)
    assert off.abs().max() < 5.5


@pytest.mark.parametrize(("a", "b"), [(1.0, 2.0), (1.0, 1.5), (0.7, 3.0)])
def test_four_dots_have_the_same_dipoles_and_other_triangles(a: float, b: float) -> None:
    trapezoid, kite = four_dots(a, b)
    assert torch.allclose(torch.pdist(trapezoid).sort().values, torch.pdist(kite).sort().values, atol=1e-5)

    def perimeters(points: Tensor) -> Tensor:
        return torch.stack([torch.pdist(points[list(k)]).sum() for k in combinations(range(4), 3)]).sort().values

    assert (perimeters(trapezoid) - perimeters(kite)).abs().max() > 0.1 * a


@pytest.mark.parametrize("size", [1.5, 3.0, 5.0])
def test_energy_of_a_filter_does_not_tell_the_four_dots_apart(size: float) -> None:
    """The sum of squares behind a filter alike in all directions depends on the six distances alone."""
    energies = []
    for points in four_dots():
        patches = drawn(UNIT * points, torch.tensor([0.0, 0.3, 1.1]), torch.zeros(3, 2))
        energies.append(torch.stack([centre_surround(patch, size, pool=0.0).sum() for patch in patches]))
    assert torch.allclose(energies[0], energies[1], rtol=1e-2)
    moved = four_dots()[0] * torch.tensor([1.2, 1.0])  # and would, were the distances others
    (patch,) = drawn(UNIT * moved, torch.zeros(1), torch.zeros(1, 2))
    assert not torch.isclose(centre_surround(patch, size, pool=0.0).sum(), energies[0][0], rtol=2e-2)


def test_nor_does_a_texture_of_them_segregate_in_it() -> None:
    found = []
    for seed in range(10):
        image, mask = dots_among_dots(seed)
        assert 0 <= image.min() < image.max() <= 1
        found.append(discriminability(centre_surround(image), mask))
    assert abs(sum(found) / 10) < 0.3
    assert max(map(abs, found)) < 1


def test_errors_say_what_to_do() -> None:
    with pytest.raises(TextureError, match="kind is 'equal'; choose one of even, odd, random"):
        box_texture("equal", 8, 8)
    with pytest.raises(TextureError, match="height is 0"):
        box_texture("even", 0, 8)
    with pytest.raises(TextureError, match="give 0 < a < b"):
        four_dots(2.0, 1.0)
