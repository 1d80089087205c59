"""Loops over pixels, compiled by Numba as they stand: the mathematics is read where it runs.

Machine code is kept in __pycache__ beside the file, in the user's cache where that may not be written, or where
NUMBA_CACHE_DIR says: of all processes and workers the first compiles. What is kept goes when the file changes, but not
when another does: a compiled function neither calls those of other files nor reads their constants.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function as machine code, which other threads need not wait for."""
    try:
        return cast(Function, njit(function, cache=True, nogil=True))
    except RuntimeError:  # no folder may be written, not even the user's: this process compiles for itself
        return cast(Function, njit(function, nogil=True))
