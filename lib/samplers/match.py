"""Statistics matching: min over x of |f(x) - f(x0)|^2, from noise, by L-BFGS (the microcanonical sampler).

Two choices give it units and a start, and change neither the model nor its minima of zero:

- each statistic is measured in units of its spread over crops of the exemplar, and combinations of statistics in units
  of what they vary by between pieces of one photograph (`Model.whitening`, Mahalanobis's distance), so that a mismatch
  is told in differences of pieces of one texture, in whatever direction;
- the search starts from a Gaussian texture x = m + S^(1/2) z, with m and S the mean and smooth spectrum of the
  exemplar and z white noise, which is worth many iterations; every texture can start from the same z. It goes through
  w, where x = m + S^(1/4) w: half-way between pixels, in which a step is too small at low frequencies, where most of
  a texture is, and z, in which it is too small at high ones, where its edges are. What that leaves undone is left to
  the search, which has a scale for each octave (see `octaves.py`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.energy import Statistics
from lib.samplers.descend import Search
from lib.samplers.octaves import descend_by_octaves
from lib.samplers.step import APART, Step, checked_common, checked_count, cut, last, white_noise
from lib.statistics.gaussian import GaussianTexture, smooth_autocovariance
from lib.statistics.quadratic import opponent, periodic_component

STEPS = 60
LAG = 32  # pixels; the starting texture's autocovariance is cut off here
FLOOR = 0.01  # of a statistic's size, added to its spread: nothing need match better than that
POWER = 0.25  # of S, between w and x
GREY_LEVEL = 1 / 255**2  # squared: no variance counts for less


class HasStatistics(Protocol):
    """A trained model, or whatever else has f as its `statistics`: matching asks for no multipliers."""

    @property
    def statistics(self) -> Statistics: ...

    @property
    def whitening(self) -> Tensor: ...


@dataclass(frozen=True)
class Measure:
    """f and its `whitening` [d,d], where a model is asked for."""

    statistics: Statistics
    whitening: Tensor


@dataclass(frozen=True)
class Targets:
    """What an exemplar asks for: `mu` and `spread` [1,d] for an image of the exemplar's size, and its Gaussian."""

    mu: Tensor
    spread: Tensor
    gaussian: GaussianTexture

    @classmethod
    @torch.no_grad()
    def of(cls, model: HasStatistics, x0: Tensor) -> "Targets":
        """Measured on x0 [1,3,H,W]; f is periodic, so it is shown the periodic component of x0."""
        x = periodic_component(x0)
        mu = model.statistics(x)
        height, width = x0.shape[-2:]
        h, w = (max(side // 2, min(32, 3 * side // 4)) for side in (height, width))
        crops = torch.cat([
            x0[..., top : top + h, left : left + w]
            for top in sorted({0, (height - h) // 2, height - h})
            for left in sorted({0, (width - w) // 2, width - w})
        ])  # fmt: skip
        pieces = torch.cat([model.statistics(periodic_component(crop[None])) for crop in crops])
        # A crop of a share of the area has 1/share times the variance v of a piece as large as x0, and differs from x0,
        # which holds it, by (1 - share) of that; two pieces differ by 2v.
        share = h * w / (height * width)
        variance = (pieces - mu).square().mean(0, keepdim=True) * 2 * share / (1 - share)
        unseen = (model.statistics(x + rounding(x)) - mu).square()
        return cls(mu, (variance + (FLOOR * mu).square() + unseen + 1e-12).sqrt(), gaussian_of(x0))


def rounding(x: Tensor) -> Tensor:
    """Noise of the size of rounding to 256 levels, and a tint of that size: [1,3,H,W].

    What a statistic makes of these need not be matched. Without it the colours of a grey texture, which has none, would
    weigh more than all the rest.
    """
    noise = white_noise(1, x.shape[-2], x.shape[-1], 0, APART).to(x)
    return (noise + opponent().sum(0)[:, None, None].to(x)) / (255 * 12**0.5)


def blend(a: Targets, b: Targets, t: float) -> Targets:
    """The straight line of Eq. 5 from mu_a (t = 0) to mu_b (t = 1), with spreads and spectra between."""
    gaussian = blend_gaussians(a.gaussian, b.gaussian, t)
    return Targets(torch.lerp(a.mu, b.mu, t), torch.lerp(a.spread, b.spread, t), gaussian)


def gaussian_of(x0: Tensor) -> GaussianTexture:
    """Mean and smooth spectrum of x0 [1,3,H,W], whose opposite edges need not meet."""
    return GaussianTexture(*smooth_autocovariance(periodic_component(x0), min(LAG, min(x0.shape[-2:]) // 2 - 1)))


def blend_gaussians(a: GaussianTexture, b: GaussianTexture, t: float) -> GaussianTexture:
    """Mean and autocovariance on the straight line from a to b, the shorter table of lags continued by zeros."""
    lags = max(g.covariance.shape[-1] for g in (a, b))
    tables = [F.pad(g.covariance, ((lags - g.covariance.shape[-1]) // 2,) * 4) for g in (a, b)]
    return GaussianTexture(torch.lerp(a.mean, b.mean, t), torch.lerp(tables[0], tables[1], t))


def match_targets(
    model: HasStatistics,
    targets: Targets,
    noise: Tensor,
    steps: int = STEPS,
    power: float = POWER,
    search: Search = descend_by_octaves,
) -> Iterator[Step]:
    """Match targets from white noise [n,3,H,W]; `loss` is the `mismatch`, per direction.

    It is the mismatch of the image that is shown, pixels in [0,1], and some more for pixels that would lie outside.
    The search goes through w in x = m + S^power w: pixels for 0, z for 1/2. `search` may be
    `descend`, which has one scale for all of w.
    """
    of = spectral(targets.gaussian, *noise.shape[-2:])
    filtered, size = of(power), unit(targets.gaussian, power)
    mean = targets.gaussian.mean.float()[:, :, None, None]
    starts = torch.cat([of(0.5 - power)(z[None]) for z in noise]) / size
    return search(lambda x: mismatch(model, targets, x), starts, steps, lambda w: mean + size * filtered(w))


def mismatch(model: HasStatistics, targets: Targets, x: Tensor) -> Tensor:
    """Mean over d directions of (whitening (f(x) - mu) / spread)^2: [n,3,H,W] -> [n]."""
    return in_units(model, model.statistics(x) - targets.mu, targets.spread)


def in_units(model: HasStatistics, off: Tensor, spread: Tensor) -> Tensor:
    """The mean square of what statistics are off by, [...,d] -> [...], in spreads and decorrelated."""
    return (off / spread @ model.whitening).square().mean(-1)


def match_steps(
    model: HasStatistics,
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    steps: int = STEPS,
) -> Iterator[Step]:
    """`match`, one record an iteration; arguments as there, and the number of iterations."""
    x0, shape = checked_common(x0, n, size, seed)
    checked_count("steps", steps)
    noise = white_noise(n, *canvas(*shape, tileable), seed)
    yield from cut(match_targets(model, Targets.of(model, x0), noise, steps), *shape)


def match(
    model: HasStatistics,
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
) -> Tensor:
    """n new textures [n,3,H,W] with the statistics of x0 ([3,H,W] in [0,1]).

    `size` is (height, width), one number for both, or None for x0's own. Sample i depends on (seed, i) alone.
    `tileable` makes opposite edges meet; otherwise the texture is cut from a slightly larger one.

    Raises TextureError for an x0 that is no image in [0,1] of at least 32x32, or a size, n or seed out of range.
    """
    return last(match_steps(model, x0, n, size, seed, tileable))


def canvas(height: int, width: int, tileable: bool) -> tuple[int, int]:
    """The torus to work on: the size itself to tile, else up to the next multiple of 16, which is cut back."""
    return (height, width) if tileable else (-(-height // 16) * 16, -(-width // 16) * 16)


def colouring(gaussian: GaussianTexture, height: int, width: int, sigma: float = 0) -> Callable[[Tensor], Tensor]:
    """z -> m + (S + sigma^2)^(1/2) z, [n,3,H,W] both: white noise becomes the Gaussian texture under noise sigma."""
    root, mean = spectral(gaussian, height, width, sigma)(0.5), gaussian.mean.float()[:, :, None, None]
    return lambda z: mean + root(z)


def unit(gaussian: GaussianTexture, power: float = POWER) -> float:
    """What w is multiplied by in x = m + S^power w, so that it is of order one; a constant picture has one as well."""
    return max(gaussian.variance, GREY_LEVEL) ** (0.5 - power)


def spectral(
    gaussian: GaussianTexture, height: int, width: int, sigma: float = 0, dtype: torch.dtype = torch.complex64
) -> Callable[[float], Callable[[Tensor], Tensor]]:
    """power -> (z -> (S + sigma^2)^power z), [n,3,H,W] both, `dtype` being that of their spectra.

    The power is the Hermitian one, so that z moves no detail elsewhere; no eigenvalue of S is taken for less than
    one grey level squared.
    """
    values, vectors = torch.linalg.eigh(gaussian.spectrum(height, width)[0])
    values = values.clamp_min(GREY_LEVEL) + sigma**2

    def of(power: float) -> Callable[[Tensor], Tensor]:
        matrices = ((vectors * values[..., None, :] ** power) @ vectors.mH).to(dtype)

        def apply(z: Tensor) -> Tensor:
            Z = torch.einsum("hwij,bjhw->bihw", matrices, torch.fft.rfft2(z))
            return torch.fft.irfft2(Z, s=(height, width))

        return apply

    return of
