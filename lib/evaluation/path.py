"""What changes along a line between two textures, measured without a model.

`way` says how far a description of an image has come from the one's to the other's, `unevenness` whether its parts
have come equally far; `quantiles` and `spectrum` are two descriptions, one of colours and one of grain. `blend_pixels`
and `collage` are two images that a line in statistics should be held against.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lib.dataset.criterion import LIMITS, SIDE, score
from lib.errors import TextureError

OCTAVES = 4  # bands of spatial frequency, from half a cycle a pixel downwards
ORIENTATIONS = 4
LEVELS = 9  # quantiles a channel
GREY_LEVEL = 1 / 255


def blend_pixels(xa: Tensor, xb: Tensor, steps: int) -> Tensor:
    """(1 - t) xa + t xb at t = 0, 1/steps, ..., 1: [3,H,W] twice -> [steps+1,3,H,W]."""
    t = torch.linspace(0, 1, steps + 1).reshape(-1, 1, 1, 1)
    return torch.lerp(xa, xb, t)


def collage(xa: Tensor, xb: Tensor, t: float = 0.5) -> Tensor:
    """xa with the right share t of its columns taken from xb, [3,H,W]: its averages are those of Eq. 5, or nearly."""
    if xa.shape != xb.shape:
        raise TextureError(f"a collage needs images of one size, not {list(xa.shape)} and {list(xb.shape)}; crop one")
    cut = round((1 - t) * xa.shape[-1])
    return torch.cat([xa[..., :cut], xb[..., cut:]], -1)


def luminance(x: Tensor) -> Tensor:
    """Mean of the channels: [n,3,H,W] -> [n,H,W]."""
    return x.mean(1)


def heterogeneity(x: Tensor) -> Tensor:
    """By the data set's criterion, over its limit: [n,3,H,W] -> [n], the worst window of each; above 1: no texture.

    Raises:
        TextureError: the images are smaller than the criterion's window.
    """
    if min(x.shape[-2:]) < SIDE:
        raise TextureError(f"the criterion judges {SIDE}x{SIDE} pixels or more, not {x.shape[-2]}x{x.shape[-1]}")
    pictures = (255 * x.clamp(0, 1)).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    limit = LIMITS["heterogeneity"].value
    return torch.tensor([score(picture).scores["heterogeneity"].max() / limit for picture in pictures])


def quantiles(x: Tensor) -> Tensor:
    """Nine quantiles of each channel, from the 5th to the 95th percentile: [n,3,H,W] -> [n,27]."""
    levels = torch.linspace(0.05, 0.95, LEVELS)
    return x.flatten(2).quantile(levels, 2).permute(1, 2, 0).flatten(1)


def spectrum(x: Tensor) -> Tensor:
    """Log power of the luminance in four octaves and four orientations: [n,3,H,W] -> [n,16].

    A Hann window keeps the borders, which need not meet, out of it. A band holds no less than a grey level's noise.
    """
    height, width = x.shape[-2:]
    window = torch.hann_window(height, periodic=False)[:, None] * torch.hann_window(width, periodic=False)
    light = luminance(x)
    light = (light - light.mean((1, 2), keepdim=True)) * window
    power = torch.fft.rfft2(light).abs().square() / window.square().sum()
    down, right = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    octave = (-torch.log2(torch.hypot(down, right).clamp_min(1e-9))).floor().long() - 1
    octave = octave.clamp_min(0)  # the corners of the square of frequencies belong to the finest octave
    sector = (torch.atan2(down, right + 0 * down) / torch.pi * ORIENTATIONS).round().long() % ORIENTATIONS
    bands = [
        power[:, (octave == o) & (sector == s)].mean(1) for o in range(OCTAVES) for s in range(ORIENTATIONS)
    ]
    return (torch.stack(bands, 1) + GREY_LEVEL**2).log()


@dataclass(frozen=True)
class Way:
    """How a line of images goes from a to b, as one description sees it."""

    position: Tensor  # [n]: 0 is a, 1 is b, the projection on the segment between them
    backward: float  # share of all movement along the segment that leads back; 0 when the position is monotone
    largest: float  # the largest step's share of all movement; 1/steps when even
    detour: float  # length of the way over the distance of its ends; 1 when straight


def way(g: Tensor, a: Tensor, b: Tensor) -> Way:
    """The way of descriptions g [n,k] between those of two exemplars a, b [k]."""
    axis = b - a
    if not axis.norm() > 0:
        raise TextureError("the two exemplars have the same description; there is no way between them to measure")
    position = (g - a) @ axis / axis.square().sum()
    step, length = position.diff(), g.diff(dim=0).norm(dim=1)
    moved = step.abs().sum().clamp_min(1e-12)
    return Way(
        position,
        (-step).clamp_min(0).sum().div(moved).item(),
        step.abs().max().div(moved).item(),
        length.sum().div((g[-1] - g[0]).norm().clamp_min(1e-12)).item(),
    )


def unevenness(g: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Variance between parts of images, over what the exemplars' own parts say it should be at t = 0, ..., 1: [n].

    Descriptions of p parts each: g [n,p,k] of n images at even t, a and b [p,k] of the exemplars.
    """
    own_a, own_b = (parts.var(0).mean() for parts in (a, b))
    return g.var(1).mean(1) / torch.lerp(own_a, own_b, torch.linspace(0, 1, len(g)))
