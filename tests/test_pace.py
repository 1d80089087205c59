"""Curves of distance against seconds: steps looked at on the way, means, and where a curve crosses another's level."""

import json
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from lib.errors import TextureError
from lib.evaluation import pace
from lib.evaluation.features import Features
from lib.evaluation.pace import Row, means, paced, runs, soonest
from lib.evaluation.protocol import Protocol
from lib.models import synthesize
from lib.samplers.step import Step

COLOURS = Features("mean colours", 3, "0" * 64, False, lambda images: images.double().mean((2, 3)))


def test_the_kth_iterate_is_what_k_iterations_give() -> None:
    """What lets one run stand for all shorter ones."""
    protocol = Protocol(16, 32)
    found = paced(protocol, "marble", "gatys", (1, 3), iterations=3, backbone="untrained")
    x0 = protocol.sources("marble")[2]
    for k in (1, 3):
        alone = synthesize(x0, "gatys", 2, 32, 2, iterations=k, backbone="untrained")
        assert torch.equal(found[k][0][2::8], (255 * alone).round().byte())
    assert 0 < found[1][1] < found[3][1]


def test_samples_are_those_of_the_table() -> None:
    protocol = Protocol(16, 32)
    found = paced(protocol, "cloth", "gatys", (2,), iterations=2, backbone="untrained")
    assert torch.equal(found[2][0], protocol.samples("cloth", "gatys", iterations=2, backbone="untrained"))


def test_diffusion_is_run_anew_for_each_number_of_levels() -> None:
    assert [asked for _, asked in runs("diffusion")] == [{"levels": k} for k in pace.LEVELS["diffusion"]]
    ((at, asked),) = runs("gatys")
    assert asked == {"iterations": at[-1]}


def test_means_are_geometric_over_the_floor() -> None:
    rows = [Row("m", e, k, 16, s, d, 2.0, 32, {}) for e, k, s, d in
            (("a", 5, 1.0, 8.0), ("b", 5, 3.0, 2.0), ("a", 9, 4.0, 2.0), ("b", 9, 6.0, 2.0))]  # fmt: skip
    (five, nine) = means(rows[::-1], "m")
    assert five == (5, 2.0, pytest.approx(2.0))
    assert nine == (9, 5.0, pytest.approx(1.0))
    assert means(rows, "other") == []
    with pytest.raises(TextureError, match=r"rows of m are of 32 pixels a side, .* and of 64 pixels"):
        means([*rows, Row("m", "a", 5, 16, 1.0, 8.0, 2.0, 64, {})], "m")


def test_where_a_power_law_comes_down_to_a_level() -> None:
    curve = [(k, float(k), 32 / k) for k in (1, 4, 16)]
    assert soonest(curve, 4.0) == pytest.approx(8.0)
    assert soonest(curve, 100.0) == 1.0
    assert soonest(curve, 1.0) is None


def test_a_run_that_is_repeated_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def steps(x0: torch.Tensor, model: str, n: int, side: int, seed: int, **settings: int) -> Iterator[Step]:
        asked.append((model, settings))
        for k in range(1, 4):
            yield Step(x0[None].expand(n, -1, -1, -1) * (1 - 0.5 / k), 0.0, k, 3)

    monkeypatch.setattr(pace, "load_features", lambda source: COLOURS)
    monkeypatch.setattr(pace, "synthesize_steps", steps)
    monkeypatch.setattr(pace, "SEARCHED", {"matching": (1, 3)})
    monkeypatch.setattr(pace, "LEVELS", {"diffusion": (3,)})
    pace.measure(tmp_path, ["matching"], ["cloth"], side=32, settings=["levels=9"])
    assert asked == [("matching", {"iterations": 3})] * 8
    pace.measure(tmp_path, exemplar=["cloth"], side=32)
    assert asked[8:] == [("diffusion", {"levels": 3})] * 8
    rows = pace.shipped(tmp_path)
    assert [(row.model, row.steps) for row in rows] == [("matching", 1), ("matching", 3), ("diffusion", 3)]
    assert rows[0].frechet > rows[1].frechet == rows[2].frechet
    assert {row.floor for row in rows} == {rows[0].floor}
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_other_settings_are_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "load_features", lambda source: COLOURS)
    monkeypatch.setattr(pace, "SEARCHED", {"gatys": (1,)})
    monkeypatch.setattr(pace, "LEVELS", {})
    twice = lambda x0, *_, **__: iter([Step(torch.stack([x0, x0]), 0.0, 1, 1)])  # noqa: E731
    monkeypatch.setattr(pace, "synthesize_steps", twice)
    for network in ("untrained", "squeezenet1_0", "untrained"):
        pace.measure(tmp_path, exemplar=["cloth"], side=32, settings=[f"backbone={network}"])
    assert [row.settings["backbone"] for row in pace.shipped(tmp_path)] == ["untrained", "squeezenet1_0"]


def test_bad_input_is_told(tmp_path: Path) -> None:
    with pytest.raises(TextureError, match="no pace of 'noise'; there is that of matching, gatys, diffusion"):
        pace.measure(tmp_path, ["noise"])
    (tmp_path / pace.TABLE).write_text(json.dumps([{"model": "x"}]))
    with pytest.raises(TextureError, match=r"holds no pace\.json"):
        pace.shipped(tmp_path)


def test_what_comes_with_the_library_is_whole() -> None:
    """Each curve in full on each exemplar, seconds rising along it; the floor that of the exemplar alone."""
    rows = pace.shipped()
    exemplars = {row.exemplar for row in rows}
    assert len(exemplars) == 9
    wanted = {**pace.SEARCHED, **pace.LEVELS}
    for model, steps in wanted.items():
        for e in exemplars:
            of = sorted((row for row in rows if (row.model, row.exemplar) == (model, e)), key=lambda row: row.steps)
            assert [row.steps for row in of] == list(steps)
            assert all(a.seconds < b.seconds for a, b in pairwise(of))
    for e in exemplars:
        assert len({row.floor for row in rows if row.exemplar == e}) == 1
        assert math.isfinite(min(row.frechet for row in rows if row.exemplar == e))
