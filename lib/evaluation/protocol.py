"""The protocol of Table 1: which crops are the truth, which are copied from, how many samples, which seeds.

The paper gives none. Here an exemplar of 512x512 pixels is cut in two. Models see the left half alone, as 8 tiles of
128x128 that do not overlap, and make n / 8 samples of each. The reference is n crops of the right half. The floor is n
crops of the left half in place of the samples: what a perfect model of the left half would score, which is not zero,
because n is small and because the halves of a photograph differ. Crops lie at the points of Roberts' R2 sequence,
which fill the half evenly for every n; they overlap.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.images import check_image, exemplar
from lib.models import synthesize

TILE = 128  # pixels between sources, and the largest samples
SOURCES = 8
LEAST = 16  # samples: fewer have a covariance of next to no rank
PLASTIC = 1.324717957244746  # x^3 = x + 1; the golden ratio of two dimensions


@dataclass(frozen=True)
class Protocol:
    """n samples a cell, `side` pixels a side, noise by `seed`; TextureError for an n or a side that will not do."""

    n: int
    side: int = TILE
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < LEAST or self.n % SOURCES:
            raise TextureError(f"{self.n} samples a cell; give a multiple of {SOURCES}, at least {LEAST}")
        if not 32 <= self.side <= TILE:
            raise TextureError(f"samples of {self.side} pixels a side; give 32 to {TILE}")

    def sources(self, name: str) -> Tensor:
        """The tiles of the left half that models are shown: [8,3,side,side] in [0,1]."""
        left = halves(exemplar(name))[0]
        corners = [(TILE * (k // 2), TILE * (k % 2)) for k in range(SOURCES)]
        return torch.stack([left[:, top : top + self.side, j : j + self.side] for top, j in corners])

    def crops(self, name: str) -> Tensor:
        """n crops of the left half, uint8 [n,3,side,side]: the floor's."""
        return even_crops(halves(exemplar(name))[0], self.side, self.n)

    def reference(self, name: str) -> Tensor:
        """n crops of the right half, uint8 [n,3,side,side]."""
        return even_crops(halves(exemplar(name))[1], self.side, self.n)

    def samples(self, name: str, model: str, **settings: Any) -> Tensor:
        """n samples of an exemplar by a model of lib.MODELS, uint8 [n,3,side,side], as `drawn` orders them."""
        return self.drawn(name, lambda x0, n, side, seed: synthesize(x0, model, n, side, seed, **settings))

    def drawn(self, name: str, make: Callable[[Tensor, int, int, int], Tensor]) -> Tensor:
        """n samples of an exemplar by make(x0, n, size, seed), uint8 [n,3,side,side].

        Sample 8 j + k is the j-th of source k, from (8 seed + k, j).
        """
        each = [
            make(source, self.n // SOURCES, self.side, SOURCES * self.seed + k)
            for k, source in enumerate(self.sources(name))
        ]
        return bytes_of(torch.stack(each, 1).flatten(0, 1))

    def __str__(self) -> str:
        side, per = f"{self.side}x{self.side}", self.n // SOURCES
        return (
            f"Every cell: {self.n} samples of {side} pixels, {per} from each of {SOURCES} tiles ({side}, {TILE} pixels "
            f"apart) of the exemplar's left half; tile k has seed {SOURCES * self.seed} + k. Reference: {self.n} crops "
            f"({side}) of the right half, at the points of the R2 sequence. Floor: {self.n} crops of the left half "
            f"against the same reference. Pixels are rounded to 8 bits. No model sees the right half."
        )


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """The left and right half of [3,H,W]."""
    x = check_image(x, "the exemplar")[0]
    middle = x.shape[-1] // 2
    return x[..., :middle], x[..., middle : 2 * middle]


def even_crops(x: Tensor, side: int, n: int) -> Tensor:
    """n crops of x [3,H,W] in [0,1], uint8 [n,3,side,side], evenly spread; the first of them do not depend on n."""
    height, width = (length - side + 1 for length in x.shape[-2:])
    if min(height, width) < 1:
        raise TextureError(f"no crop of {side} pixels a side fits into {x.shape[-2]}x{x.shape[-1]}; make it smaller")
    places = [((0.5 + k / PLASTIC) % 1, (0.5 + k / PLASTIC**2) % 1) for k in range(n)]
    corners = [(int(u * height), int(v * width)) for u, v in places]
    return bytes_of(torch.stack([x[:, top : top + side, j : j + side] for top, j in corners]))


def bytes_of(x: Tensor) -> Tensor:
    """[n,3,H,W] in [0,1] -> uint8, rounded."""
    return (255 * x.clamp(0, 1)).round().to(torch.uint8)
