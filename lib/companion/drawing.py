"""What the panels of a notebook share: a thread that draws while the controls stay alive, and how pictures are kept.

It takes one record of a sampler at a time, so that "Stop" is heard between two; what is stopped is not kept.
"""

import json
import threading
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from torch import Tensor

from lib.images import save_image
from lib.samplers.step import Step


class Drawing(widgets.VBox):
    """Buttons that start and stop a thread, a bar, and words under the picture."""

    def __init__(self, label: str) -> None:
        """`label` stands on the button that starts; what it does is the panel's own."""
        self.thread: threading.Thread | None = None
        self.running: object = None  # what is being drawn
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

    def begin(self, asked: object, work: Callable[[], Step | None], keep: Callable[[Step], None]) -> None:
        """Draw what is asked in the thread, and keep the last record, which `work` returns; one drawing at a time."""
        if self.drawing:
            return
        self.running = asked
        self.stopping.clear()
        self.busy(True)
        self.thread = threading.Thread(target=self._run, args=(work, keep), daemon=True)
        self.thread.start()

    def _run(self, work: Callable[[], Step | None], keep: Callable[[Step], None]) -> None:
        said = ""
        try:
            record = work()
            if record is not None and self.stopping.is_set():
                said = f"stopped at step {record.step} of {record.steps}"
            elif record is not None:
                keep(record)
        except Exception as error:  # in a thread nobody else would hear of it
            said = f"this cannot be drawn: {error}"
        self.running = None
        self.busy(False)
        self._show()
        if said:
            self.say(said)

    def _show(self, _: object = None) -> None:
        """Bring the panel up to what its controls say."""
        raise NotImplementedError

    def follow(self, records: Iterator[Step], show: Callable[[Step], None]) -> Step | None:
        """Show one record after another until they end or "Stop" is pressed; returns the last one shown."""
        record = None
        for record in records:
            self.bar.max, self.bar.value = record.steps, record.step
            show(record)
            if self.stopping.is_set():
                break
        return record

    def write(self, picture: Tensor, path: Path, settings: dict[str, Any]) -> Path:
        """Save a picture [1,3,H,W] as .png and its settings beside it as .json, and say so; returns the path."""
        path = save_image(picture, path)
        path.with_suffix(".json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
        self.say(f"saved {path} and its settings")
        return path

    def say(self, text: str) -> None:
        """Put it under the picture, where a screen reader hears of it."""
        self.words.value = f'<span role="status">{escape(text)}</span>'

    def busy(self, busy: bool) -> None:
        """Which of the buttons can be pressed, and whether the bar is seen."""
        self.start.disabled, self.halt.disabled = busy, not busy
        self.bar.layout.visibility = "visible" if busy else "hidden"
