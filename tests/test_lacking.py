"""What samples lack: exact answers for samples that are tiles, and statistics that are where they are said to be."""

import pytest
import torch

from lib.evaluation.lacking import (
    COARSE_COLOURS,
    FINE_COLOURS,
    GREY,
    between,
    by_kind,
    colours_alone,
    kinds,
    lacking,
    measured,
)
from lib.evaluation.protocol import SOURCES
from lib.statistics.portilla import PortillaSimoncelli
from lib.statistics.quadratic import opponent

F = PortillaSimoncelli((128, 128))


def test_another_tile_is_one_tile_away() -> None:
    """The other seven in the place of each: the mean square between them is the unit, whatever the statistics."""
    tiles = torch.randn(SOURCES, F.dim, generator=torch.Generator().manual_seed(0)).double()
    others = torch.cat([tiles.roll(k, 0) for k in range(1, SOURCES)])
    found = {"tiles": tiles, "others": others, "same": tiles}
    assert torch.allclose(between(found)["others"], torch.zeros(F.dim).double(), atol=1e-12)
    for kind in by_kind({"a": found, "b": {name: 3 * s for name, s in found.items()}}):
        assert kind.distance["others"] == pytest.approx(1)
        assert kind.distance["same"] < 1e-6


def test_a_statistic_that_tiles_share_is_left_out() -> None:
    tiles = torch.ones(SOURCES, 2).double()
    tiles[:, 1] = torch.arange(SOURCES)
    found = between({"tiles": tiles, "samples": tiles + 1})["samples"]
    assert found.isnan().tolist() == [True, False]


def test_kinds_do_not_overlap() -> None:
    where = torch.cat(list(kinds(F).values()))
    assert len(where) == len(where.unique())
    assert set(where.tolist()) <= set(range(F.dim))


def test_colours_that_vary_together_are_found_where_it_is_said() -> None:
    """Two colours with one pattern, grey with another: contrasts at equal angles go together in the first alone."""
    grey, colour = 30 * torch.randn(2, 128, 128, generator=torch.Generator().manual_seed(0))
    x = torch.einsum("ic,chw->ihw", opponent().mT, torch.stack([grey, colour, colour])) + 127.5
    f = measured(F, x.clamp(0, 255).round().to(torch.uint8)[None])[0]
    where = kinds(F)
    assert torch.cat([f[where[FINE_COLOURS]], f[where[COARSE_COLOURS]]]).min() > 0.95
    assert f[where[GREY]].mean().abs() < 0.1


def test_samples_that_come_with_the_library() -> None:
    """The photograph's other half is about one tile away; pixels' moments, which are matched, are not."""
    exemplar, found = next(lacking(("matching", "reference"), ("rubber",)))
    assert {name: len(s) for name, s in found.items()} == {"tiles": 8, "matching": 16, "reference": 16}
    rows = {kind.name: kind for kind in by_kind({exemplar: found})}
    assert 0.5 < rows["pixels: moments"].distance["reference"] < 2
    assert rows["pixels: moments"].distance["matching"] < 0.3


def test_colours_alone_are_of_one_grey_and_keep_their_hue() -> None:
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    shown = colours_alone(x, 0.02)
    assert torch.allclose(shown.mean(1), torch.full((2, 16, 16), 0.5), atol=1e-6)
    u, v = (torch.einsum("ci,nihw->nchw", opponent()[1:], image) for image in (x, shown))
    u = u - u.mean((2, 3), keepdim=True)
    assert torch.allclose(v, u * 0.02 / u[0].std(), atol=1e-6)
