"""Lines whose judgement is known, and those that come with the library."""

from pathlib import Path

import pytest
import torch

import lib
from lib.errors import TextureError
from lib.evaluation import lines, path

PHOTOGRAPHS = [lib.exemplar(name) for name in ("cloth", "marble")]
XA, XB = (x[:, :128, :128] for x in PHOTOGRAPHS)


@pytest.fixture(scope="module")
def quarters() -> lines.Quarters:
    return lines.Quarters(PHOTOGRAPHS, 64)


def test_a_quarter_is_described_like_a_piece(quarters: lines.Quarters) -> None:
    g = quarters(XA[None])
    assert torch.allclose(g[0, 2], quarters.of(XA[None, :, 64:, :64])[0] / quarters.spread, atol=1e-4)
    pieces = torch.stack([quarters.of(lines.even_crops(x, 64, lines.PIECES) / 255).var(0) for x in PHOTOGRAPHS])
    assert (pieces.mean(0) / quarters.spread.square()).median().item() == pytest.approx(1, rel=1e-3)


def test_a_line_of_pixels_ends_at_the_photographs_and_a_collage_falls_into_parts(quarters: lines.Quarters) -> None:
    line = lines.images_of(XA, XB, "pixels", 2)
    way, uneven = lines.judged(line, XA, XB, quarters)
    assert way.position[[0, 2]].tolist() == pytest.approx([0, 1], abs=1e-4)
    assert uneven[[0, 2]].tolist() == pytest.approx([1, 1], abs=1e-4)
    way, parts = lines.judged(lines.images_of(XA, XB, "collage", 2), XA, XB, quarters)
    assert way.position[1].item() == pytest.approx(0.5, abs=0.1)  # its quarters are two of each
    assert parts[1] > 1.5 * uneven[1]


def test_a_line_is_held_against_its_own_ends() -> None:
    row = lines.Row("a", "b", "mu", 0, [0, 0.5, 1], [2.0, 4.5, 1.0], [1, 1, 1], 0, 1, "", "")
    assert row.apart == 3


def test_in_lambda_nothing_falls_apart() -> None:
    """What the notebook says of the shipped lines."""
    apart = {(r.a, r.space): r.apart for r in lines.shipped()}
    for a in ("pebble", "cloth", "flower"):
        assert apart[a, "lambda"] < 1.1 < apart[a, "gram"] < apart[a, "collage"]
        assert apart[a, "lambda"] < apart[a, "mu"]


def test_by_transport_every_image_is_one_texture() -> None:
    """What the notebook says of the shipped lines: by both judges, where the straight line falls into parts."""
    worst = {(r.a, r.space): max(r.heterogeneity) for r in lines.shipped()}
    apart = {(r.a, r.space): r.apart for r in lines.shipped()}
    for a in ("pebble", "cloth", "flower"):
        assert worst[a, "transport"] < 1 < worst[a, "mu"] < worst[a, "collage"]
        assert apart[a, "transport"] < 1.05 < apart[a, "mu"]


def test_an_unknown_space_is_told() -> None:
    with pytest.raises(TextureError, match="'nu'; known are transport, mu, lambda, gram, pixels, collage"):
        lines.images_of(XA, XB, "nu")


def test_what_comes_with_the_library_is_what_its_table_says(quarters: lines.Quarters) -> None:
    rows = lines.shipped()
    assert {(f"{r.a}-{r.b}", r.space) for r in rows} == {(p, s) for p in lines.PAIRS for s in lines.SPACES}
    for r in rows:
        images = lines.pictures(r)
        assert images.shape == (lines.STEPS + 1, 3, 128, 128)
        if (r.a, r.b) == ("cloth", "marble"):
            way, uneven = lines.judged(images, XA, XB, quarters)
            assert way.position.tolist() == pytest.approx(r.position, abs=0.02)
            assert uneven.tolist() == pytest.approx(r.unevenness, rel=0.05)
            assert path.heterogeneity(images).tolist() == pytest.approx(r.heterogeneity, abs=0.02)
            assert way.backward == pytest.approx(r.backward, abs=0.02)


def test_a_run_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for said in ("cloth to marble, pixels\n", ""):
        lines.compare(tmp_path, ["cloth-marble"], ["pixels"])
        assert capsys.readouterr().err == said
    (row,) = lines.shipped(tmp_path)
    assert (lines.pictures(row, tmp_path)[0] - XA).square().mean().sqrt() < 0.03  # but for the JPEG
    (tmp_path / row.picture).write_bytes(b"another")
    with pytest.raises(TextureError, match="not the picture"):
        lines.pictures(row, tmp_path)
