"""Seconds told from a start, gradients counted, exponents fitted, and one row made in a process of its own."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lib.errors import TextureError
from lib.evaluation import cost
from lib.evaluation import rows as rows_of
from lib.evaluation.cost import Cost, evaluations, exponent, watched
from lib.samplers.step import Step


def slow(steps: int, setup: float, each: float) -> Iterator[Step]:
    """A sampler of known cost: one gradient and `each` seconds a step, three gradients and `setup` seconds before."""
    x = torch.zeros(1, requires_grad=True)
    for k in range(steps):
        for _ in range(4 if k == 0 else 1):
            torch.autograd.grad((x**2).sum(), x)
        time.sleep(each + setup * (k == 0))
        yield Step(torch.zeros(1, 3, 8, 8), 0.0, k + 1, steps)


def test_a_whole_run_is_told_as_it_was() -> None:
    with evaluations() as count:
        row = watched(slow(4, 0.05, 0.01), 60.0, count)
    assert (row["evaluations"], row["steps_made"], row["steps"]) == (7, 4, 4)
    assert row["seconds"] >= 0.09


def test_a_run_cut_short_is_told_from_its_steps() -> None:
    with evaluations() as count:
        row = watched(slow(100, 0.2, 0.02), 0.1, count)
    assert row["steps_made"] == 3
    assert row["evaluations"] == 103  # exactly: three before, one a step
    assert 2.2 <= row["seconds"] < 6.0  # 0.2 + 100 x 0.02 of sleep, which may last longer and never less


def test_the_count_ends_with_its_block() -> None:
    before = torch.autograd.grad
    with evaluations() as count:
        pass
    list(slow(2, 0, 0))
    assert count == [0]
    assert torch.autograd.grad is before


def test_exponents_are_those_of_a_power_law() -> None:
    rows = [Cost("m", s, 3e-5 * (s * s) ** 0.8, 1, 1, 1, 1, 1, {}) for s in (64, 128, 256, 512)]
    rows[0] = Cost("m", 64, 100.0, 1, 1, 1, 1, 1, {})  # too small to be fitted
    assert exponent(rows, "m") == pytest.approx(0.8)
    with pytest.raises(TextureError, match="at 0 sizes"):
        exponent(rows, "other")


def test_a_row_is_made_once_and_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cost.measure(tmp_path, ["gaussian"], [64])
    before = (tmp_path / cost.TABLE).read_text()
    cost.measure(tmp_path, ["gaussian"], [64])
    assert (tmp_path / cost.TABLE).read_text() == before
    (row,) = cost.shipped(tmp_path)
    assert (row.model, row.size, row.evaluations) == ("gaussian", 64, 0)
    assert 0 < row.seconds < 60
    assert row.mebibytes > 50
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_row_of_other_settings_is_not_taken_for_what_is_asked(tmp_path: Path) -> None:
    rows_of.write(tmp_path / cost.TABLE, [Cost("gatys", 128, 9.0, 1, 1, 1, 1, 1, {"iterations": 3})])
    with pytest.raises(TextureError, match=r"cost\.json has gatys at 128 with .*3.*, not .*4.*; name another folder"):
        cost.measure(tmp_path, ["gatys"], [128], settings=["iterations=4"])
    cost.measure(tmp_path, ["gatys"], [128], settings=["iterations=3"])
    assert cost.shipped(tmp_path)[0].seconds == 9.0


def test_bad_input_is_told(tmp_path: Path) -> None:
    with pytest.raises(TextureError, match="no model 'glass'"):
        cost.measure(tmp_path, ["glass"])
    (tmp_path / cost.TABLE).write_text(json.dumps([{"model": "x"}]))
    with pytest.raises(TextureError, match=r"holds no cost\.json"):
        cost.shipped(tmp_path)


def test_what_comes_with_the_library_has_every_size_of_every_model() -> None:
    rows = cost.shipped()
    models = {row.model for row in rows}
    assert {"gatys", "matching", "diffusion", "portilla-simoncelli"} <= models
    assert {(row.model, row.size) for row in rows} == {(m, s) for m in models for s in cost.SIZES}
