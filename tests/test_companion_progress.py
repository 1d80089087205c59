"""The time left that the runner tells."""

import io

import pytest
from rich.console import Console

from lib.companion import progress
from lib.companion.progress import Progress


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, for the test to set."""
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    return clock


def of(*expected: tuple[str, float | None]) -> Progress:
    return Progress(expected, Console(file=io.StringIO()))


def test_what_is_to_come_is_told_at_the_pace_of_what_is_done(now: list[float]) -> None:
    """On a machine that is twice as fast as the one of the times that are known."""
    run = of(("a", 40.0), ("b", 0.0), ("c", 60.0), ("d", 200.0))
    assert run.left() == 300
    run.start("a")
    now[0] += 10
    assert run.left() == 290
    now[0] += 10
    run.finish("a", "done", 20.0)
    assert run.left() == 130
    run.finish("b", "reused", 55.0)  # what it took long ago says nothing
    assert run.left() == 130
    run.start("c")
    now[0] += 10
    assert run.left() == 120
    now[0] += 50  # longer than it should take
    assert run.left() == 100
    run.finish("c", "failed", 60.0)  # no more does a notebook that did not come to its end
    assert run.left() == 100


@pytest.mark.usefixtures("now")
def test_where_a_time_is_unknown_none_is_told_until_it_is_over() -> None:
    run = of(("a", None), ("b", 60.0))
    assert run.left() is None
    run.start("a")
    run.finish("a", "done", 20.0)
    assert run.left() == 60
