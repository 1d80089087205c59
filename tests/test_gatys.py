"""Textures from a recogniser. The machinery, with random weights; what trained ones add is to be looked at."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest
import torch
from recognisers import needs_weights, random_backbone, rescaled_backbone
from torch import Tensor

import lib
from lib.models.gatys import (
    balanced,
    gatys_between_steps,
    gatys_steps,
    gram_mismatch,
    sliced_mismatch,
    sliced_wasserstein_steps,
)
from lib.samplers.step import Step, last
from lib.statistics.gram import Gram
from lib.statistics.quadratic import periodic_component
from lib.statistics.recognisers import ARCHITECTURES
from lib.statistics.sliced_wasserstein import SlicedWasserstein

GRASS = lib.exemplar("grass")[:, :48, :48]
MODELS = {"gatys": gatys_steps, "sliced": sliced_wasserstein_steps}


@pytest.fixture(scope="module", params=MODELS)
def steps(request: pytest.FixtureRequest) -> Callable[..., Iterator[Step]]:
    return partial(MODELS[request.param], backbone=rescaled_backbone())


def test_the_loss_is_zero_for_the_exemplar_wherever_it_lies() -> None:
    x, network = periodic_component(GRASS[None]), rescaled_backbone()
    for loss in (gram_mismatch(Gram(network), GRASS[None]), sliced_mismatch(SlicedWasserstein(network), GRASS[None])):
        assert loss(x).item() < 1e-9
        assert loss(x.roll((8, 16), (2, 3))).item() < 1e-6
        assert loss(x.flip(2)).item() > 1e-4
        assert torch.equal(loss(torch.cat([x, x.flip(2)]))[:1], loss(torch.cat([x, 1 - x]))[:1])


def test_layers_count_as_published_or_in_their_own_units() -> None:
    network, apart, sizes = random_backbone(), [torch.tensor([1.0]), torch.tensor([6.0])], torch.tensor([1.0, 2.0])
    assert balanced(apart, list(sizes), network).tolist() == [2.0]  # mean of 1/1 and 6/2
    vgg = replace(network, architecture=ARCHITECTURES["vgg19"])
    assert balanced(apart, list(sizes), vgg).tolist() == [pytest.approx(7 / 3)]


def test_descending_lowers_the_mismatch(steps: Callable[..., Iterator[Step]]) -> None:
    records = list(steps(GRASS, iterations=20))
    losses = [record.loss for record in records]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 3
    assert [(r.step, r.steps) for r in records] == [(i, 20) for i in range(1, 21)]


@pytest.mark.parametrize("tileable", [False, True], ids=["cut", "tileable"])
@pytest.mark.parametrize("size", [32, (37, 50), (64, 33), (80, 96)], ids=str)
def test_any_size(steps: Callable[..., Iterator[Step]], size: int | tuple[int, int], tileable: bool) -> None:
    x = last(steps(GRASS[:, :32, :33], size=size, iterations=1, tileable=tileable))
    assert x.shape == (1, 3, *((size, size) if isinstance(size, int) else size))
    assert x.dtype == torch.float32
    assert 0 <= x.min() <= x.max() <= 1


def test_without_a_size_it_is_the_exemplars(steps: Callable[..., Iterator[Step]]) -> None:
    assert last(steps(GRASS[None, :, :40], iterations=1)).shape == (1, 3, 40, 48)


def test_sample_i_depends_on_the_seed_and_i_alone(steps: Callable[..., Iterator[Step]]) -> None:
    two = last(steps(GRASS, n=2, seed=3, iterations=3))
    one = last(steps(GRASS, seed=3, iterations=3))
    other = last(steps(GRASS, seed=4, iterations=3))
    assert torch.equal(two[:1], one)
    assert (two[1] - two[0]).abs().mean() > 0.02
    assert (other - one).abs().mean() > 0.02


def steps_across(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Mean squared difference of neighbouring lines along an axis: across the seam, and all those inside."""
    squares = (x - x.roll(1, axis)).square().movedim(axis, 0).flatten(1).mean(1)
    return squares[0], squares[1:]


@pytest.mark.parametrize("size", [(40, 56), (37, 51)], ids=str)
def test_a_tile_has_no_seam(steps: Callable[..., Iterator[Step]], size: tuple[int, int]) -> None:
    """Odd sides too, which the network continues by a pixel at each halving."""
    tiles = last(steps(GRASS, n=3, size=size, seed=2, tileable=True, iterations=4))
    cut = last(steps(GRASS, n=3, size=size, seed=2, iterations=1))
    for axis in (-1, -2):
        seam, inside = steps_across(tiles, axis)
        assert inside.min() / 1.2 < seam < inside.max() * 1.2, axis
        seam, inside = steps_across(cut, axis)
        assert seam > inside.max()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 31}, "size 31 is not"),
        ({"size": (64, 64, 64)}, "size (64, 64, 64) is not"),
        ({"n": 0}, "n is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"iterations": 0}, "iterations is 0"),
        ({"iterations": 2.5}, "iterations is 2.5"),
        ({"x0": GRASS[:, :16]}, "at least 32"),
        ({"x0": GRASS * 255}, "divide it by 255"),
        ({"x0": "grass"}, "lib.read_image"),
        ({"backbone": "resnet"}, "there is no backbone 'resnet'"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_errors_say_what_is_wrong(steps: Callable[..., Iterator[Step]], change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        next(iter(steps(**({"x0": GRASS} | change))))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@needs_weights
def test_trained_features_are_matched() -> None:
    pebble = lib.exemplar("pebble")[:, :64, :64]
    *_, record = gatys_steps(pebble, iterations=30)
    assert record.loss < 0.1


def test_the_ends_of_a_line_are_the_models_own_and_its_middle_is_between() -> None:
    network, other = rescaled_backbone(), lib.exemplar("pebble")[:, :48, :48]
    settings = {"seed": 2, "iterations": 4, "backbone": network}
    for t, x in ((0.0, GRASS), (1.0, other)):
        between = last(gatys_between_steps(GRASS, other, t, **settings))
        assert torch.allclose(between, last(gatys_steps(x, **settings)), atol=1e-4)
    f = Gram(network)
    a, b, half = (
        torch.cat([g.flatten() for g in f.matrices(x)])
        for x in (
            periodic_component(GRASS[None]),
            periodic_component(other[None]),
            last(gatys_between_steps(GRASS, other, 0.5, backbone=network, iterations=25)),
        )
    )
    assert (half - (a + b) / 2).norm() < 0.2 * (a - b).norm()


@pytest.mark.parametrize("t", [-0.1, 1.1, float("nan")])
def test_a_line_runs_from_0_to_1(t: float) -> None:
    with pytest.raises(lib.TextureError, match="it runs from 0"):
        gatys_between_steps(GRASS, GRASS, t)
