"""Solid textures: slices in every direction are the texture; what is carved is lit and coloured as it should be."""

import math

import pytest
import torch
from torch import Tensor

import lib
from lib.models.heeger_bergen import Colours, Histograms
from lib.models.solid import AMBIENT, LAMP, SHAPES, carve, solid_steps, voxels
from lib.samplers.step import Step
from lib.statistics.pyramid import SteerablePyramid

MARBLE = 0.5 + 0.3 * (lib.exemplar("marble")[:, :64, :64] - 0.5)


@pytest.fixture(scope="module")
def records() -> list[Step]:
    return list(solid_steps(MARBLE, size=32, iterations=6))


def slices(block: Tensor, axis: int) -> Tensor:
    """All slices [32,3,32,32] of a block [3,32,32,32] across an axis."""
    return block.movedim(axis + 1, 0)


def in_colours(x: Tensor) -> Tensor:
    """Principal colours of MARBLE in images [B,3,H,W]."""
    return Colours.of(MARBLE.mean((1, 2)), MARBLE.flatten(1).cov(correction=0)).principal(x)


def bands_of_slices(block: Tensor, axis: int) -> Tensor:
    """Variances of bands [3,14], of principal colours, over all slices of a block."""
    levels = SteerablePyramid(32, 32, scales=3).analyse(in_colours(slices(block, axis)))
    return torch.cat([level.var((0, 3, 4)) for level in levels], 1)


def test_a_block_is_a_block(records: list[Step]) -> None:
    assert [(r.step, r.steps) for r in records] == [(i, 6) for i in range(1, 7)]
    assert records[-1].image.shape == (1, 3, 32, 32, 32)
    assert 0 <= records[-1].image.min() < records[-1].image.max() <= 1
    losses = [r.loss for r in records]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_have_the_exemplars_pixels(records: list[Step], axis: int) -> None:
    at = torch.linspace(0.02, 0.98, 20)
    wanted = in_colours(MARBLE[None])[0].flatten(1).quantile(at, dim=1)
    z = in_colours(slices(records[-1].image[0], axis))
    every = z.movedim(1, 0).flatten(1).quantile(at, dim=1)
    assert torch.allclose(every, wanted, atol=0.02)
    each = z.flatten(2).quantile(at, dim=2)  # a slice is a small sample
    assert (each - wanted[:, None]).abs().mean() < 0.4


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_have_nearly_the_exemplars_bands(records: list[Step], axis: int) -> None:
    levels = Histograms.of(in_colours(MARBLE), scales=3, orientations=4).levels
    wanted = torch.cat([level.var(2) for level in levels], 1)
    block = records[-1].image[0]
    white = block.flatten(1)[:, torch.randperm(32**3, generator=torch.Generator().manual_seed(0))].view(block.shape)
    off, far = ((bands_of_slices(b, axis) / wanted).log().abs().mean() for b in (block, white))
    assert off < 0.25
    assert far > 0.7


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_opposite_faces_meet(records: list[Step], axis: int) -> None:
    block = records[-1].image[0]
    squares = (block - block.roll(1, axis + 1)).square().movedim(axis + 1, 0).flatten(1).mean(1)
    assert squares[1:].min() / 1.1 < squares[0] < squares[1:].max() * 1.1


def test_the_same_seed_gives_the_same_block() -> None:
    first, again, other = (next(solid_steps(MARBLE, 32, seed)).image for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.01


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 31}, "size is 31"),
        ({"size": 300}, "size is 300"),
        ({"size": (32, 32)}, "size is (32, 32)"),
        ({"seed": -1}, "seed is -1"),
        ({"iterations": 0}, "iterations is 0"),
        ({"x0": MARBLE[:1]}, "three channels"),
    ],
)
def test_errors_say_what_is_wrong(change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        next(solid_steps(**({"x0": MARBLE, "size": 32} | change)))
    assert said in str(caught.value)


# --- carving


def test_voxels_are_found_and_go_round() -> None:
    block = torch.rand(3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    at = torch.tensor([[2.0, 3.0, 1.0], [8.0, -2.0, 5.0], [2.5, 3.0, 1.0], [5.5, 0.0, 0.0]])  # x, y, z
    found = voxels(block, at)
    assert torch.allclose(found[:, 0], block[:, 1, 3, 2], atol=1e-5)
    assert torch.allclose(found[:, 1], found[:, 0], atol=1e-5)
    assert torch.allclose(found[:, 2], (block[:, 1, 3, 2] + block[:, 1, 3, 3]) / 2, atol=1e-5)
    assert torch.allclose(found[:, 3], (block[:, 0, 0, 5] + block[:, 0, 0, 0]) / 2, atol=1e-5)


def test_a_ball_is_a_disc_lit_by_lambert() -> None:
    grey = torch.full((3, 16, 16, 16), 0.5)
    picture = carve(grey, "sphere", 101)
    inside = (picture < 1).all(0)
    assert inside.float().mean() == pytest.approx(math.pi * 0.9**2 / 4, abs=0.01)
    lamp = torch.tensor(LAMP) / torch.tensor(LAMP).norm()
    facing = AMBIENT + (1 - AMBIENT) * -lamp[2].item()
    assert picture[:, 50, 50].tolist() == pytest.approx([0.5 * facing] * 3, abs=0.005)
    brightest = picture[0].masked_fill(~inside, 0).argmax()
    normal = torch.tensor([brightest % 101, brightest // 101]) * 2 / 101 - 1 + 1 / 101
    assert torch.allclose(normal / 0.9, lamp[:2], atol=0.03)
    assert picture[0][inside].min() == pytest.approx(0.5 * AMBIENT, abs=0.01)


def test_a_cube_shows_three_faces_each_a_slice() -> None:
    """Of one shade each, as each is flat; and no face is hidden."""
    picture = carve(torch.full((3, 8, 8, 8), 0.8), "cube", 128)[0]
    shades = torch.histc(picture[picture < 1], 200, 0, 1)
    assert (shades > 0.08 * shades.sum()).sum() in range(3, 7)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [32, 75])
def test_every_shape_is_whole_and_inside_the_picture(shape: str, side: int) -> None:
    block = torch.rand(1, 3, 20, 30, 40, generator=torch.Generator().manual_seed(0)) * 0.9
    picture = carve(block, shape, side)
    assert picture.shape == (3, side, side)
    assert 0 <= picture.min() <= picture.max() == 1
    inside = (picture < 1).any(0)
    assert 0.2 < inside.float().mean() < 0.8
    assert not inside[0].any()
    assert inside[side // 3 : 2 * side // 3, side // 2].all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((torch.rand(3, 8, 8, 8), "teapot"), "choose one of sphere, cube, bust"),
        ((torch.rand(3, 8, 8, 8), "cube", 8), "side is 8"),
        ((torch.rand(3, 8, 8),), "not [3,D,H,W]"),
        ((torch.rand(2, 3, 8, 8, 8),), "not [3,D,H,W]"),
        (("block",), "not [3,D,H,W]"),
    ],
)
def test_carving_says_what_is_wrong(arguments: tuple, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        carve(*arguments)
    assert said in str(caught.value)
