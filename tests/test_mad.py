"""Two distances whose competition can be solved by hand, and what comes with the library."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lib.errors import TextureError
from lib.evaluation import mad
from lib.evaluation.mad import Distance, rival
from lib.images import exemplar

PHOTOGRAPH = exemplar("pebble")[:, :96, :96]


def top(x: Tensor) -> Tensor:
    return x[..., :16, :].flatten(1)


def bottom(x: Tensor) -> Tensor:
    return x[..., 16:, :].flatten(1)


@pytest.fixture(scope="module")
def halves() -> tuple[Distance, Distance]:
    """Models that see one half of an image each, pixel by pixel."""
    return Distance("top", top, torch.ones(1)), Distance("bottom", bottom, torch.ones(1))


@pytest.mark.parametrize("sense", ["min", "max"])
def test_what_the_other_does_not_see_is_free(halves: tuple[Distance, Distance], sense: str) -> None:
    x0 = PHOTOGRAPH[:, :32, :32].contiguous()
    row, image = rival(x0, *halves, sense, iterations=60)
    assert (row.held, row.driven, row.sense) == ("top", "bottom", sense)
    assert row.held_after == pytest.approx(row.held_before, rel=0.1)
    assert row.driven_after < 0.4 * row.driven_before if sense == "min" else row.driven_after > 2 * row.driven_before
    assert row.driven_after == pytest.approx((image - x0)[:, 16:].square().mean().sqrt().item(), abs=1e-4)
    assert image.min() >= 0
    assert image.max() <= 1


def test_a_distance_is_in_units_of_the_spread() -> None:
    d = Distance.of("means", lambda x: x.mean((2, 3)), PHOTOGRAPH, 32)
    x = PHOTOGRAPH[None, :, :32, :32]
    assert d(x, x).item() == 0
    assert d(x, x + d.spread.reshape(1, 3, 1, 1)).item() == pytest.approx(1, rel=1e-3)


def test_a_statistic_that_rests_does_not_outweigh_the_others() -> None:
    def f(x: Tensor) -> Tensor:
        return torch.cat([x.mean((2, 3)), 0 * x.mean((2, 3))[:, :1]], 1)

    d = Distance.of("resting", f, PHOTOGRAPH, 32)
    assert d.spread[3] == pytest.approx(mad.ASLEEP * d.spread.median().item())


def test_bad_input_is_told(halves: tuple[Distance, Distance], tmp_path: Path) -> None:
    with pytest.raises(TextureError, match="'least'"):
        rival(PHOTOGRAPH[:, :32, :32], *halves, "least")
    with pytest.raises(TextureError, match=r"holds no mad\.json"):
        mad.shipped(tmp_path)
    (row, *_) = mad.shipped()
    with pytest.raises(TextureError, match="not the picture"):
        mad.picture(row, tmp_path)


def test_what_comes_with_the_library_is_what_its_table_says() -> None:
    """The distance by Portilla-Simoncelli, which is the quickest, measured again on the shipped pictures."""
    rows = mad.shipped()
    assert len(rows) % 8 == 0
    row = next(r for r in rows if "portilla-simoncelli" in (r.held, r.driven))
    x = mad.picture(row)
    photograph, side = exemplar(row.exemplar), x.shape[-1]
    x0 = photograph[:, :side, :side]
    d = Distance.of("portilla-simoncelli", mad.models(x0)["portilla-simoncelli"], photograph, side)
    said = row.held_after if row.held == d.name else row.driven_after
    assert d(x0[None], x[None]).item() == pytest.approx(said, rel=0.02)
    for r in rows:
        mad.picture(r)
