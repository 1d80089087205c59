"""The Fréchet distance of two sets of features (Heusel et al. 2017), as if both were Gaussian, and how sure it is.

    d^2 = |m_x - m_y|^2 + tr C_x + tr C_y - 2 tr (C_x C_y)^(1/2)

With X and Y the centred features over the root of n - 1, C_x C_y = X'X Y'Y has the eigenvalues of (X Y')(X Y')', so

    tr (C_x C_y)^(1/2) = the sum of the singular values of X Y'  [n,n],

exactly, and without a matrix root of [d,d], which for n < d is singular. It is the number of torch-fidelity (and of
every FID) to rounding; those who take a root of the product, or its eigenvalues, lose digits where it is singular.

The estimate is biased upwards, by an amount that falls as n grows and depends on the distribution (Chong & Forsyth
2020): only sets of equal n are compared, beside a floor, two halves of one texture at that n.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.errors import TextureError

RESAMPLES = 200
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its interval."""

    value: float
    low: float
    high: float

    def below(self, other: "Interval") -> bool:
        """Whether the two do not overlap and this one is the smaller."""
        return self.high < other.low


def frechet(x: Tensor, y: Tensor) -> float:
    """The distance d^2 of features x [n,d] and y [m,d]; TextureError for fewer than two of either."""
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise TextureError(f"features {list(x.shape)} and {list(y.shape)} cannot be compared; give [n,d], n > 1")
    x, y = x.double(), y.double()
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = (x - mean_x) / math.sqrt(len(x) - 1), (y - mean_y) / math.sqrt(len(y) - 1)
    shared = torch.linalg.svdvals(_product(x, y)).sum()
    distance = (mean_x - mean_y).square().sum() + x.square().sum() + y.square().sum() - 2 * shared
    return distance.clamp_min(0).item()  # rounding, where the sets are the same


def _product(x: Tensor, y: Tensor) -> Tensor:
    """X Y', or something smaller with the same singular values where n > d."""
    if min(len(x), len(y)) > x.shape[1]:
        x, y = (torch.linalg.qr(z, mode="r").R for z in (x, y))
    return x @ y.T


def bootstrap(x: Tensor, y: Tensor, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """The distance and its 95% interval, both sets drawn again with replacement.

    A resample repeats some samples and lacks others, as a smaller set would, so its distance is too large; the spread
    of the resamples is kept, and laid about the estimate. The same `seed` draws the same rows, so methods that are
    compared to one reference see the same of it. Crops that overlap are taken for independent, which they are not: the
    interval is for this photograph, not for all of its kind.
    """
    value, generator = frechet(x, y), torch.Generator().manual_seed(seed)

    def drawn(z: Tensor) -> Tensor:
        return z[torch.randint(len(z), (len(z),), generator=generator)]

    found = torch.tensor([frechet(drawn(x), drawn(y)) for _ in range(resamples)], dtype=torch.float64)
    tail = (1 - LEVEL) / 2
    low, high = (found - found.mean()).quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return Interval(value, max(value + low, 0.0), value + high)


def floor(x: Tensor, y: Tensor, counts: Sequence[int]) -> dict[int, float]:
    """The distance of the first n of two sets [N,d] of one distribution, for each n of `counts`."""
    for n in counts:
        if not 2 <= n <= min(len(x), len(y)):
            raise TextureError(f"a floor at {n} needs that many in both sets, and they have {len(x)} and {len(y)}")
    return {n: frechet(x[:n], y[:n]) for n in counts}
