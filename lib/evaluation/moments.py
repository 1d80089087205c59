"""Do draws keep their averages, and do the averages settle? Moments of f over draws, with Monte-Carlo errors.

A maximum-entropy density has E f(x) = mu (Eq. 1). And since f is an average over N pixels, its variance over draws
falls as 1/N once the texture is much larger than its longest correlation; that is why matching, which fixes f, and
sampling, which fixes E f, agree on large images (equivalence of ensembles).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Expectation:
    """For each of d statistics, in its spread: how far the mean of the draws is from mu, and its standard error."""

    deviation: Tensor
    error: Tensor

    @property
    def within(self) -> float:
        """Share of the statistics whose mean is within two standard errors of mu; about .95 if all were right."""
        return (self.deviation.abs() <= 2 * self.error).double().mean().item()

    @property
    def bias(self) -> float:
        """Root mean square of the deviations, without what the Monte-Carlo error adds; zero where that is larger."""
        return (self.deviation.square() - self.error.square()).mean().clamp_min(0).sqrt().item()


def expectation(f: Tensor, mu: Tensor, spread: Tensor) -> Expectation:
    """Of draws with statistics f [n,d], n > 1, against mu [d]; `spread` [d] is the unit."""
    return Expectation((f.mean(0) - mu) / spread, f.std(0) / len(f) ** 0.5 / spread)


@dataclass(frozen=True)
class Scaling:
    """`variance` [K] of f over draws at K sizes of N `pixels` [K], the `slope` of log against log; all with errors."""

    pixels: Tensor
    variance: Tensor
    error: Tensor
    slope: float
    slope_error: float


def scaling(draws: Mapping[int, Tensor], spread: Tensor) -> Scaling:
    """The mean over statistics of their variance in spreads squared, from N -> f of n draws [n,d], n > 2.

    Errors are jackknifed over the draws of each size, which share no noise.
    """
    pixels = torch.tensor(sorted(draws), dtype=torch.float64)
    values = [draws[int(n)].double() / spread.double() for n in pixels.tolist()]
    variance = torch.stack([v.var(0).mean() for v in values])
    centred = pixels.log() - pixels.log().mean()
    weights = centred / centred.square().sum()  # of least squares, in the logarithms
    errors = torch.stack([_jackknife(v) for v in values])
    slope = (weights * variance.log()).sum().item()
    slope_error = (weights.square() * (errors / variance).square()).sum().sqrt().item()
    return Scaling(pixels, variance, errors, slope, slope_error)


def _jackknife(values: Tensor) -> Tensor:
    """Standard error of the mean variance over columns of [n,d], leaving out one draw at a time."""
    n = len(values)
    without = torch.stack([torch.cat([values[:i], values[i + 1 :]]).var(0).mean() for i in range(n)])
    return ((n - 1) / n * (without - without.mean()).square().sum()).sqrt()
