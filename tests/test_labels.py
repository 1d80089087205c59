"""Labels of textures: matrices of blocks against those of the whole, published intervals, the shipped run."""

import os
from pathlib import Path

import pytest
import torch
from recognisers import needs_weights, random_tensors, rescaled_backbone
from safetensors.torch import save_file
from skimage import data

import lib
from lib.errors import TextureError
from lib.evaluation import labels
from lib.models.gatys import gram_mismatch
from lib.statistics.backbone import VARIABLE
from lib.statistics.gram import Gram
from lib.statistics.quadratic import periodic_component

GRASS, X = (lib.exemplar(name)[:, :64, :64] for name in ("grass", "pebble"))


def test_one_block_is_the_model_of_gatys() -> None:
    f = Gram(rescaled_backbone())
    with torch.no_grad():
        one, whole = labels.block_mismatch(f, GRASS[None], 1)(X[None]), gram_mismatch(f, GRASS[None])(X[None])
    assert torch.allclose(one, whole, rtol=1e-4)


def test_blocks_know_where_things_are_and_the_whole_does_not() -> None:
    """A torus moved by half its side has every average that it had; its quarters have changed places."""
    f = Gram(rescaled_backbone())
    x0 = torch.cat([GRASS[:, :32], X[:, :32]], 1)[None]
    x = periodic_component(x0)
    with torch.no_grad():
        still, moved = ([labels.block_mismatch(f, x0, b)(x.roll(s, 2)).item() for b in (1, 2)] for s in (0, 32))
    assert max(still) < 1e-8
    assert moved[0] < 1e-8
    assert moved[1] > 0.01


def test_blocks_that_do_not_fit_are_told() -> None:
    with pytest.raises(TextureError, match=r"have no 3 x 3 equal blocks; give fewer"):
        labels.block_mismatch(Gram(rescaled_backbone()), GRASS[None], 3)


def test_tiles_change_places_and_nothing_else() -> None:
    x = lib.exemplar("flower")[:, : labels.SIDE, : labels.SIDE]
    y = labels.tiles(x)
    assert not torch.equal(x, y)
    assert torch.equal(x.flatten().sort().values, y.flatten().sort().values)
    side = labels.SIDE // labels.TILES
    corner = y[:, :side, :side]
    places = range(0, labels.SIDE, side)
    assert any(torch.equal(corner, x[:, i : i + side, j : j + side]) for i in places for j in places)


def test_intervals_are_wilson_s() -> None:
    """Of 10, as tabulated by Brown, Cai & DasGupta (2001) and by hand at the ends."""
    assert labels.wilson(0, 10) == pytest.approx((0, 3.8416 / 13.8416), abs=1e-4)
    assert labels.wilson(10, 10) == pytest.approx((10 / 13.8416, 1), abs=1e-4)
    assert labels.wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)


@needs_weights
@pytest.mark.parametrize(("name", "label"), [("chelsea", 285), ("coffee", 967)])
def test_it_recognises_a_cat_and_an_espresso(name: str, label: int) -> None:
    photograph = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1).float() / 255
    p = labels.Recogniser.load(os.environ[VARIABLE])(labels.squared(photograph, labels.SEEN)[None])
    assert p.sum().item() == pytest.approx(1, abs=1e-4)
    assert p.argmax() == label


def test_a_network_without_its_classifier_gives_no_labels(tmp_path: Path) -> None:
    path = tmp_path / "trunk.safetensors"
    save_file(random_tensors("squeezenet1_0"), path)
    with pytest.raises(TextureError, match=r"no SqueezeNet 1\.0 with its classifier"):
        labels.Recogniser.load(str(path))


def test_the_shipped_run_is_whole_and_speaks_for_its_shares() -> None:
    rows = labels.shipped()
    kinds = ("photograph", *labels.KINDS)
    photographs = list(dict.fromkeys(row.photograph for row in rows))
    assert [(row.photograph, row.kind) for row in rows] == [(name, kind) for name in photographs for kind in kinds]
    assert labels.stays(rows, "photograph") == (len(photographs) - len(labels.SHOWN),) * 2
    for kind in labels.KINDS:
        first, n = labels.stays(rows, kind)
        assert first <= labels.stays(rows, kind, 5)[0] <= n
    assert labels.stays(rows, "trained, 4")[0] > labels.stays(rows, "gaussian")[0]
    own = {row.photograph: row.label for row in rows if row.kind == "photograph"}
    assert all((row.rank == 1) == (row.label == own[row.photograph]) for row in rows)


def test_the_sheet_shows_what_it_says() -> None:
    found = labels.sheet()
    assert set(found) == {(name, kind) for name in labels.SHOWN for kind in ("photograph", *labels.KINDS)}
    assert (found["coffee", "photograph"] - labels._shown("coffee")).abs().mean() < 0.02
    assert (found["coffee", "tiles"] - labels.tiles(labels._shown("coffee"))).abs().mean() < 0.03


def test_a_folder_without_a_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(TextureError, match=r"holds no labels\.csv; python -m lib\.evaluation\.labels"):
        labels.shipped(tmp_path)
