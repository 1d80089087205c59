"""Portilla & Simoncelli 2000: the texture with an exemplar's joint statistics of complex wavelet coefficients.

From noise, x is changed until f(x) = f(x0), with f of lib/statistics/portilla.py. Where this departs from the paper:

- L-BFGS on a sum of squares in place of a cycle of adjustments, one kind of statistics after another (plenoptic's
  choice; its loss leaves out minimum and maximum, as here, and clipping keeps pixels within their range);
- statistics that have a size (standard deviations, kurtosis above one) are measured in it, correlations as they are; a
  kind of n statistics weighs as sqrt(n). Were all to weigh the same, the few moments would be drowned by thousands of
  correlations, and specks would show it; plenoptic gives the variance above the finest scale a weight for that reason;
- the search goes through the principal channels, so that colours an exemplar does not have cannot appear; and as in
  lib/samplers/match.py it starts from a Gaussian texture x = m + S^(1/2) z and goes through w, x = m + S^(1/4) w;
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

from lib.samplers.descend import descend
from lib.samplers.match import LAG, spectral
from lib.samplers.step import APART, Step, checked_common, checked_count, white_noise
from lib.statistics.gaussian import GaussianTexture, smooth_autocovariance
from lib.statistics.portilla import WIDTH, Channels, PortillaSimoncelli
from lib.statistics.quadratic import periodic_component

ITERATIONS = 80
SIZES = ("std_reconstructed", "magnitude_std", "var_highpass_residual", "real_std")
MARGINAL = (*SIZES, "pixel_statistics", "skew_reconstructed", "kurtosis_reconstructed", "rgb_moments")
UNSEEN = 0.03  # of a channel's standard deviation; a band that is weaker need not be matched in its own units


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
    x0, (height, width) = checked_common(x0, n, size, seed)
    checked_count("iterations", iterations)
    checked_count("scales", scales, 2), checked_count("orientations", orientations, 2)
    scales = fitting(scales, x0.shape[-2:] + ((height, width) if tileable else ()))
    block = 2**scales
    torus = (up(max(height, WIDTH * block), block), up(max(width, WIDTH * block), block))
    zoom = (torus[0] / height, torus[1] / width) if tileable else (1.0, 1.0)
    x0 = measurable(x0, block, zoom)

    channels = Channels.principal(x0)
    with torch.no_grad():
        mu = PortillaSimoncelli((x0.shape[-2], x0.shape[-1]), scales, orientations, channels)(x0)
    f = PortillaSimoncelli(torus, scales, orientations, channels)
    weights = weighting(f, mu, joint)

    def mismatch(x: Tensor) -> Tensor:
        return ((f(x) - mu).square() * weights).sum(1)

    # without joint statistics the Gaussian texture has none either: its autocovariance is cut off at lag 0
    lag = min(LAG, min(x0.shape[-2:]) // 2 - 1) if joint else 0
    gaussian = GaussianTexture(*smooth_autocovariance(channels.of(x0), lag))
    fourth_root = spectral(gaussian, *torus)(0.25)
    noise = white_noise(n, *torus, seed)[:, : len(channels.analysis)]
    starts = torch.cat([fourth_root(z[None]) for z in noise])
    for record in descend(mismatch, starts, iterations, lambda w: channels.image(fourth_root(w))):
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
    """Weights of squared differences, so that their sum is a mean of ((f(x) - mu) / unit)^2: [1,dim]."""
    weights = torch.zeros_like(mu)
    for name, indices in f.groups.items():
        least = UNSEEN**2 if name == "var_highpass_residual" else UNSEEN if name in SIZES else 1
        unit = mu[:, indices].abs().clamp_min(least)
        if name != "pixel_range" and (joint or name in MARGINAL):
            weights[:, indices] = 1 / (unit**2 * len(indices) ** 0.5)
    return weights / sum(len(indices) ** 0.5 for indices in f.groups.values() if weights[0, indices[0]] > 0)
