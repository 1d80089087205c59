"""Groups of statistics left out of matching, against what must follow of it."""

import json
from pathlib import Path

import pytest
import torch

from lib.errors import TextureError
from lib.evaluation import unmatched
from lib.evaluation.features import Features
from lib.evaluation.protocol import Protocol
from lib.model import Model
from lib.samplers.match import Targets, mismatch
from lib.statistics.architecture import DEEP, HUES
from lib.training.checkpoint import load

COLOURS = Features("mean colours", 3, "0" * 64, False, lambda images: images.double().mean((2, 3)))


@pytest.fixture(scope="module")
def model() -> Model:
    return load("waves")


def test_the_parts_are_all_of_f_once_and_nothing(model: Model) -> None:
    nothing, *rest = unmatched.parts(model).items()
    assert nothing == (unmatched.NONE, slice(0, 0))
    assert rest[0][0] == unmatched.BUILT_IN
    assert [part.stop for _, part in rest] == [*(part.start for _, part in rest[1:]), model.dim]


def test_what_blocks_are_given_is_one_part() -> None:
    parts = unmatched.parts(Model(DEEP))
    before = parts["U-Net at 1/2 before its blocks"]
    assert before.stop - before.start == DEEP.early
    assert list(parts.values())[-1].start == before.stop


def test_hues_of_all_octaves_are_one_part() -> None:
    name, hues = list(unmatched.parts(Model(HUES)).items())[-1]
    assert (name, hues) == ("hues", slice(HUES.dim - 24, HUES.dim))


def test_parts_are_chosen_by_name(model: Model) -> None:
    parts = unmatched.parts(model)
    assert unmatched.chosen(parts, None) == parts
    assert list(unmatched.chosen(parts, ["waves at 1/4", unmatched.NONE])) == [unmatched.NONE, "waves at 1/4"]
    with pytest.raises(TextureError, match=r"no statistics 'hues'; what may be left out: none, built in, waves at 1/1"):
        unmatched.chosen(parts, ["hues"])


def test_without_nothing_is_the_model_itself(model: Model) -> None:
    basis = unmatched.without(model, slice(0, 0)).whitening
    torch.testing.assert_close(basis @ basis, model.whitening @ model.whitening, rtol=1e-3, atol=1e-3)


def test_what_is_left_out_does_not_count_and_the_rest_is_whitened_by_itself(model: Model) -> None:
    """The rest keeps its covariance: its basis is the inverse root of that, which a block of the whole's is not."""
    part = unmatched.parts(model)["waves at 1/4"]
    basis = unmatched.without(model, part).whitening.double()
    assert not basis[part].any()
    assert not basis[:, part].any()
    kept = torch.ones(model.dim, dtype=torch.bool)
    kept[part] = False
    covariance = torch.linalg.inv(model.whitening.double() @ model.whitening.double())[kept][:, kept]
    white = basis[kept][:, kept] @ covariance @ basis[kept][:, kept]
    torch.testing.assert_close(white, torch.eye(int(kept.sum())).double(), rtol=0, atol=1e-3)


def test_an_image_is_as_near_however_far_its_unmatched_statistics_are(model: Model) -> None:
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    targets, part = Targets.of(model, x), unmatched.parts(model)["waves at 1/4"]
    moved = Targets(targets.mu.clone(), targets.spread, targets.gaussian)
    moved.mu[:, part] += 5
    measure, y = unmatched.without(model, part), x.flip(-1)
    with torch.no_grad():
        assert mismatch(measure, targets, y) == mismatch(measure, moved, y)
        assert mismatch(model, targets, y) != mismatch(model, moved, y)


def test_samples_stand_in_the_order_of_the_tables(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of each source, then the second of each."""
    monkeypatch.setattr(unmatched, "match", lambda measure, *a: torch.stack([a[0] * 0 + 0.1 * k for k in range(a[1])]))
    made = unmatched.samples(Protocol(16, 32), "cloth", unmatched.without(model, slice(0, 0)))
    assert made.shape == (16, 3, 32, 32)
    assert made[:8].eq(0).all()
    assert made[8:].eq(26).all()


def test_rows_are_made_once_and_their_pictures_are_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()

    def grey(protocol: Protocol, name: str, _: object) -> torch.Tensor:
        asked.append(name)
        generator = torch.Generator().manual_seed(len(asked))
        return torch.randint(256, (protocol.n, 3, protocol.side, protocol.side), generator=generator).byte()

    monkeypatch.setattr(unmatched, "samples", grey)
    monkeypatch.setattr(unmatched, "load_features", lambda _: COLOURS)
    for _ in range(2):
        unmatched.measure(tmp_path, ["cloth"], checkpoint="waves", side=32)
    rows = unmatched.shipped(tmp_path)
    assert [row.group for row in rows] == list(unmatched.parts(load("waves")))
    assert len(asked) == len(rows)
    assert sum(row.count for row in rows) == 512
    assert all(row.low <= row.frechet <= row.high for row in rows)
    assert all(unmatched.picture(row, tmp_path).shape == (3, 32, 32) for row in rows)
    with pytest.raises(TextureError, match="name another folder"):
        unmatched.measure(tmp_path, ["cloth"], checkpoint="small", side=32)
    (tmp_path / rows[0].picture).write_bytes(b"")
    with pytest.raises(TextureError, match="is not the picture"):
        unmatched.picture(rows[0], tmp_path)
    assert json.loads((tmp_path / unmatched.TABLE).read_text())[0]["exemplar"] == "cloth"
