"""The search's coordinates: orthonormal, apart by octave and colour; a search with a scale for each part."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import lib
from lib.samplers.descend import descend
from lib.samplers.lbfgs import minimise
from lib.samplers.match import Targets, match_targets
from lib.samplers.octaves import coefficients, hartley, images, parts
from lib.samplers.step import white_noise


@given(st.integers(32, 70), st.integers(32, 70), st.integers(0, 99))
def test_coefficients_are_orthonormal_and_come_back(height: int, width: int, seed: int) -> None:
    w = white_noise(2, height, width, seed)
    u = coefficients(w)
    assert torch.allclose(images(u), w, atol=1e-5)
    assert torch.allclose(u.square().sum((1, 2, 3)), w.square().sum((1, 2, 3)), rtol=1e-5)


def test_hartley_of_a_wave_lies_at_its_frequency_and_the_opposite_one() -> None:
    i = torch.arange(32, dtype=torch.float64)
    found = hartley(torch.cos(2 * torch.pi * (3 * i[:, None] - 5 * i) / 32))
    assert sorted(map(tuple, (found.abs() > 1e-9).nonzero().tolist())) == [(3, 27), (29, 5)]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 64), (128, 128), (33, 50)])
def test_parts_are_octaves_of_colours(height: int, width: int) -> None:
    found = parts(height, width)
    assert found.shape == (3, height, width)
    assert found.unique().tolist() == list(range(int(found.max()) + 1))  # none is empty
    assert found[0, 0, 0] == found[0, 0, 1] == 0
    assert found[1, 0, 2] == 3 * int(math.log2(2 * max(height, width) / width)) + 1
    colours, octaves = found % 3, found // 3
    assert (colours == torch.arange(3)[:, None, None]).all()
    assert (octaves[0] == octaves[1]).all()


def test_a_grey_wave_is_of_one_part() -> None:
    i = torch.arange(64.0)
    u = coefficients(torch.cos(2 * torch.pi * 6 * i / 64).expand(1, 3, 64, 64))
    assert parts(64, 64)[u[0].abs() > 1e-3].unique().tolist() == [3 * 2]  # 4 to 8 cycles a picture, luminance


def ill_conditioned() -> tuple[Tensor, Tensor]:
    """Curvatures [400] over five orders of magnitude, in four parts that each span one."""
    part = torch.arange(400) // 100
    within = torch.linspace(0, 1, 100, dtype=torch.float64).repeat(4)
    return 10 ** (within + 4 / 3 * part.double()), part


def test_a_scale_for_each_part_finds_the_minimum_sooner() -> None:
    curvature, part = ill_conditioned()

    def objective(z: Tensor) -> tuple[Tensor, Tensor]:
        return 0.5 * (curvature * (z - 1) ** 2).sum(1), curvature * (z - 1)

    start = torch.zeros(1, 400, dtype=torch.float64)
    *_, (_, plain) = minimise(objective, start, 40)
    *_, (_, apart) = minimise(objective, start, 40, part)
    assert apart < plain / 100


def test_one_part_is_the_usual_search() -> None:
    curvature, _ = ill_conditioned()

    def objective(z: Tensor) -> tuple[Tensor, Tensor]:
        return (curvature * (z - 1) ** 4).sum(1), 4 * curvature * (z - 1) ** 3

    start = torch.zeros(1, 400, dtype=torch.float64)
    usual = list(minimise(objective, start, 20))
    for (a, _), (b, _) in zip(usual, minimise(objective, start, 20, torch.full((400,), 3)), strict=True):
        assert torch.equal(a, b)


def test_a_part_that_does_not_count_leaves_the_others_alone() -> None:
    curvature, part = ill_conditioned()
    curvature = torch.where(part == 2, 0.0, curvature)

    def objective(z: Tensor) -> tuple[Tensor, Tensor]:
        return 0.5 * (curvature * (z - 1) ** 2).sum(1), curvature * (z - 1)

    start = torch.zeros(2, 400, dtype=torch.float64)
    *_, (z, value) = minimise(objective, start, 120, part)
    assert value.max() < 1e-6
    assert (z[:, part == 2] == 0).all()


@pytest.mark.parametrize("grey", [False, True])
def test_matching_takes_the_mismatch_far_below_a_piece_of_the_same_texture(grey: bool) -> None:
    model = lib.load()
    x0 = lib.exemplar("pebble")[None, :, :64, :64]
    x0 = x0.mean(1, keepdim=True).expand_as(x0) if grey else x0
    *_, last = match_targets(model, Targets.of(model, x0), white_noise(1, 64, 64, 0), 30)
    assert last.loss < 0.1


def test_statistics_are_matched_sooner_than_with_one_scale_in_the_mean_of_textures() -> None:
    model, noise = lib.load(), white_noise(1, 64, 64, 0)
    ratios = []
    for name in ("star", "pebble", "glitter"):  # on stars one scale does as well: ahead at first, behind later
        targets = Targets.of(model, lib.exemplar(name)[None, :, :64, :64])
        *_, one = match_targets(model, targets, noise, 25, search=descend)
        *_, apart = match_targets(model, targets, noise, 25)
        ratios.append(apart.loss / one.loss)
    assert math.prod(ratios) ** (1 / 3) < 0.85
