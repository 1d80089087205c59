"""What the panels of a notebook share: a thread that draws while the controls stay alive.

It takes one record of a sampler at a time, so that "Stop" is heard between two.
"""

import threading
from collections.abc import Callable, Iterator
from html import escape

import ipywidgets as widgets

from lib.samplers.step import Step


class Drawing(widgets.VBox):
    """Buttons that start and stop a thread, a bar, and words under the picture."""

    def __init__(self, label: str) -> None:
        """`label` stands on the button that starts; what it does is the panel's own."""
        self.thread: threading.Thread | None = None
        self.stopping = threading.Event()
        wide = {"width": "auto"}  # as wide as its words
        self.start = widgets.Button(description=label, button_style="primary", icon="play", layout=wide)
        self.halt = widgets.Button(description="Stop", icon="stop", disabled=True, layout=wide)
        self.bar = widgets.IntProgress(layout={"visibility": "hidden"})
        self.words = widgets.HTML()
        self.halt.on_click(lambda _: self.stop())
        super().__init__()

    def stop(self) -> None:
        """End the drawing after its current step; nothing is kept of it."""
        self.stopping.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Until the drawing has ended, for at most so long; whether it has."""
        if self.thread is not None:
            self.thread.join(seconds)
        return not self.drawing

    @property
    def drawing(self) -> bool:
        """Whether the thread is at work."""
        return self.thread is not None and self.thread.is_alive()

    def begin(self, work: Callable[[], None]) -> None:
        """Do it in the thread, which must not be at work."""
        self.stopping.clear()
        self.busy(True)
        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()

    def follow(self, records: Iterator[Step], show: Callable[[Step], None]) -> Step | None:
        """Show one record after another until they end or "Stop" is pressed; returns the last one shown."""
        record = None
        for record in records:
            self.bar.max, self.bar.value = record.steps, record.step
            show(record)
            if self.stopping.is_set():
                break
        return record

    def say(self, text: str) -> None:
        """Put it under the picture, where a screen reader hears of it."""
        self.words.value = f'<span role="status">{escape(text)}</span>'

    def busy(self, busy: bool) -> None:
        """Which of the buttons can be pressed, and whether the bar is seen."""
        self.start.disabled, self.halt.disabled = busy, not busy
        self.bar.layout.visibility = "visible" if busy else "hidden"
