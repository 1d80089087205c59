"""Maximum entropy where nothing needs approximating: all images of a few pixels, listed or counted.

A `Space` is a finite set of images known by their statistics f. On it, Eq. 1 and 2 are sums:

    p_lam(x) = exp[-N lam.f(x)] / Z(lam)                      (Eq. 2; N pixels, as in lib.energy)
    grad log Z = -N E f,      Hessian log Z = N^2 Cov f       (so log Z is convex)
    D(lam) = log Z(lam) + N lam.mu                            (the dual of Eq. 1; grad D = N (mu - E f))
    H(p_lam) = D(lam) at the minimum, where E f = mu.

Images with equal statistics are equally likely, so it is enough to know each value of f and how many images
have it. `list_images` finds them one by one; `count_binary` counts them row by row (a transfer matrix), up
to a hundred pixels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.errors import TextureError

LARGEST = 2**20  # images in a list
TOLERANCE = 1e-10  # of E f - mu, at which Newton's iteration ends
ITERATIONS = 100


@dataclass(frozen=True)
class Space:
    """Finitely many images: the values of f [n,d], and how many images have each [n]; both float64."""

    f: Tensor
    count: Tensor
    pixels: int

    def log_partition(self, lam: Tensor) -> Tensor:
        """log Z(lam), lam [d]: a number."""
        return torch.logsumexp(self._log_weight(lam), 0)

    def probability(self, lam: Tensor) -> Tensor:
        """p_lam of all the images of each value together: [n], summing to 1."""
        return torch.softmax(self._log_weight(lam), 0)

    def moments(self, lam: Tensor) -> Tensor:
        """E f under p_lam: [d]."""
        return self.probability(lam) @ self.f

    def covariance(self, lam: Tensor) -> Tensor:
        """Cov f under p_lam: [d,d]."""
        p = self.probability(lam)
        u = self.f - p @ self.f
        return u.T @ (p[:, None] * u)

    def dual(self, lam: Tensor, mu: Tensor) -> Tensor:
        """D(lam) = log Z + N lam.mu, at least the entropy of every distribution with E f = mu: a number."""
        return self.log_partition(lam) + self.pixels * (lam @ mu)

    def entropy(self, p: Tensor) -> Tensor:
        """Entropy over images in nats, p [n] shared out evenly among those of equal statistics: a number."""
        return -torch.special.xlogy(p, p / self.count).sum()

    def _log_weight(self, lam: Tensor) -> Tensor:
        return self.count.log() - self.pixels * (self.f @ lam)


@dataclass(frozen=True)
class NewtonStep:
    """An iterate lam [d], the dual there, the largest |E f - mu|, and how much of the next step is taken."""

    lam: Tensor
    dual: float
    mismatch: float
    length: float


def newton(space: Space, mu: Tensor) -> Iterator[NewtonStep]:
    """Minimise the dual by Newton's method with backtracking from lam = 0, white noise: yields each iterate.

    Statistics may be redundant: of the steps that do the same, the shortest is taken.

    Raises:
        TextureError: mu lies outside the convex hull of f's values. (On its border lam would be infinite; it
            grows until E f is within TOLERANCE.)
    """
    lam = torch.zeros_like(mu)
    for _ in range(ITERATIONS):
        gradient = space.pixels * (mu - space.moments(lam))
        dual = space.dual(lam, mu)
        mismatch = float((gradient / space.pixels).abs().max())
        if mismatch < TOLERANCE:
            yield NewtonStep(lam, float(dual), mismatch, 0.0)
            return
        hessian = space.pixels**2 * space.covariance(lam)
        step = -torch.linalg.pinv(hessian, rtol=1e-12, hermitian=True) @ gradient
        slope, length = float(gradient @ step), 1.0
        rounding = 1e-13 * dual.abs()  # lets the final steps pass, whose gain is smaller
        while length > 1e-9 and space.dual(lam + length * step, mu) > dual + 1e-4 * length * slope + rounding:
            length /= 2  # Armijo's rule
        yield NewtonStep(lam, float(dual), mismatch, length)
        lam = lam + length * step
    target = [round(m, 4) for m in mu.tolist()]
    raise TextureError(f"no multipliers give E f = {target}; take mu inside the convex hull of f's values")


def solve(space: Space, mu: Tensor) -> Tensor:
    """lam [d] with E f = mu [d] under p_lam; errors as `newton`."""
    *_, last = newton(space, mu)
    return last.lam


def kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) in nats, for probabilities p, q [n]: a number, infinite where q is 0 and p is not."""
    return (torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum()


def same_moments(space: Space, p: Tensor, seed: int = 0) -> Tensor:
    """Another distribution [n] with the moments of p [n]: a random direction, as far as it goes.

    Adding v keeps them where sum v = 0 and v'f = 0; the longest step leaves one probability at zero.
    """
    generator = torch.Generator().manual_seed(seed)
    v = p * torch.randn(len(p), generator=generator, dtype=p.dtype)
    fixed = torch.cat([torch.ones(len(p), 1, dtype=p.dtype), space.f], 1)
    # least squares in the metric 1/p, so that rare images are moved in proportion
    root = p.sqrt()[:, None]
    coefficients = torch.linalg.lstsq(fixed * root, v[:, None] / root).solution
    v = v - p * (fixed @ coefficients)[:, 0]
    return (p - v / (v / p).max()).clamp_min(0)


def list_images(height: int, width: int, levels: int = 2) -> Tensor:
    """Every image whose pixels are 0, 1/(levels-1), ..., or 1: [levels^(HW),H,W], float64."""
    pixels = height * width
    if levels**pixels > LARGEST:
        raise TextureError(f"{levels}^{pixels} images are too many to list; stay below {LARGEST:,}")
    number = torch.arange(levels**pixels)
    digits = torch.stack([number // levels**k % levels for k in range(pixels)], 1)
    return digits.reshape(-1, height, width).double() / (levels - 1)


def neighbour_statistics(images: Tensor) -> Tensor:
    """Mean, and mean product of nearest neighbours on the torus: grey images [n,H,W] -> [n,2]."""
    products = images * (images.roll(1, 1) + images.roll(1, 2)) / 2
    return torch.stack([images.mean((1, 2)), products.mean((1, 2))], 1)


def space_of(f: Tensor, pixels: int) -> Space:
    """The space of listed images with statistics f [n,d], equal values put together."""
    values, count = torch.unique(f.double(), dim=0, return_counts=True)
    return Space(values, count.double(), pixels)


@dataclass(frozen=True)
class Counted:
    """All binary images of a size, counted by `neighbour_statistics` and by their first row.

    by_row[k, r], [n,2^W], counts the images of statistics space.f[k] whose first row is r as a binary number.
    """

    space: Space
    by_row: Tensor

    def macrocanonical_row(self, lam: Tensor) -> Tensor:
        """How the first row is spread under p_lam: [2^W]."""
        return (self.space.probability(lam) / self.space.count) @ self.by_row

    def microcanonical(self, mu: Tensor) -> tuple[Tensor, Tensor]:
        """Entropy of the uniform law on images with f = mu exactly, and their first row's spread [2^W]."""
        (match,) = torch.where((self.space.f - mu).abs().amax(1) < 1e-9)
        if len(match) != 1:
            size = self.space.pixels
            raise TextureError(f"no image of {size} pixels has f = {mu.tolist()}; take a row of space.f")
        return self.space.count[match[0]].log(), self.by_row[match[0]] / self.space.count[match[0]]


def count_binary(height: int, width: int) -> Counted:
    """Count the 2^(HW) binary images of a torus by mean and neighbour products, row by row.

    Counts are float64: exact below 2^53, to 15 digits above. Height from 2; width from 2 to 5, for the time
    it takes.
    """
    rows = 2**width
    bits = [[r >> k & 1 for k in range(width)] for r in range(rows)]
    ones = [sum(b) for b in bits]
    across = [sum(b[k] * b[k - 1] for k in range(width)) for b in bits]
    down = [[(r & q).bit_count() for q in range(rows)] for r in range(rows)]
    pixels = height * width
    # table[first, last, ones, products]: images so far, by first and last row
    table = torch.zeros(rows, rows, pixels + 1, 2 * pixels + 1, dtype=torch.float64)
    for r in range(rows):
        table[r, r, ones[r], across[r]] = 1
    for _ in range(height - 1):
        grown = torch.zeros_like(table)
        for last in range(rows):
            for new in range(rows):
                m, e = ones[new], across[new] + down[last][new]
                grown[:, new, m:, e:] += table[:, last, : pixels + 1 - m, : 2 * pixels + 1 - e]
        table = grown
    closed = torch.zeros(rows, pixels + 1, 2 * pixels + 1, dtype=torch.float64)
    for first in range(rows):
        for last in range(rows):
            e = down[last][first]
            closed[first, :, e:] += table[first, last, :, : 2 * pixels + 1 - e]
    white, pairs = torch.where(closed.sum(0) > 0)
    f = torch.stack([white.double() / pixels, pairs.double() / (2 * pixels)], 1)
    by_row = closed[:, white, pairs].T
    return Counted(Space(f, by_row.sum(1), pixels), by_row)


def log10_fraction(space: Space, log_number: Tensor | float) -> float:
    """log10 of the share that exp(log_number) images have of all images in the space."""
    return (float(log_number) - float(space.count.sum().log())) / math.log(10)


def parity_texture(rows: Tensor, columns: Tensor, odd: bool) -> Tensor:
    """Binary images whose 2x2 blocks each have an even (or odd) number of ones (Julesz and others 1978).

    rows [n,H] and columns [n,W] are coin flips, 0 or 1, which is what parity leaves free: -> [n,H,W]. Any two
    or three pixels are then independent fair coins, as in white noise; the four of a block are not.
    """
    height, width = rows.shape[1], columns.shape[1]
    flips = torch.outer(torch.arange(height), torch.arange(width)) % 2 if odd else torch.zeros(height, width)
    return (rows[:, :, None] + columns[:, None, :] + flips) % 2
