"""torch.compile for the loss: static shapes, and around a fault of a C++ compiler."""

from collections.abc import Callable
from typing import Any

import torch

# With -O3, g++ 12 makes nonsense of how tiles of bfloat16 are transposed in registers of 512 bits (its vectoriser of
# straight code): gradients are no numbers, or worse. Registers of half the width are left alone; a GPU does not mind.
NARROW: dict[str, str | int | bool | Callable[..., Any]] = {"cpp.simdlen": 256}


def in_machine_code(function: Callable[..., Any], half: bool) -> Callable[..., Any]:
    """The same function, compiled when it is first called; `half`: it computes in bfloat16."""
    found: Callable[..., Any] = torch.compile(function, dynamic=False, options=NARROW if half else None)
    return found
