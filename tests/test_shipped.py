"""Samples packed and read back, the reduced table recomputed by other means, and nothing altered taken."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from PIL import Image
from torch import Tensor

from lib.errors import TextureError
from lib.evaluation import shipped
from lib.evaluation import table as tables
from lib.evaluation.features import Features
from lib.evaluation.scores import FLOOR


def simple(images: Tensor) -> Tensor:
    """Nine features anyone can recompute: means, deviations and slopes of three colours."""
    x = images.double() / 255
    return torch.cat([x.mean((2, 3)), x.flatten(2).std(2), 3 * x.diff(dim=3).abs().mean((2, 3))], 1)


SIMPLE = Features("nine simple ones", 9, "0" * 64, False, simple)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two exemplars by two methods that take no time, as they would be shipped."""
    cells, out = tmp_path_factory.mktemp("cells"), tmp_path_factory.mktemp("packed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "load_features", lambda source: SIMPLE)
        patch.setattr(tables, "ROWS", ("gaussian", "noise"))
        patch.setattr(shipped, "ROWS", ("gaussian", "noise"))
        patch.setattr(shipped, "load_features", lambda source: SIMPLE)
        tables.table(cells, 16, ["gaussian", "noise"], ["cloth", "rubber"], side=32)
        (cells / "gaussian" / "star.json").write_text("{}")  # a column that is not whole
        shipped.pack(cells, out)
    return out


def test_sheets_come_apart_as_they_were_laid() -> None:
    samples = torch.randint(256, (6, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    picture = shipped.sheet(samples)
    assert picture.size == (32, 16)
    assert torch.equal(shipped.apart(picture, 8)[:6], samples)


def test_the_table_is_that_of_an_independent_script(packed: Path) -> None:
    found = shipped.reduced(folder=packed)
    assert list(found) == ["rubber", "cloth"] or list(found) == ["cloth", "rubber"]
    for exemplar, column in found.items():
        sets = {}
        for row in ("gaussian", "noise", "floor", "reference"):
            pixels = np.asarray(Image.open(packed / f"{row}-{exemplar}.jpg")).astype(float) / 255
            tiles = np.stack([pixels[i : i + 32, j : j + 32] for i in range(0, 128, 32) for j in range(0, 128, 32)])
            slopes = 3 * np.abs(np.diff(tiles, axis=2)).mean((1, 2))
            sets[row] = np.c_[tiles.mean((1, 2)), tiles.reshape(16, -1, 3).std(1, ddof=1), slopes]
        g = sets.pop("reference")
        for row, f in sets.items():
            cf, cg = np.cov(f, rowvar=False), np.cov(g, rowvar=False)
            d = ((f.mean(0) - g.mean(0)) ** 2).sum() + np.trace(cf + cg - 2 * scipy.linalg.sqrtm(cf @ cg).real)
            assert column[row].frechet.value == pytest.approx(d, rel=0.02, abs=2e-4)  # features were kept as float16


def test_features_computed_here_agree_with_those_that_were_kept(packed: Path) -> None:
    for row in ("noise", FLOOR):
        kept, here = (shipped.values_of(row, "cloth", of, packed) for of in (None, SIMPLE))
        assert torch.allclose(kept, here, atol=1e-3)


def test_it_says_what_it_is(packed: Path) -> None:
    csv, markdown = shipped.as_text(shipped.reduced(folder=packed), folder=packed)
    assert "reduced table: 16 samples" in markdown
    assert "nine simple ones" in markdown
    assert len(csv.splitlines()) == 1 + 2 * 3


def test_a_row_joins_those_that_are_packed(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows that were there keep their samples, their features and their order."""
    cells, out = tmp_path / "cells", tmp_path / "out"
    out.mkdir()
    for path in packed.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(tables, "load_features", lambda source: SIMPLE)
    monkeypatch.setattr(shipped, "ROWS", ("noise", "heeger-bergen", "gaussian"))
    monkeypatch.setattr(shipped, "load_features", lambda source: SIMPLE)
    tables.table(cells, 16, ["heeger-bergen"], ["cloth", "rubber"], side=32, settings=["iterations=1"])
    shipped.pack(cells, out)
    before, after = shipped.index(packed), shipped.index(out)
    assert after["rows"] == ["noise", "heeger-bergen", "gaussian", "floor", "reference"]
    assert before["cells"].items() <= after["cells"].items()
    for exemplar in ("cloth", "rubber"):
        new, old = (shipped.values_of("noise", exemplar, folder=folder) for folder in (out, packed))
        assert torch.equal(new, old)
        assert shipped.images("heeger-bergen", exemplar, out).images.shape == (16, 3, 32, 32)
    tables.table(tmp_path / "more", 24, ["heeger-bergen"], ["cloth"], side=32, settings=["iterations=1"])
    with pytest.raises(TextureError, match="several kinds"):
        shipped.pack(tmp_path / "more", out)
    assert shipped.index(out) == after


def test_what_was_altered_or_is_not_there_is_refused(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(TextureError, match=r"holds no samples\.json"):
        shipped.index(tmp_path)
    with pytest.raises(TextureError, match="no samples of star by gaussian"):
        shipped.images("gaussian", "star", packed)
    for path in packed.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    Image.new("RGB", (128, 128)).save(tmp_path / "noise-cloth.jpg")
    with pytest.raises(TextureError, match=r"not what samples\.json tells of"):
        shipped.images("noise", "cloth", tmp_path)
    (tmp_path / "features.npz").write_bytes(b"")
    with pytest.raises(TextureError, match="has no features of noise, cloth"):
        shipped.values_of("noise", "cloth", None, tmp_path)
    with pytest.raises(TextureError, match="no whole column"):
        shipped.pack(tmp_path / "nowhere", tmp_path)


def test_what_comes_with_the_library_is_whole_and_equal_in_number() -> None:
    listed = shipped.index()
    assert {FLOOR, "reference", "gatys", "matching", "diffusion"} <= set(listed["rows"])
    for exemplar in listed["exemplars"]:
        sizes = {tuple(shipped.images(row, exemplar).images.shape) for row in listed["rows"]}
        assert len(sizes) == 1
    assert json.dumps(listed["floor"])
