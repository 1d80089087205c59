"""What happens whole or not at all: files, whatever becomes of the disk, and steps that Ctrl-C must not cut in two."""

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a draft beside `path`, in folders made for it, then rename the draft.

    Raises:
        OSError: as `write` did, but naming `path`: nobody has heard of the draft.
    """
    draft: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        draft = Path(name)
        write(draft)
        draft.chmod(0o644)
        draft.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        if draft:
            draft.unlink(missing_ok=True)  # there is one only if something went wrong


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until what is inside is done; it only ever reaches the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting = list[bool]()
    before = signal.signal(signal.SIGINT, lambda *_: waiting.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if waiting:
        signal.raise_signal(signal.SIGINT)
