"""Xs among Ls: texture segregation without textons (Bergen & Adelson 1988, "Early vision and texture perception").

A region of Xs stands out among Ls, though both are two bars at a right angle: Bergen & Julesz (1983) took that for the
work of textons, of crossings and corners. Change the length of the bars of the Ls, and their intensity so that the mean
luminance stays, and the crossings and corners stay too. Yet longer by a quarter, the regions segregate more strongly,
and shorter by a quarter, hardly at all. What a mechanism tuned to size does, the eye does:

    response = average over neighbours of (c - s)^2,   c, s the image seen by a small and a larger Gaussian

An X is smaller than an L of the same bars: its luminance is gathered at the crossing. A centre of the size of the
crossing (SIZE) answers the X more than the L, and longer Ls still less; there Ls of 3/4 the length are answered as the
Xs are, in their mean, and the region vanishes. Larger centres keep this order, with some of the region left in c. Much
smaller ones see bars and no shapes, and answer the brighter the more, which in c would be the Ls.

The stimuli follow the caption of the paper's figure 1, bars at random orientations on a perturbed lattice. Sizes in
pixels, the squaring and d' are choices of this file.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.errors import TextureError
from lib.samplers.step import checked_count
from lib.statistics.quadratic import frequencies

BARS = {"a": 1.0, "b": 1.25, "c": 0.75}  # length of the Ls' bars, in those of the Xs
SPACING = 24  # pixels from one micropattern to the next
ACROSS, INSIDE = 14, 6  # micropatterns along a side of the image, and of the square of Xs in its middle
LENGTH, THICKNESS = 12.0, 2.0  # of the Xs' bars, in pixels
JITTER = 2.0  # pixels, at most, along each axis
INTENSITY = 0.6  # of the Xs, on black
SIZE = 2.75  # pixels, standard deviation of the centre; Xs and Ls of 3/4 the length answer alike
SURROUND = 1.6  # times the centre: the difference of Gaussians closest to a Laplacian (Marr & Hildreth 1980)
POOL = SPACING / 2  # pixels, standard deviation: some ten micropatterns


def segregation_image(kind: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A square of Xs among Ls, and where it is: [H,W] in [0,1], and a mask [H,W], true inside.

    `kind` is the column of the paper's figure: "a" for bars of one length, "b" and "c" for bars of the Ls longer and
    shorter by a quarter, dimmer and brighter to the same mean luminance. The seed places and turns the micropatterns,
    alike for all kinds.

    Raises TextureError for another kind, or a seed that is no whole number.
    """
    if kind not in BARS:
        raise TextureError(f"kind is {kind!r}; choose one of {', '.join(BARS)}")
    angle, place = scattering(checked_count("seed", seed, 0))
    xs, ls = micropatterns("X", LENGTH, angle, place), micropatterns("L", LENGTH * BARS[kind], angle, place)
    luminance = INTENSITY * xs.sum((1, 2)).mean()
    return square_among(*(luminance * patches / patches.sum((1, 2), keepdim=True) for patches in (xs, ls)))


def scattering(seed: int) -> tuple[Tensor, Tensor]:
    """Angles [n] in radians and displacements [n,2] in pixels, down and right, of the n = ACROSS^2 micropatterns."""
    g = torch.Generator().manual_seed(seed)
    angle = 2 * torch.pi * torch.rand(ACROSS**2, generator=g)
    return angle, JITTER * (2 * torch.rand(ACROSS**2, 2, generator=g) - 1)


def square_among(inner: Tensor, outer: Tensor) -> tuple[Tensor, Tensor]:
    """Patches [n,2S,2S] on the lattice, `inner` in a square in the middle: image [H,W] and mask [H,W], true inside.

    S is SPACING: patches overlap by half, and add up (to 1 at most), so that a micropattern may reach beyond its cell.
    """
    inside = torch.zeros(ACROSS, ACROSS, dtype=torch.bool)
    start = (ACROSS - INSIDE) // 2
    inside[start : start + INSIDE, start : start + INSIDE] = True
    patches = torch.where(inside.flatten()[:, None, None], inner, outer)
    side = ACROSS * SPACING
    image = F.fold(patches.flatten(1).T[None], side, 2 * SPACING, padding=SPACING // 2, stride=SPACING)[0, 0]
    return image.clamp(max=1), inside.repeat_interleave(SPACING, 0).repeat_interleave(SPACING, 1)


def turned(angle: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel coordinates [n,2S,2S] of patches in the frames of micropatterns, turned by angle and displaced by place."""
    grid = torch.arange(2 * SPACING) - SPACING + 0.5
    y, x = grid[None, :, None] - place[:, :1, None], grid[None, None] - place[:, 1:, None]
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    return cos * x + sin * y, cos * y - sin * x


def micropatterns(shape: str, length: float, angle: Tensor, place: Tensor) -> Tensor:
    """Xs or Ls of bars of `length` pixels, turned by angle [n] and displaced by place [n,2]: patches [n,2S,2S]."""
    along, across = turned(angle, place)
    off = length / 2 if shape == "L" else 0.0  # the bars of an L meet at their ends
    return torch.maximum(_bar(along, across + off, length), _bar(across, along + off, length))


def _bar(along: Tensor, across: Tensor, length: float) -> Tensor:
    """How much of each pixel a bar through the origin covers, to first order: 1 inside, 0 outside."""
    return (length / 2 + 0.5 - along.abs()).clamp(0, 1) * (THICKNESS / 2 + 0.5 - across.abs()).clamp(0, 1)


def centre_surround(image: Tensor, size: float = SIZE, pool: float = POOL) -> Tensor:
    """Mean of squares, about each pixel, of the image [H,W] seen through a Gaussian of `size` less one of 1.6 `size`.

    `size` and `pool`, the Gaussian of the average, are standard deviations in pixels; the image is taken for a torus.
    """

    def seen(u: Tensor, sigma: float) -> Tensor:
        height, width = u.shape
        rows, columns = frequencies(height, width, u)
        return torch.fft.irfft2(torch.fft.rfft2(u) * torch.exp(-(sigma**2) / 2 * (rows**2 + columns**2)), s=u.shape)

    return seen((seen(image, size) - seen(image, SURROUND * size)).square(), pool)


def discriminability(response: Tensor, mask: Tensor) -> float:
    """d' of the inside of the mask against its outside, both [H,W]: difference of means over root mean variance.

    Positive where the inside answers more.
    """
    inside, outside = response[mask], response[~mask]
    return ((inside.mean() - outside.mean()) / ((inside.var() + outside.var()) / 2).sqrt()).item()
