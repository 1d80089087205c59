"""Diversity of models whose diversity is known, and of the samples that come with the library."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import lib
from lib.errors import TextureError
from lib.evaluation import diversity, shipped

SEEDED = torch.Generator().manual_seed(0)


def moments(x: Tensor) -> Tensor:
    return torch.cat([x.mean((2, 3)), x.square().mean((2, 3))], 1)


def noise(n: int) -> Tensor:
    return 0.5 + 0.1 * torch.randn(n, 3, 40, 40, generator=SEEDED)


def test_new_draws_of_one_law_are_as_various_as_the_law() -> None:
    assert diversity.places(noise(40), noise(1)[0]) == pytest.approx(1, abs=0.05)
    assert diversity.statistics(moments, noise(60), noise(60)) == pytest.approx(1, abs=0.25)


def test_one_picture_again_and_again_is_no_texture() -> None:
    again = noise(1).expand(5, -1, -1, -1)
    assert diversity.places(again, again[0]) == 0
    assert diversity.statistics(moments, again, noise(10)) < 1e-3


def test_one_picture_shifted_moves_its_pixels_and_not_its_statistics() -> None:
    """What tells a model that shifts from one that makes: a torus has its averages wherever it begins."""
    x = lib.exemplar("grass")[:, :40, :40]
    shifted = torch.stack([x.roll((7 * i, 11 * i), (1, 2)) for i in range(8)])
    periodic = torch.stack([noise(1)[0] for _ in range(8)])
    assert diversity.places(shifted, x) > 0.5
    made = diversity.statistics(lambda x: moments(x), shifted, periodic)
    assert made < diversity.statistics(moments, noise(8), periodic) / 3


def test_one_sample_does_not_vary() -> None:
    with pytest.raises(TextureError, match="samples are 1; give at least 2"):
        diversity.places(noise(1), noise(1)[0])
    with pytest.raises(TextureError, match="pieces are 1"):
        diversity.statistics(moments, noise(2), noise(1))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_spread_is_a_share_of_the_crops() -> None:
    crops = normal(4000, 8)
    found = diversity.spread(0.5 * normal(4000, 8, seed=1), crops, 4)
    assert found.total == pytest.approx(0.25, rel=0.05)
    assert found.within == pytest.approx(0.25, rel=0.05)


def test_samples_that_repeat_their_exemplar_spread_only_between_them() -> None:
    sources = normal(8, 5)
    samples = sources.repeat(10, 1) + 0.01 * normal(80, 5, seed=1)  # sample 8 j + k is of source k
    found = diversity.spread(samples, normal(500, 5, seed=2), 8)
    assert found.within < 1e-3 < 0.5 < found.total
    with pytest.raises(TextureError, match="as many of each"):
        diversity.spread(samples[:9], sources, 8)


def test_crops_in_place_of_samples_are_as_various_as_crops_and_copies() -> None:
    row = diversity.row("floor", "rubber")
    assert row.spread.total == pytest.approx(1)
    assert row.copying.typical < 0.3
    assert row.copying.coherence > 0.9
    assert row.trained is None


def test_a_model_trained_on_its_samples_is_found_out_and_others_are_not() -> None:
    own = [diversity.halved(x.float() / 255) for x in shipped.images("matching", "cloth").images[:2]]
    found = diversity.from_training(["matching", diversity.CONTROL], "cloth", own)
    assert found["matching"].typical < 1e-3
    assert found["matching"].coherence > 0.99
    assert 0.5 < found[diversity.CONTROL].typical < 2
    assert found[diversity.CONTROL].coherence < 0.2


def test_one_samplers_training_on_anothers_samples_is_seen_only_where_they_began_in_the_same_noise() -> None:
    samples = [diversity.halved(x.float() / 255) for x in shipped.images("matching", "pebble").images[:4]]
    same, other = (
        diversity.from_training(["diffusion"], "pebble", own)["diffusion"] for own in (samples[:2], samples[2:])
    )
    assert same.coherence > 0.5 > 0.2 > other.coherence
    assert same.typical < 0.8 < other.typical


def test_photographs_are_halved_wherever_they_lie(tmp_path: Path) -> None:
    x = torch.rand(3, 33, 40, generator=SEEDED)
    (tmp_path / "below").mkdir()
    lib.save_image(x, tmp_path / "below" / "a.png")
    (found,) = diversity.photographs(tmp_path)
    assert found.shape == (3, 16, 20)
    assert found[:, 3, 5] == pytest.approx(x[:, 6:8, 10:12].mean((1, 2)), abs=1 / 255)
    with pytest.raises(TextureError, match="holds no JPEG or PNG"):
        diversity.photographs(tmp_path / "elsewhere")


def test_every_learned_sample_was_held_against_training_images() -> None:
    rows = diversity.shipped()
    assert {(r.model, r.exemplar) for r in rows if r.trained} == {
        (m, e) for m in (*diversity.LEARNED, diversity.CONTROL) for e in shipped.index()["exemplars"]
    }
