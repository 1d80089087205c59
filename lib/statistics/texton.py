"""Xs among Ls: texture segregation without textons (Bergen & Adelson 1988, "Early vision and texture perception").

A region of Xs stands out among Ls, though both are two bars at a right angle: Bergen & Julesz (1983) took that for the
work of textons, of crossings and corners. Change the length of the bars of the Ls, and their intensity so that the mean
luminance stays, and the crossings and corners stay too. Yet longer by a quarter, the regions segregate more strongly,
and shorter by a quarter, hardly at all. What a mechanism tuned to size does, the eye does:

    response = average over neighbours of (c - s)^2,   c, s the image seen by a small and a larger Gaussian

An X is smaller than an L of the same bars: its luminance is gathered at the crossing. A centre that fits it (SIZE)
answers it more than the L; longer Ls are answered still less, and Ls of 3/4 the length as much as the Xs.

The stimuli follow the caption of the paper's figure 1, bars at random orientations on a perturbed lattice. The sizes in
pixels, the squares and d' are choices of this file; the paper measures observers.
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
SIZE = 2.5  # pixels
SURROUND = 1.6  # times the centre: the difference of Gaussians closest to a Laplacian (Marr & Hildreth 1980)
POOL = float(SPACING)  # pixels, standard deviation


def segregation_image(kind: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A square of Xs among Ls, and where it is: [H,W] in [0,1], and a mask [H,W], true inside.

    `kind` is the column of the paper's figure: "a" for bars of one length, "b" and "c" for Ls of bars longer and shorter
    by a quarter, and dimmer and brighter to the same mean luminance. The seed places and turns the micropatterns, alike
    for all kinds.

    Raises TextureError for another kind, or a seed that is no whole number.
    """
    if kind not in BARS:
        raise TextureError(f"kind is {kind!r}; choose one of {', '.join(BARS)}")
    g = torch.Generator().manual_seed(checked_count("seed", seed, 0))
    angle = 2 * torch.pi * torch.rand(ACROSS**2, generator=g)
    place = JITTER * (2 * torch.rand(ACROSS**2, 2, generator=g) - 1)
    inside = torch.zeros(ACROSS, ACROSS, dtype=torch.bool)
    start = (ACROSS - INSIDE) // 2
    inside[start : start + INSIDE, start : start + INSIDE] = True
    drawn = torch.where(inside.flatten()[:, None, None], micropatterns("X", LENGTH, angle, place),
                        micropatterns("L", LENGTH * BARS[kind], angle, place))  # fmt: skip
    luminance = micropatterns("X", LENGTH, angle[:1], place[:1]).sum()
    drawn = INTENSITY * luminance * drawn / drawn.sum((1, 2), keepdim=True)
    side = ACROSS * SPACING
    image = F.fold(drawn.flatten(1).T[None], side, 2 * SPACING, padding=SPACING // 2, stride=SPACING)[0, 0]
    return image, inside.repeat_interleave(SPACING, 0).repeat_interleave(SPACING, 1)


def micropatterns(shape: str, length: float, angle: Tensor, place: Tensor) -> Tensor:
    """Xs or Ls of bars of a length in pixels, turned by angle [n], off the middle by place [n,2]: [n,2S,2S] in [0,1]."""
    grid = torch.arange(2 * SPACING) - SPACING + 0.5
    y, x = (grid[None, :, None] - place[:, :1, None], grid[None, None] - place[:, 1:, None])
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    along, across = cos * x + sin * y, cos * y - sin * x
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
        rows, columns = frequencies(*u.shape, u)
        return torch.fft.irfft2(torch.fft.rfft2(u) * torch.exp(-(sigma**2) / 2 * (rows**2 + columns**2)), s=u.shape)

    return seen((seen(image, size) - seen(image, SURROUND * size)).square(), pool)


def discriminability(response: Tensor, mask: Tensor) -> float:
    """d' between the inside of the mask and its outside, both [H,W]: difference of means over root mean variance."""
    inside, outside = response[mask], response[~mask]
    return ((inside.mean() - outside.mean()).abs() / ((inside.var() + outside.var()) / 2).sqrt()).item()
