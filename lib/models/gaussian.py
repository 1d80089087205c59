"""Spot noise and random phases: Gaussian textures as Galerne, Gousseau & Morel (2011) draw them.

Throw copies of a spot s at random and without end on a torus of N pixels: by the central limit theorem what remains
is s convolved with white noise W, the asymptotic discrete spot noise (ADSN). Its relative, random phase noise (RPN),
keeps the moduli of the spot's transform exactly and draws the phases alone:

    ADSN    x = m + s * W                                   FFT(x - m) = FFT(s) FFT(W)
    RPN     x = m + s * V,  FFT(V) = N^(1/2) e^(i theta)    |FFT(x - m)| = N^(1/2) |FFT(s)|

with theta uniform and odd, which is the phase of FFT(W). W and theta are common to the channels, so that the channels
keep their phase differences, hence the texture its colours. With s the exemplar less its mean, over the square root of
its number of pixels, ADSN is `GaussianTexture` of the autocovariance, without a matrix root at each frequency.

On the exemplar's own torus the spot is its periodic component (Moisan 2011): the jumps between opposite edges would
make a cross in the spectrum, and horizontal and vertical streaks in the texture. On a larger torus it is that
component, faded out at its border, of the same energy, on a ground of zeros (theirs for larger textures), which samples
its spectrum at more frequencies. A table of lags under a shorter window would lose what repeats over long distances, as
a weave does.

Departures: the window that fades is a cosine, and the spot is centred again under it, so that the mean stays exact.
Where the exemplar is too small and no tile is asked for, the torus is larger than the texture by a spot, so that
nothing wraps around it: the texture is a piece of an infinite one. On a torus smaller than the exemplar there are
several spots, as many faded pieces as cover it, each with a noise of its own; the autocovariance is the mean of theirs.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.samplers.step import Step, checked_common, white_noise
from lib.statistics.quadratic import periodic_component

FADE = 0.1  # of the exemplar's side, at each end


def gaussian_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    periodic: bool = True,
) -> Iterator[Step]:
    """Asymptotic discrete spot noise: n textures [n,3,H,W] with the mean and autocovariance of x0 [3,H,W], in one step.

    `size` is (height, width), one number for both, or None for x0's own. Sample i depends on (seed, i) alone.
    `tileable` makes opposite edges meet (at x0's own size they always do). `periodic=False` leaves the border of x0 as
    it is, which shows as streaks along the axes. Pixels outside [0,1] are clipped; `loss` is 0, as the draw is exact.

    Raises TextureError for an x0 that is no image in [0,1] of at least 32x32, or a size, n or seed out of range.
    """
    yield from _steps(x0, n, size, seed, tileable, periodic, random_phase=False)


def random_phase_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    periodic: bool = True,
) -> Iterator[Step]:
    """Random phase noise: n textures [n,3,H,W] with the moduli of the transform of x0 [3,H,W] and random phases.

    Arguments, clipping and errors as of `gaussian_steps`, whose phases it shares where seeds are the same. The moduli
    are exact on the torus of one spot, before clipping and cutting.
    """
    yield from _steps(x0, n, size, seed, tileable, periodic, random_phase=True)


def _steps(
    x0: Tensor,
    n: int,
    size: int | tuple[int, int] | None,
    seed: int,
    tileable: bool,
    periodic: bool,
    random_phase: bool,
) -> Iterator[Step]:
    x0, (height, width) = checked_common(x0, n, size, seed)
    shape = torus(height, width, x0, tileable)
    pieces = spots(x0, *shape, periodic)
    spectra = torch.fft.rfft2(pieces)
    noise = [white_noise(n, *shape, seed, stream=j)[:, :1] for j in range(len(pieces))]  # one for the three channels

    def one(i: int) -> Tensor:
        X = torch.zeros((), dtype=torch.complex64)
        for S, z in zip(spectra, noise, strict=True):
            W = torch.fft.rfft2(z[i : i + 1])
            X = X + S * (math.sqrt(shape[0] * shape[1]) * torch.sgn(W) if random_phase else W)
        return torch.fft.irfft2(X, s=shape) / math.sqrt(len(pieces))

    # one by one: in a batch, rounding would depend on how many there are
    x = x0.mean((2, 3))[..., None, None] + torch.cat([one(i) for i in range(n)])
    yield Step(x[..., :height, :width].clamp(0, 1), 0.0, 1, 1)


def torus(height: int, width: int, x0: Tensor, tileable: bool) -> tuple[int, int]:
    """(height, width) of the torus to draw on for x0 [1,3,H,W].

    To tile, the size asked for. Else x0's own; or if that is too small, one that no spot goes around.
    """
    if tileable:
        return height, width
    own_height, own_width = x0.shape[-2:]
    return (
        own_height if height <= own_height else height + own_height,
        own_width if width <= own_width else width + own_width,
    )


def spots(x0: Tensor, height: int, width: int, periodic: bool = True) -> Tensor:
    """The spots s [J,3,height,width] of x0 [1,3,H,W]: their mean circular autocorrelation is the autocovariance.

    One spot, unless the torus is smaller than x0. Every channel of each sums to zero.
    """
    u = periodic_component(x0) if periodic else x0
    sides = tuple(zip(x0.shape[-2:], (height, width), strict=True))
    h, w = (min(own, side) for own, side in sides)
    rows, columns = (
        fade(min(own, side)) if periodic and own != side else torch.ones(min(own, side)) for own, side in sides
    )
    window = (rows[:, None] * columns).to(x0)
    tops, lefts = (starts(own, side) for own, side in sides)
    pieces = torch.cat([u[..., top : top + h, left : left + w] for top in tops for left in lefts])
    mean = (window * pieces).sum((2, 3), keepdim=True) / window.sum()
    return F.pad(window * (pieces - mean) / window.norm(), (0, width - w, 0, height - h))


def starts(own: int, side: int) -> list[int]:
    """Where pieces of `side` pixels begin, as many as cover `own` pixels at equal steps; 0 alone if one does."""
    pieces = -(-own // side)
    return [round(k * (own - side) / max(pieces - 1, 1)) for k in range(pieces)]


def fade(length: int) -> Tensor:
    """Tukey's window [length]: 1, but for half a cosine over the share FADE at both ends."""
    k = torch.arange(length) + 0.5
    return torch.sin(math.pi / 2 * (torch.minimum(k, length - k) / (FADE * length)).clamp(max=1)).square()
