"""One line that says where a run is: which notebook, which cell, how long so far, and how long still."""

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

EVERY = 15.0  # seconds between lines where there is no terminal to redraw


class Progress:
    """Redraws one line on a terminal; prints a line now and then elsewhere.

    Args:
        expected: (name, seconds) of each notebook in order; None for a time nobody knows. They may be another
            machine's: what is still to come is told at the pace of what is done.
    """

    def __init__(self, expected: Sequence[tuple[str, float | None]], console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.expected = dict(expected)
        self.name = ""
        self.where = ""
        self.foreseen = self.took = 0.0  # of those that ran to their end, seconds expected and seconds taken
        self.begun = time.monotonic()
        self.started = self.begun
        self.printed = self.begun
        self.live = Live(
            get_renderable=self._line, console=self.console, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> "Progress":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self.name = ""
            self.live.stop()

    def start(self, name: str) -> None:
        """A notebook begins."""
        self.name, self.where, self.started = name, "starting", time.monotonic()
        self._print()

    def cell(self, number: int, of: int) -> None:
        """A cell begins."""
        self.where = f"cell {number} of {of}"
        if time.monotonic() - self.printed > EVERY:
            self._print()

    def finish(self, name: str, status: str, seconds: float) -> None:
        """A notebook is done with, one way or another."""
        self.name = ""
        foreseen = self.expected.pop(name, None)
        if foreseen and status == "done":
            self.foreseen, self.took = self.foreseen + foreseen, self.took + seconds
        took = "" if status == "reused" else f", {clock(seconds)}"
        self.say(f"{name}: {status}{took}")

    def say(self, text: str) -> None:
        """Something to keep on the screen."""
        self.console.print(Text(text))

    def left(self) -> float | None:
        """Seconds still to come, as far as anybody knows; None when some notebook has never been timed."""
        if any(seconds is None for seconds in self.expected.values()):
            return None
        pace = self.took / self.foreseen if self.foreseen else 1.0
        spent = time.monotonic() - self.started if self.name else 0.0
        current = pace * (self.expected.get(self.name) or 0.0)
        return pace * sum(filter(None, self.expected.values())) - min(spent, current)

    def _line(self) -> Text:
        if not self.name:
            return Text("")
        now, left = time.monotonic(), self.left()
        still = "" if left is None else f", about {clock(left)} left"
        took, in_all = clock(now - self.started), clock(now - self.begun)
        return Text(f"{self.name}: {self.where}, {took} (in all {in_all}{still})")

    def _print(self) -> None:
        if not self.console.is_terminal:
            self.printed = time.monotonic()
            self.console.print(self._line())


def clock(seconds: float) -> str:
    """1:05, or 1:01:05."""
    whole = round(seconds)
    minutes = f"{whole // 60 % 60:02d}" if whole >= 3600 else f"{whole // 60}"
    return f"{whole // 3600}:{minutes}:{whole % 60:02d}" if whole >= 3600 else f"{minutes}:{whole % 60:02d}"
