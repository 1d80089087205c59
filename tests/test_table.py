"""Table 1: its protocol, that it goes on where it was, that nothing altered is counted, and its numbers recomputed."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.errors import TextureError
from lib.evaluation import protocol as protocols
from lib.evaluation import table as tables
from lib.evaluation.cells import cell, digest
from lib.evaluation.features import Features
from lib.evaluation.protocol import Protocol, even_crops, halves
from lib.evaluation.scores import FLOOR, scores
from lib.images import EXEMPLARS, exemplar
from lib.models import synthesize


def simple(images: Tensor) -> Tensor:
    """Twelve features anyone can recompute: means, deviations and slopes of three colours."""
    x = images.double() / 255
    right, down = x.diff(dim=3).abs().mean((2, 3)), x.diff(dim=2).abs().mean((2, 3))
    return torch.cat([x.mean((2, 3)), x.flatten(2).std(2), 3 * right, 3 * down], 1)


SIMPLE = Features("twelve simple ones", 12, "0" * 64, False, simple)
SMALL = Protocol(16, 48)


# --- protocol


@pytest.mark.parametrize(
    ("n", "side", "said"),
    [(8, 64, "8 samples"), (20, 64, "20 samples"), (0, 64, "0 samples"), (16, 31, "31 pixels"), (16, 129, "129")],
)
def test_too_few_samples_are_refused(n: int, side: int, said: str) -> None:
    with pytest.raises(TextureError, match=said):
        Protocol(n, side)


def test_sources_tile_the_left_half() -> None:
    left, _ = halves(exemplar("pebble"))
    tiles = Protocol(16).sources("pebble").unflatten(0, (4, 2))
    assert torch.equal(tiles.permute(2, 0, 3, 1, 4).reshape(3, 512, 256), left)


def test_the_reference_is_of_the_other_half_and_the_floor_of_this_one() -> None:
    x = torch.zeros(3, 64, 200)
    x[..., 100:] = 1
    left, right = halves(x)
    assert not even_crops(left, 48, 20).any()
    assert (even_crops(right, 48, 20) == 255).all()


def test_crops_are_evenly_spread_and_the_first_are_the_same_for_every_n() -> None:
    places = torch.stack(torch.meshgrid(torch.arange(200), torch.arange(200), indexing="ij")).float() / 199
    x = torch.cat([places, places[:1]])
    assert torch.equal(even_crops(x, 40, 64)[:16], even_crops(x, 40, 16))
    corners = even_crops(x, 40, 64)[:, :2, 0, 0].double() / 255 * 199 / 161  # in [0,1]
    assert torch.histc(corners[:, 0], 4, 0, 1).tolist() == pytest.approx([16] * 4, abs=3)
    assert torch.histc(corners[:, 1], 4, 0, 1).tolist() == pytest.approx([16] * 4, abs=3)
    with pytest.raises(TextureError, match="no crop of 64"):
        even_crops(x[:, :50], 64, 2)


def test_samples_are_made_of_each_source_with_seeds_of_their_own() -> None:
    protocol = Protocol(16, 32, seed=3)
    found = protocol.samples("grass", "gaussian")
    for k in (0, 5):
        made = synthesize(protocol.sources("grass")[k], "gaussian", n=2, size=32, seed=24 + k)
        assert torch.equal(found[k::8], (255 * made).round().byte())


# --- cells


def test_a_cell_is_made_once(tmp_path: Path) -> None:
    made = []

    def make() -> Tensor:
        made.append(1)
        return torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)

    first, again = (cell(tmp_path, "a", "rug", {"n": 4, "settings": {"k": (1, 2)}}, make) for _ in range(2))
    assert len(made) == 1
    assert torch.equal(first.images, again.images)
    assert again.sha256 == digest(first.images) == json.loads((tmp_path / "a" / "rug.json").read_text())["sha256"]
    (tmp_path / "a" / "rug.json").unlink()  # as an interruption leaves it
    cell(tmp_path, "a", "rug", {"n": 4}, make)
    assert len(made) == 2


def test_what_was_altered_or_made_otherwise_is_refused(tmp_path: Path) -> None:
    images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    cell(tmp_path, "a", "rug", {"n": 4}, lambda: images)
    with pytest.raises(TextureError, match="made with n 4, not 8"):
        cell(tmp_path, "a", "rug", {"n": 8}, lambda: images)
    np.save(tmp_path / "a" / "rug.npy", np.ones((4, 3, 8, 8), np.uint8))
    with pytest.raises(TextureError, match="not what was written"):
        cell(tmp_path, "a", "rug", {"n": 4}, lambda: images)
    (tmp_path / "a" / "rug.npy").write_bytes(b"")
    with pytest.raises(TextureError, match="not what was written"):
        cell(tmp_path, "a", "rug", {"n": 4}, lambda: images)


# --- scores


def test_crops_in_place_of_samples_score_at_the_floor_and_the_reference_at_zero() -> None:
    crops, reference = simple(SMALL.crops("cloth")), simple(SMALL.reference("cloth"))
    found = scores({"cheat": crops, "same": reference, "flat": 0 * crops}, crops, reference, resamples=50)
    assert found["cheat"].frechet == found[FLOOR].frechet
    assert found["cheat"].kernel == found[FLOOR].kernel
    assert found["same"].frechet.value < 1e-12 < found[FLOOR].frechet.value
    assert found["flat"].frechet.low > found[FLOOR].frechet.high


def test_one_texture_in_two_halves_scores_at_the_floor_of_independent_samples() -> None:
    """Samples of the very density that the reference is of: the kernel distance is zero within its error."""
    draws = synthesize(exemplar("grass")[:, :48, :48], "gaussian", n=48, size=32, seed=1)
    a, b, c = simple((255 * draws).round().byte()).split(16)
    found = scores({"true": a}, b, c, resamples=50)
    assert abs(found["true"].kernel) < 3 * found["true"].kernel_error
    assert 0.3 < found["true"].frechet.value / found[FLOOR].frechet.value < 3


def test_only_what_separates_is_best() -> None:
    z = torch.randn(3, 40, 4, generator=torch.Generator().manual_seed(0))
    found = scores({"near": z[0] + 0.5, "far": z[1] + 5}, z[2], z[2], resamples=50)
    assert found["near"].best
    assert not found["far"].best
    close = scores({"near": z[0] + 0.5, "also": z[1] + 0.5}, z[2], z[2], resamples=50)
    assert not any(score.best for score in close.values())
    assert not scores({"alone": z[0]}, z[1], z[2], resamples=50)["alone"].best


def test_unequal_sets_are_refused() -> None:
    z = torch.randn(20, 4)
    with pytest.raises(TextureError, match="a has 16 samples and the reference 20"):
        scores({"a": z[:16]}, z, z)
    with pytest.raises(TextureError, match="floor has 16"):
        scores({"a": z}, z[:16], z)


# --- the table


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of two methods that take no time, on two exemplars."""
    monkeypatch.setattr(tables, "load_features", lambda source: SIMPLE)
    tables.table(tmp_path, 16, ["gaussian", "noise"], ["cloth", "rubber"], side=32)
    return tmp_path


def test_its_numbers_are_those_of_an_independent_script(made: Path) -> None:
    rows = list(csv.DictReader((made / "table.csv").open()))
    assert [(r["exemplar"], r["row"]) for r in rows] == [
        (e, r) for e in ("cloth", "rubber") for r in ("gaussian", "noise", "floor")
    ]
    for row in rows:
        x, y = (np.load(made / name / f"{row['exemplar']}.npy") for name in (row["row"], "reference"))
        assert x.shape == y.shape == (16, 3, 32, 32)
        assert x.dtype == np.uint8
        assert hashlib.sha256(b"[16, 3, 32, 32]" + x.tobytes()).hexdigest() == row["samples_sha256"]
        f, g = (simple(torch.from_numpy(z)).numpy() for z in (x, y))
        cf, cg = np.cov(f, rowvar=False), np.cov(g, rowvar=False)
        d = ((f.mean(0) - g.mean(0)) ** 2).sum() + np.trace(cf + cg - 2 * scipy.linalg.sqrtm(cf @ cg).real)
        assert float(row["frechet"]) == pytest.approx(d, rel=1e-3)
        assert float(row["low"]) <= float(row["frechet"]) <= float(row["high"])
        k = [[(p @ q / 12 + 1) ** 3 for q in np.r_[f, g]] for p in np.r_[f, g]]
        k = np.array(k) - np.diag(np.diag(k))
        mmd = (k[:16, :16].sum() + k[16:, 16:].sum()) / 240 - 2 * ((f @ g.T / 12 + 1) ** 3).mean()
        assert float(row["kernel"]) == pytest.approx(mmd, rel=1e-3, abs=1e-9)


def test_it_goes_on_where_it_was(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (made / "table.csv").read_text(), (made / "table.md").read_text()

    def never(*arguments: object, **settings: object) -> Tensor:
        raise AssertionError("made again")

    monkeypatch.setattr(protocols, "synthesize", never)
    tables.table(made, 16, ["gaussian", "noise"], ["cloth", "rubber"], side=32)
    assert ((made / "table.csv").read_text(), (made / "table.md").read_text()) == before
    with pytest.raises(TextureError, match="made with n 16, not 24"):
        tables.table(made, 24, ["noise"], ["cloth"], side=32)
    with pytest.raises(TextureError, match="made with seed 0, not 1"):
        tables.table(made, 16, ["noise"], ["cloth"], side=32, seed=1)


def test_it_says_what_it_is(made: Path) -> None:
    text = (made / "table.md").read_text()
    assert text.startswith("# Fréchet distance, twelve simple ones\n")
    assert "reduced table: 16 samples" in text
    assert "This is not FID" in text
    assert "right half" in text
    for row in csv.DictReader((made / "table.csv").open()):
        assert row["samples_sha256"][:12] in text
        assert f"{float(row['frechet']):.2f}" in text


def test_the_papers_numbers_are_beside_ours(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.zeros(16, 3, 32, 32, dtype=torch.uint8)
    monkeypatch.setattr(Protocol, "samples", lambda self, *arguments, **settings: images)
    tables.table(made, 16, ["gatys", "diffusion", "gaussian"], list(EXEMPLARS), side=32)
    text = (made / "table.md").read_text()
    assert "| *gatys, the paper* | *175.03* | *169.35* |" in text
    assert text.index("\n| gatys |") < text.index("*gatys, the paper*") < text.index("\n| diffusion |")


def test_a_model_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(TextureError, match="no model 'texture'"):
        tables.table(tmp_path, 16, ["texture"])


def test_blurred_crops_are_further_than_crops() -> None:
    crops, reference = SMALL.crops("grass"), simple(SMALL.reference("grass"))
    blurred = F.avg_pool2d(crops.float(), 3, 1, 1).byte()
    found = scores({"blurred": simple(blurred)}, simple(crops), reference, resamples=20)
    assert found["blurred"].frechet.value > 2 * found[FLOOR].frechet.value
    assert found["blurred"].kernel > found[FLOOR].kernel
