"""The sheet of held-out photographs: what it shows of each, going on, and refusals."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer import Typer
from typer.testing import CliRunner

from lib.errors import TextureError
from lib.evaluation import sheet


def photograph(path: Path, side: int, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side + 2, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def grey(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Models that answer at once, each with a grey of its own; who was asked."""
    asked: list[str] = []

    def answer(x0: Tensor, name: str, seed: int, **settings: str) -> Tensor:
        assert x0.shape == (3, 128, 128)
        asked.append(name)
        return torch.full((1, 3, 128, 128), sheet.COMPARED.index(name) / 8)

    monkeypatch.setattr(sheet, "synthesize", answer)
    return asked


def test_strips_show_each_photograph_and_each_model_and_go_on(tmp_path: Path, grey: list[str]) -> None:
    (tmp_path / "in").mkdir()
    for k, side in enumerate((128, 300)):
        photograph(tmp_path / "in" / f"{k}.png", side, k)
    app = Typer()
    app.command()(sheet.sheet)
    given = [str(tmp_path / "out"), "--images", str(tmp_path / "in")]
    assert CliRunner().invoke(app, [*given, "--most", "1"]).exit_code == 0
    assert CliRunner().invoke(app, given).exit_code == 0
    assert grey == [*sheet.COMPARED, *sheet.COMPARED]
    rows = sheet.shipped(tmp_path / "out")
    assert [row.name for row in rows] == ["0", "1"]
    tiles = sheet.pictures(rows[0], tmp_path / "out")
    assert tiles.shape == (1 + len(sheet.COMPARED), 3, 128, 128)
    for k, tile in enumerate(tiles[1:]):
        assert (tile - k / 8).abs().max() < 0.02
    Image.new("RGB", (768, 128)).save(tmp_path / "out" / rows[0].picture)
    with pytest.raises(TextureError, match=r"0-0\.jpg is not the picture"):
        sheet.pictures(rows[0], tmp_path / "out")


def test_the_middle_is_at_half_the_resolution_where_there_is_enough() -> None:
    x = torch.rand(3, 300, 256)
    seen = sheet.middle(x)
    assert seen.shape == (3, 128, 128)
    assert torch.allclose(seen[:, 0, 0], x[:, 22:24, :2].mean((1, 2)))
    small = torch.rand(3, 140, 255)
    assert torch.equal(sheet.middle(small), small[:, 6:134, 63:191])


def test_what_cannot_be_shown_is_told(tmp_path: Path, grey: list[str]) -> None:
    with pytest.raises(TextureError, match="holds no photographs"):
        sheet.sheet(tmp_path / "out", tmp_path, 18, 0)
    photograph(tmp_path / "small.png", 100)
    with pytest.raises(TextureError, match=r"small\.png has 100x102 pixels"):
        sheet.sheet(tmp_path / "out", tmp_path, 18, 0)


def test_those_that_come_with_the_library_have_their_licences() -> None:
    rows = sheet.shipped()
    assert len(rows) == 18
    with (sheet.SHIPPED / "LICENCES.tsv").open(encoding="utf-8", newline="") as file:
        known = {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}
    for row in rows:
        assert sheet.pictures(row).shape == (1 + len(row.models), 3, 128, 128)
        assert known[row.name]["licence"]
        assert known[row.name]["author"]
