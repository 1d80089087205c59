"""Portilla & Simoncelli 2000: the texture with an exemplar's joint statistics of complex wavelet coefficients.

From noise of the exemplar's colours, x is changed until f(x) = f(x0), with f of lib/statistics/portilla.py. Where this
departs from the paper:

- L-BFGS on the sum of squares in place of a cycle of adjustments, one kind of statistics after another (plenoptic's
  choice; its loss leaves out minimum and maximum, as here, and clipping keeps pixels within their range);
- the search goes through the principal channels, so that colours an exemplar does not have cannot appear;
- a statistic is measured in units of itself where it is larger than one (kurtosis is), and the variance above the
  finest scale counts more, as in plenoptic: it is one number, and the eye sees it first;
- x0 is shown to the periodic pyramid without its frame (Moisan's periodic component, as Vacher & Briand offer) on the
  largest centred crop that can be halved often enough: a few lines less of a texture that is the same everywhere cost
  less than padding, which makes edges, or mirrors, which make every orientation two.

The canvas is the next size that can be halved often enough. A texture is cut from it. A tile is it, scaled to the size
wanted by a few per cent; x0 is first scaled the other way. A small x0 (or tile) has fewer scales: its coarsest one must
hold the 7 x 7 window.
"""

from collections.abc import Iterator

import torch
from scipy.signal import resample
from torch import Tensor

from lib.images import check_image
from lib.samplers.descend import descend
from lib.samplers.step import APART, Step, checked_count, checked_size, white_noise
from lib.statistics.portilla import WIDTH, Channels, PortillaSimoncelli
from lib.statistics.quadratic import periodic_component

ITERATIONS = 100
HIGHPASS = 3.0
MARGINAL = (
    "pixel_statistics",
    "skew_reconstructed",
    "kurtosis_reconstructed",
    "std_reconstructed",
    "magnitude_std",
    "var_highpass_residual",
    "rgb_moments",
    "real_std",
)


def portilla_simoncelli_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    iterations: int = ITERATIONS,
    joint: bool = True,
    scales: int = 4,
    orientations: int = 4,
) -> Iterator[Step]:
    """n new textures [n,3,H,W] with the statistics of x0 ([3,H,W] in [0,1]), one record an iteration.

    `size` is (height, width), one number for both, or None for x0's own. Sample i depends on (seed, i) alone.
    `tileable` makes opposite edges meet. With `joint` false only the distribution of pixels and the strength of each
    band are matched, not what they have to do with each other. `scales` is the most: see above.

    Raises TextureError for an x0 that is no image in [0,1] of at least 32x32, or is flat, or a number out of range.
    """
    x0 = check_image(x0, "x0")
    checked_count("n", n), checked_count("seed", seed, 0), checked_count("iterations", iterations)
    checked_count("scales", scales, 2), checked_count("orientations", orientations, 2)
    height, width = checked_size(size, x0)
    scales = fitting(scales, x0.shape[-2:] + ((height, width) if tileable else ()))
    block = 2**scales
    torus = (up(max(height, WIDTH * block), block), up(max(width, WIDTH * block), block))
    zoom = (torus[0] / height, torus[1] / width) if tileable else (1.0, 1.0)
    x0 = measurable(x0, block, zoom)

    channels = Channels.principal(x0)
    with torch.no_grad():
        of_x0 = PortillaSimoncelli(x0.shape[-2:], scales, orientations, channels)
        mu = of_x0(x0)
    f = PortillaSimoncelli(torus, scales, orientations, channels)
    weights = weighting(f, mu, joint)

    def mismatch(x: Tensor) -> Tensor:
        return ((f(x) - mu).square() * weights).sum(1)

    noise = white_noise(n, *torus, seed)[:, : len(channels.analysis)]
    for record in descend(mismatch, noise, iterations, channels.image):
        image = resampled(record.image, height, width) if tileable else record.image[..., :height, :width]
        yield Step(image.clamp(0, 1), record.loss, record.step, record.steps)


def fitting(scales: int, sides: tuple[int, ...]) -> int:
    """As many scales as leave room for the window on the coarsest, of at most `scales`."""
    while min(sides) < WIDTH * 2**scales:
        scales -= 1
    return scales


def up(side: int, block: int) -> int:
    """The next multiple of `block`."""
    return -(-side // block) * block


def measurable(x0: Tensor, block: int, zoom: tuple[float, float]) -> Tensor:
    """What is measured of x0 [1,3,H,W]: its centre, as a torus with sides that are multiples of `block`, zoomed.

    Noise of the size of rounding is added: statistics of a band that is empty do not exist.
    """
    height, width = (int(side * z) // block * block for side, z in zip(x0.shape[-2:], zoom, strict=True))
    h, w = round(height / zoom[0]), round(width / zoom[1])
    top, left = (x0.shape[-2] - h) // 2, (x0.shape[-1] - w) // 2
    x = resampled(periodic_component(x0[..., top : top + h, left : left + w]), height, width)
    return x + white_noise(1, height, width, 0, APART) / (255 * 12**0.5)


def resampled(x: Tensor, height: int, width: int) -> Tensor:
    """The trigonometric polynomial through the torus x [n,3,H,W], on a grid of height x width."""
    return torch.from_numpy(resample(resample(x.numpy(), height, axis=2), width, axis=3))


def weighting(f: PortillaSimoncelli, mu: Tensor, joint: bool) -> Tensor:
    """Of squared differences, so that their sum is the mean over statistics of ((f(x) - mu) / unit)^2: [1,dim]."""
    weights = 1 / mu.abs().clamp_min(1) ** 2
    weights[:, f.groups["var_highpass_residual"]] *= HIGHPASS**2
    for name, indices in f.groups.items():
        if name == "pixel_range" or not (joint or name in MARGINAL):
            weights[:, indices] = 0
    return weights / (weights > 0).sum()
