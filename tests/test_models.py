"""One door to every model: what it promises for each, and what it says to those who ask for what there is not."""

import inspect

import pytest
import torch

import lib
from lib.models import COMMON


@pytest.mark.parametrize("name", lib.MODELS)
def test_every_row_names_a_generator_of_the_common_shape(name: str) -> None:
    row = lib.MODELS[name]
    parameters = inspect.signature(row.steps).parameters
    assert tuple(parameters)[: len(COMMON)] == COMMON
    assert [parameters[p].default for p in COMMON[1:]] == [1, None, 0, False]
    assert all(parameters[p].default is not inspect.Parameter.empty for p in row.settings)
    assert 1960 <= row.year <= 2026


def test_it_is_the_sampler_s_own_picture() -> None:
    x0 = lib.exemplar("grass")[:, :40, :48]
    x = lib.synthesize(x0, "matching", n=2, size=(33, 40), seed=3, iterations=2)
    *_, record = lib.match_steps(lib.load(), x0, 2, (33, 40), 3, steps=2)
    assert torch.equal(x, record.image)


def test_what_there_is_not_is_told_with_what_there_is() -> None:
    x0 = lib.exemplar("grass")[:, :40, :48]
    with pytest.raises(lib.TextureError, match=r"no model .vae.; known are .*matching"):
        lib.synthesize(x0, "vae")
    with pytest.raises(lib.TextureError, match="matching has no setting 'steps'; known are checkpoint, iterations"):
        lib.synthesize(x0, "matching", steps=3)
