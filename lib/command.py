"""Commands of a module of its own, `python -m lib.evaluation.table`: what goes wrong is said in one line."""

import sys
from collections.abc import Callable
from typing import Any

import typer

from lib.errors import TextureError


def run(command: Callable[..., Any]) -> None:
    """Read the command line and call `command`; its errors and Ctrl-C end in a line and a status that is not 0."""
    try:
        typer.run(command)
    except TextureError as error:
        sys.exit(f"error: {error}")
    except OSError as error:  # no space left, a folder that may not be written, a disk that fails
        sys.exit(f"error: {error.filename or 'a file'}: {error.strerror or error}; mend that, and call it again")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command finishes it")
