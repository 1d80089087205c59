"""Joint statistics of complex wavelet coefficients: Portilla & Simoncelli 2000, in colour.

The grey statistics are plenoptic's: of a steerable pyramid of S scales and K orientations, whose coefficients are
complex (real part and magnitude),

    moments of the pixels (mean, variance, skew, kurtosis, minimum, maximum), and of the low-pass image of each scale
    autocorrelations of those low-pass images, and of each band's magnitude, in a window of M x M
    correlations of magnitudes between orientations, and with all orientations of the next coarser scale
    correlations of real parts with the next coarser scale's real and imaginary parts, their phase doubled
    the variance of what is left above the finest scale

which are 710 for S = K = 4, M = 7, the paper's. A colour image has C = 3 channels u = A (x - m), decorrelated (by
default opponent colours; `Channels.principal` for the principal components of one exemplar, in units of their spread).
Each has the grey statistics, and between and beside them there are those of the authors' own colour program, which are
listed in Vacher & Briand, "The Portilla-Simoncelli Texture Model", IPOL 2021, appendix B.2:

    rgb_moments                skew and kurtosis of red, green and blue                           6
    covariance                 of two channels                                                    P
    autocorrelation            of each channel, in the window                                     C (M^2 - 1)/2
    magnitude                  magnitudes in two channels, any two orientations                   S P K^2
    magnitude_parent           a magnitude, and one of another channel a scale coarser            (S - 1) 2P K^2
    real                       real parts of any two bands of a scale                             S CK (CK - 1)/2
    real_std                   standard deviation of each real part                               S CK
    real_parent                a real part, and both parts of another channel's, a scale coarser  (S - 1) 2P 2K^2
    real_lowpass               real parts of the coarsest scale, and the low-pass residual at     CK 5C
                               0 and its four neighbours
    lowpass                    that residual in two channels, at lags |i| + |j| <= 2              13 P

with P = C(C - 1)/2: 1668 in all, with three times 710 that is 3798. Where the authors' program adjusts covariances of
coefficients, these are correlations and standard deviations, as in plenoptic: units that need no scale. One of each
pair that is equal on a torus is kept; minimum and maximum of red, green and blue are left to clipping.

Everything is an average over the torus, so that statistics measured at one size may be asked for at another.
"""

from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from plenoptic.models import PortillaSimoncelli as GreyStatistics
from plenoptic.process import autocorrelation, center_crop, expand
from torch import Tensor, nn

from lib.errors import TextureError
from lib.statistics.quadratic import opponent

WIDTH = 7  # M, pixels of each scale
LEAST = 1 / 255  # standard deviation in pixels of a principal component that counts; below is rounding
NEIGHBOURS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
LAGS = [(i, j) for i in range(-2, 3) for j in range(-2, 3) if abs(i) + abs(j) <= 2]


@dataclass(frozen=True)
class Channels:
    """u = analysis (x - mean) and x = mean + synthesis u: `mean` [3], `analysis` [C,3], `synthesis` [3,C]."""

    mean: Tensor
    analysis: Tensor
    synthesis: Tensor

    @classmethod
    def opponent(cls) -> "Channels":
        """Luminance, red - blue, green against both: three channels for every image."""
        return cls(torch.full((3,), 0.5), opponent(), opponent().mT)

    @classmethod
    def principal(cls, x0: Tensor) -> "Channels":
        """Principal components of the colours of x0 [1,3,H,W], in units of their standard deviation.

        A grey texture has one, and most have three: components below one grey level are left out, and images made
        from the others have none of them. Raises TextureError for one flat colour, which has no component.
        """
        pixels = x0.double().flatten(2)[0]
        mean = pixels.mean(1)
        values, vectors = torch.linalg.eigh((pixels - mean[:, None]) @ (pixels - mean[:, None]).mT / pixels.shape[1])
        kept = values > LEAST**2
        if not kept.any():
            raise TextureError("x0 is one flat colour, which is no texture; choose another image")
        scale, vectors = values[kept].sqrt().flip(0), vectors[:, kept].flip(1)
        return cls(mean.float(), (vectors / scale).mT.float(), (vectors * scale).float())

    def of(self, x: Tensor) -> Tensor:
        """Images [B,3,H,W] -> channels [B,C,H,W]."""
        return torch.einsum("ci,bihw->bchw", self.analysis.to(x), x - self.mean.to(x)[:, None, None])

    def image(self, u: Tensor) -> Tensor:
        """Channels [B,C,H,W] -> images [B,3,H,W]."""
        return self.mean.to(u)[:, None, None] + torch.einsum("ic,bchw->bihw", self.synthesis.to(u), u)


class _Witness(GreyStatistics):
    """plenoptic's statistics, which leave here the coefficients they are made of: colour needs them again."""

    def _compute_pyr_coeffs(self, image: Tensor) -> tuple:
        self.pyramid = super()._compute_pyr_coeffs(image)
        return self.pyramid

    def _double_phase_pyr_coeffs(self, pyr_coeffs: list[Tensor]) -> tuple:
        self.parents = super()._double_phase_pyr_coeffs(pyr_coeffs)
        return self.parents


class PortillaSimoncelli(nn.Module):
    """The statistics of HxW images (see the head of this file); `dim` is 3798 for three channels.

    `groups` says where in f(x) each kind of statistic is: name -> indices.

    Args:
        size: (height, width), multiples of 2^scales, and at least 7 x 2^scales.
        scales, orientations: S and K of the pyramid.
        channels: the colours; opponent ones by default.

    Raises:
        TextureError: the size does not suit the scales, or there are too few scales or orientations.
    """

    name = "Portilla-Simoncelli"

    def __init__(
        self, size: tuple[int, int], scales: int = 4, orientations: int = 4, channels: Channels | None = None
    ) -> None:
        super().__init__()
        if scales < 2 or orientations < 2:
            raise TextureError(f"{scales} scales of {orientations} orientations have no neighbours; give 2 or more")
        coarsest = 2**scales
        if min(size) < WIDTH * coarsest:
            least = f"{WIDTH * coarsest} pixels a side"
            raise TextureError(f"{size[1]}x{size[0]} is too small for {scales} scales, which need {least}; give fewer")
        if any(side % coarsest for side in size):
            raise TextureError(f"{size[1]}x{size[0]} cannot be halved {scales} times; crop to multiples of {coarsest}")
        self.size, self.channels = size, channels or Channels.opponent()
        self.grey = _Witness(size, scales, orientations, WIDTH)
        colours = len(self.channels.analysis)
        first = torch.arange(colours)  # of two channels, or bands with the channels one after the other
        of_band, of_part = first.repeat_interleave(orientations), first.repeat_interleave(2 * orientations)
        self.pairs = first[:, None] < first
        self.cousins, self.strangers = of_band[:, None] < of_band, of_band[:, None] != of_band
        self.all_cousins = torch.ones_like(self.cousins).triu(1)
        self.parts = of_band[:, None] != of_part
        self.groups = self._groups(scales, orientations, colours)
        self.dim = sum(len(indices) for indices in self.groups.values())

    def _groups(self, S: int, K: int, C: int) -> dict[str, Tensor]:
        """Where in f(x) each kind of statistic is."""
        grey = [name for name, kept in self.grey._necessary_stats_dict.items() for _ in range(int(kept.sum()))]
        grey[4:6] = ["pixel_range"] * 2  # minimum and maximum
        P = C * (C - 1) // 2
        between = {
            "rgb_moments": 6,
            "covariance": P,
            "autocorrelation": C * (WIDTH**2 - 1) // 2,
            "magnitude": S * P * K**2,
            "magnitude_parent": (S - 1) * 2 * P * K**2,
            "real": S * C * K * (C * K - 1) // 2,
            "real_std": S * C * K,
            "real_parent": (S - 1) * 2 * P * 2 * K**2,
            "real_lowpass": C * K * C * len(NEIGHBOURS),
            "lowpass": len(LAGS) * P,
        }
        names = grey * C + [name for name, number in between.items() for _ in range(number)] * (C > 1)
        indices: dict[str, list[int]] = {}
        for i, name in enumerate(names):
            indices.setdefault(name, []).append(i)
        return {name: torch.tensor(places) for name, places in indices.items()}

    def forward(self, x: Tensor) -> Tensor:
        """f(x): [B,3,H,W] in [0,1] -> [B,dim], differentiable. Raises TextureError for any other size."""
        if x.shape[-2:] != self.size:
            made, given = (f"{w}x{h}" for h, w in (self.size, x.shape[-2:]))
            raise TextureError(f"these statistics are of {made} images; make new ones for {given}")
        u = self.channels.of(x)
        grey = self.grey(u).flatten(1)
        return grey if u.shape[1] == 1 else torch.cat([grey, *self._between(x, u)], 1)

    def _between(self, x: Tensor, u: Tensor) -> list[Tensor]:
        """The statistics that only colours have, in the order of the head of this file: [B,number] each."""
        _, coefficients, _, lowpass = self.grey.pyramid
        magnitudes = [_bands(_centred(b.abs())) for b in coefficients]
        reals = [_bands(b.real) for b in coefficients]
        parents, doubled = ([_bands(b) for b in bands] for bands in self.grey.parents)
        shifted = [(expand(lowpass, 2) / 4).roll((2 * i, 2 * j), (-2, -1)) for i, j in NEIGHBOURS]
        lagged = [_correlations(_bands(lowpass), _bands(lowpass.roll(lag, (-2, -1)))) for lag in LAGS]
        v = _centred(u)
        return [
            _moments(x),
            (v.flatten(2) @ v.flatten(2).mT / prod(v.shape[2:]))[:, self.pairs],
            _autocorrelations(v),
            *[_correlations(m, m)[:, self.cousins] for m in magnitudes],
            *[_correlations(m, p)[:, self.strangers] for m, p in zip(magnitudes, parents, strict=False)],
            *[_correlations(r, r)[:, self.all_cousins] for r in reals],
            *[r.square().mean(2).sqrt() for r in reals],
            *[_correlations(r, d)[:, self.parts] for r, d in zip(reals, doubled, strict=False)],
            _correlations(reals[-1], _bands(torch.stack(shifted, 2))).flatten(1),
            *[table[:, self.pairs] for table in lagged],
        ]


def _bands(b: Tensor) -> Tensor:
    """[B,C,...,h,w] -> [B,C...,hw]."""
    return b.flatten(-2).flatten(1, -2)


def _centred(b: Tensor) -> Tensor:
    return b - b.mean((-2, -1), keepdim=True)


def _correlations(a: Tensor, b: Tensor) -> Tensor:
    """Of every a_i and b_j, whose means are zero: [B,m,N], [B,n,N] -> [B,m,n]."""
    return F.normalize(a, dim=2) @ F.normalize(b, dim=2).mT


def _autocorrelations(v: Tensor) -> Tensor:
    """One of each pair of lags +-tau in the window, not zero: [B,C,H,W] -> [B,C(M^2 - 1)/2]."""
    window = center_crop(autocorrelation(v), WIDTH).flatten(2)
    middle = window.shape[2] // 2
    return (window[..., :middle] / window[..., middle, None]).flatten(1)


def _moments(x: Tensor) -> Tensor:
    """Skew and kurtosis of each channel: [B,3,H,W] -> [B,6]; zero for one that is flat."""
    v = _centred(x)
    deviation = v.square().mean((2, 3)).clamp_min(LEAST**2).sqrt()
    return torch.cat([v.pow(3).mean((2, 3)) / deviation**3, v.pow(4).mean((2, 3)) / deviation**4], 1)
