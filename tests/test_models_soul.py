"""Textures in expectation: SOUL on a recogniser's channel means, FRAME's marginals, and the learned statistics.

The machinery, with random weights for a recogniser; what trained ones add is to be looked at.
"""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from recognisers import needs_weights, rescaled_backbone
from torch import Tensor

import lib
from lib.models.frame import deep_frame_steps, frame_steps
from lib.models.soul import (
    macrocanonical_steps,
    soul_learned_steps,
    soul_steps,
    typical_responses,
    white,
)
from lib.samplers.soul import SoulStep
from lib.samplers.step import last
from lib.statistics.channels import CHOICES

GRASS = lib.exemplar("grass")[:, :48, :48]
CLOTH = lib.exemplar("cloth")[:, :48, :48]

Steps = Callable[..., Iterator[SoulStep]]


@pytest.fixture(scope="module")
def models() -> dict[str, Steps]:
    network = rescaled_backbone()
    return {
        "soul": partial(soul_steps, backbone=network),
        "soul-learned": soul_learned_steps,
        "frame": frame_steps,
        "deep-frame": partial(deep_frame_steps, backbone=network),
    }


@pytest.fixture(params=["soul", "soul-learned", "frame", "deep-frame"])
def steps(request: pytest.FixtureRequest, models: dict[str, Steps]) -> Steps:
    return models[request.param]


@pytest.mark.parametrize("tileable", [False, True], ids=["cut", "tileable"])
@pytest.mark.parametrize("size", [32, (37, 70)], ids=str)
def test_any_size(steps: Steps, size: int | tuple[int, int], tileable: bool) -> None:
    x = last(steps(GRASS[:, :32, :33], size=size, iterations=1, tileable=tileable))
    assert x.shape == (1, 3, *((size, size) if isinstance(size, int) else size))
    assert x.dtype == torch.float32
    assert 0 <= x.min() <= x.max() <= 1


def test_without_a_size_it_is_the_exemplars(steps: Steps) -> None:
    assert last(steps(GRASS[None, :, :40], iterations=1)).shape == (1, 3, 40, 48)


def test_sample_i_depends_on_the_seed_and_i_alone(steps: Steps) -> None:
    *_, two = steps(GRASS, n=2, seed=3, iterations=3)
    *_, one = steps(GRASS, seed=3, iterations=3)
    *_, other = steps(GRASS, seed=4, iterations=3)
    assert torch.equal(two.image[:1], one.image)
    assert torch.equal(two.theta[:1], one.theta)
    assert (two.image[1] - two.image[0]).abs().mean() > 0.02
    assert (other.image - one.image).abs().mean() > 0.02


def test_one_record_an_iteration_with_theta_and_its_average(steps: Steps) -> None:
    records = list(steps(GRASS, n=2, iterations=3))
    assert [(r.step, r.steps) for r in records] == [(1, 3), (2, 3), (3, 3)]
    thetas = torch.stack([r.theta for r in records])
    assert thetas.shape[1] == 2
    weights = torch.tensor([1.0, 2.0, 3.0])[:, None, None] / 6
    torch.testing.assert_close(records[-1].average, (weights * thetas).sum(0))


def steps_across(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Mean squared difference of neighbouring lines along an axis: across the seam, and all those inside."""
    squares = (x - x.roll(1, axis)).square().movedim(axis, 0).flatten(1).mean(1)
    return squares[0], squares[1:]


def test_a_tile_has_no_seam(steps: Steps) -> None:
    tiles = last(steps(GRASS, n=3, size=(37, 51), seed=2, tileable=True, iterations=3))
    cut = last(steps(GRASS, n=3, size=(37, 51), seed=2, iterations=1))
    for axis in (-1, -2):
        seam, inside = steps_across(tiles, axis)
        assert inside.min() / 1.2 < seam < inside.max() * 1.2, axis
        seam, inside = steps_across(cut, axis)
        assert seam > inside.max()


@pytest.mark.parametrize(("name", "times"), [("soul", 2), ("frame", 1.5), ("deep-frame", 2)])
def test_the_mismatch_falls_from_that_of_the_gaussian_texture(
    models: dict[str, Steps], name: str, times: float
) -> None:
    losses = torch.tensor([r.loss for r in models[name](CLOTH, iterations=80)])
    assert losses[-10:].mean() < losses[:3].mean() / times


def test_layers_say_which_statistics(models: dict[str, Steps]) -> None:
    counts = [next(models["soul"](GRASS, iterations=1, layers=choice)).theta.shape[1] for choice in CHOICES]
    assert counts[0] + counts[1] == counts[2]
    assert len(set(counts)) == 3
    assert next(models["deep-frame"](GRASS, iterations=1, layer="conv1")).theta.shape == (1, 96)


def test_any_statistics_will_do() -> None:
    """Two numbers: the mean and the mean square of the red channel, asked to be those of the exemplar."""

    def f(x: Tensor) -> Tensor:
        red = x[:, 0]
        return torch.stack([red.mean((1, 2)), red.square().mean((1, 2))], 1)

    records = list(macrocanonical_steps(f, GRASS, size=64, iterations=150, delta=10.0))
    late = torch.stack([f(r.image)[0] for r in records[-50:]]).mean(0)
    torch.testing.assert_close(late, f(GRASS[None])[0], rtol=0.05, atol=0)


def test_channels_that_hardly_answer_are_not_driven_hard() -> None:
    """A statistic whose response is nothing gets a tenth of the median's."""
    weights = torch.tensor([1.0, 2.0, 3.0, 0.0])
    v, rho = typical_responses(
        lambda x: weights * x[:, :1].mean((2, 3)), GRASS[None], torch.full((1, 3, 1, 1), 0.5), lambda z: z
    )
    torch.testing.assert_close(v / v[0], torch.tensor([1.0, 4.0, 9.0, 0.1]), rtol=0.01, atol=1e-5)
    assert 3 <= rho < 6  # three that answer as one


def test_the_reference_is_wide_and_white() -> None:
    x = torch.full((2, 3, 32, 32), 0.5)
    x[1] += 0.5
    assert white(torch.full((1, 3, 1, 1), 0.5))(x).tolist() == [0, pytest.approx(3 * 32 * 32 / 2)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 31}, "size 31 is not"),
        ({"size": (64, 64, 64)}, "size (64, 64, 64) is not"),
        ({"n": 0}, "n is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"iterations": 0}, "iterations is 0"),
        ({"delta": 0.0}, "delta is 0.0"),
        ({"gamma": -1.0}, "gamma is -1.0"),
        ({"x0": GRASS[:, :16]}, "at least 32"),
        ({"x0": GRASS * 255}, "divide it by 255"),
        ({"x0": "grass"}, "lib.read_image"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_errors_say_what_is_wrong(steps: Steps, change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        next(iter(steps(**({"x0": GRASS} | change))))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("soul", {"layers": "all"}, "layers is 'all'; choose shallow, deep or full"),
        ("soul", {"backbone": "resnet"}, "there is no backbone 'resnet'"),
        ("deep-frame", {"layer": "fire99"}, "no layer 'fire99'; choose among conv1"),
        ("soul-learned", {"checkpoint": "huge"}, "no model 'huge'"),
    ],
    ids=lambda value: value if isinstance(value, str) and "'" not in value else "",
)
def test_settings_that_there_are_not(models: dict[str, Steps], name: str, change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        next(iter(models[name](GRASS, **change)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@needs_weights
def test_trained_features_are_matched() -> None:
    losses = torch.tensor([r.loss for r in soul_steps(lib.exemplar("pebble")[:, :64, :64], iterations=100)])
    assert losses[-20:].mean() < losses[:3].mean() / 3
