"""What a sampler yields: one record a step. A notebook, a progress bar, a widget each show what they like of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.images import check_image

LARGEST = 4096  # pixels a side
AT_ONCE = 3 * 128**2  # pixels, of images that are looked at together: more are slower, and need their memory
APART = 50_000  # streams of noise from here on measure an exemplar: a sample must not share what it was measured with


@dataclass(frozen=True)
class Step:
    """`image` [n,3,H,W] so far; `loss`, the mismatch or noise left (see the sampler); `step` of `steps`, from 1."""

    image: Tensor
    loss: float
    step: int
    steps: int


def last(steps: Iterable[Step]) -> Tensor:
    """Run a sampler to its end and return the final image [n,3,H,W]."""
    record = None
    for record in steps:  # noqa: B007
        pass
    if record is None:
        raise TextureError("the sampler made no step; ask for at least one")
    return record.image


def cut(steps: Iterable[Step], height: int, width: int, margin: int = 0) -> Iterator[Step]:
    """The records, of their images only height x width pixels, `margin` pixels from the top and the left."""
    for record in steps:
        yield replace(record, image=record.image[..., margin : margin + height, margin : margin + width])


def white_noise(n: int, height: int, width: int, seed: int, stream: int = 0) -> Tensor:
    """Standard normal noise [n,3,H,W]; image i is a function of (seed, i, stream) alone."""
    images = []
    for i in range(n):
        generator = torch.Generator().manual_seed(((seed * 1_000_003 + i) * 100_003 + stream) % 2**63)
        images.append(torch.randn(3, height, width, generator=generator))
    return torch.stack(images)


def at_once(x: Tensor) -> int:
    """How many images of the size of x [B,3,H,W] are looked at together."""
    return max(1, AT_ONCE // (x.shape[-2] * x.shape[-1]))


def checked_common(x0: Tensor, n: int, size: int | tuple[int, int] | None, seed: int) -> tuple[Tensor, tuple[int, int]]:
    """What every texture model is asked: x0 as [1,3,H,W], and the texture's (height, width).

    Raises TextureError for an x0 that is no image in [0,1] of at least 32x32, or a size, n or seed out of range.
    """
    x0 = check_image(x0, "x0")
    checked_count("n", n), checked_count("seed", seed, 0)
    return x0, checked_size(size, x0)


def checked_size(size: int | tuple[int, int] | None, x0: Tensor) -> tuple[int, int]:
    """(height, width) from what a user may give: None (the exemplar's own), one number, or two."""
    if size is None:
        return x0.shape[-2], x0.shape[-1]
    pair = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(pair) != 2 or not all(isinstance(s, int) and 32 <= s <= LARGEST for s in pair):
        raise TextureError(f"size {size!r} is not a number of pixels from 32 to {LARGEST}, or two: (height, width)")
    return pair


def checked_count(name: str, value: int, least: int = 1) -> int:
    """A whole number of at least `least`, or an error that names it."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise TextureError(f"{name} is {value!r}; give a whole number of at least {least}")
    return value


def checked_way(by: str, steps: int | None, ways: Mapping[str, tuple[int, int]]) -> int:
    """The number of steps of a way to draw, from what a user may give: `ways` has each one's usual number and least."""
    if by not in ways:
        raise TextureError(f"no way {by!r} to draw; known are {', '.join(ways)}")
    usual, least = ways[by]
    return checked_count("steps", usual if steps is None else steps, least)
