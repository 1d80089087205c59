"""Pyramid-based texture analysis and synthesis (Heeger & Bergen 1995).

A texture is the histograms of its pixels and of the bands of its steerable pyramid. From white noise: match the
histogram of the pixels, then again and again those of the bands, collapse the pyramid, and that of the pixels
(sec. 3). A colour texture is three grey ones: its principal colours (mean and principal axes of its pixels) are
uncorrelated, and each is synthesised by itself.

What is kept is each band's marginal, nothing of where the bands are large together; so edges, which are large in many
bands at once, come apart. That is the method's known limit, and what Portilla & Simoncelli (2000) set out to mend.

Mixtures: the paper's are the pattern of one texture in the palette of another. Here both pattern and palette are
weighted means. Means of histograms are taken as means of quantile functions (Wasserstein's barycentre), so that a
mixture of one texture with itself is that texture; adding the counts instead would make two modes out of two means.

Departures from the paper: histograms are matched by rank rather than through tables of bins;
an exemplar's opposite edges are made to meet by its periodic component (Moisan 2011; so do Briand et al. 2014) rather
than by reflection.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.images import check_image
from lib.samplers.match import canvas
from lib.samplers.project import histogram_distance, match_histogram, project, quantiles
from lib.samplers.step import Step, checked_count, checked_size, white_noise
from lib.statistics.pyramid import SteerablePyramid, deepest
from lib.statistics.quadratic import periodic_component

SCALES, ORIENTATIONS, ITERATIONS = 4, 4, 5
GREY_LEVEL = 1 / 255  # a colour that varies by less than this is no colour of the texture


@dataclass(frozen=True)
class Colours:
    """The principal colours of a texture: pixels are mean + axes z, and the three z are uncorrelated, of variance one.

    `mean` [3]; the columns of `axes` [3,3] are orthogonal, longest first, as long as their colours' deviation.
    """

    mean: Tensor
    axes: Tensor

    @classmethod
    def of(cls, mean: Tensor, covariance: Tensor) -> "Colours":
        """From the moments of pixels, [3] and [3,3]; an axis points to the light."""
        variances, vectors = torch.linalg.eigh(covariance)
        axes = (vectors * variances.clamp_min(GREY_LEVEL**2).sqrt()).flip(1)
        return cls(mean, axes * torch.where(axes.sum(0) < 0, -1.0, 1.0))

    def towards(self, other: "Colours") -> "Colours":
        """These colours with each axis turned round, where need be, to the side on which the other's lies."""
        return Colours(self.mean, self.axes * torch.where((self.axes * other.axes).sum(0) < 0, -1.0, 1.0))

    def principal(self, x: Tensor) -> Tensor:
        """Pixels [...,3,H,W] -> z [...,3,H,W]."""
        inverse = self.axes / self.axes.square().sum(0)
        return torch.einsum("ij,...ihw->...jhw", inverse, x - self.mean[:, None, None])

    def pixels(self, z: Tensor) -> Tensor:
        """z [...,3,(D,)H,W] -> pixels."""
        spatial = z.ndim - 2
        mean = self.mean.reshape(3, *[1] * spatial)
        return mean + torch.einsum("ij,bj...->bi...", self.axes, z)


@dataclass(frozen=True)
class Histograms:
    """Sorted values of a texture's principal colours, [3,M], and of the levels of their pyramids, [3,bands,M] each."""

    pixels: Tensor
    levels: list[Tensor]

    @classmethod
    def of(cls, z: Tensor, scales: int, orientations: int) -> "Histograms":
        """Of principal colours [3,H,W] whose opposite edges need not meet."""
        pyramid = SteerablePyramid(*z.shape[-2:], scales, orientations)
        levels = pyramid.analyse(periodic_component(z[None]))
        return cls(z.flatten(1).sort().values, [level[0].flatten(2).sort().values for level in levels])

    @classmethod
    def mean(cls, members: Sequence["Histograms"], pixels: Tensor, bands: Tensor) -> "Histograms":
        """Means of quantile functions, with a weight for each member's pixels and one for its bands."""

        def mixed(weights: Tensor, values: Sequence[Tensor]) -> Tensor:
            most = max(v.shape[-1] for v in values)
            return torch.einsum("k,k...->...", weights, torch.stack([quantiles(v, most) for v in values]))

        levels = zip(*(h.levels for h in members), strict=True)
        return cls(mixed(pixels, [h.pixels for h in members]), [mixed(bands, level) for level in levels])


@dataclass(frozen=True)
class Texture:
    """What is synthesised: principal colours, the histograms in them, and the pyramid that these are of."""

    colours: Colours
    histograms: Histograms
    scales: int
    orientations: int

    @classmethod
    def of(
        cls, exemplars: Sequence[Tensor], pattern: Tensor, palette: Tensor, scales: int, orientations: int
    ) -> "Texture":
        """The mixture of exemplars [1,3,H,W]; `pattern` weighs the bands, `palette` the colours: [k], of sum one."""
        own = [Colours.of(x[0].mean((1, 2)), x[0].flatten(1).cov(correction=0)) for x in exemplars]
        mean = palette @ torch.stack([c.mean for c in own])
        covariance = torch.einsum("k,kij->ij", palette, torch.stack([c.axes @ c.axes.T for c in own]))
        colours = Colours.of(mean, covariance)
        found = [
            Histograms.of(c.towards(colours).principal(x[0]), scales, orientations)
            for c, x in zip(own, exemplars, strict=True)
        ]
        return cls(colours, Histograms.mean(found, palette, pattern), scales, orientations)

    def match_pixels(self, z: Tensor) -> Tensor:
        """Principal colours [n,3,...] with the texture's histograms, each of the n by itself."""
        return match_histogram(z.flatten(2), self.histograms.pixels).view(z.shape)

    def match_bands(self, planes: Tensor, pyramid: SteerablePyramid, colour: int) -> Tensor:
        """Planes [P,H,W] of one principal colour, the histograms of their bands matched over all planes together."""
        matched = []
        for level, source in zip(pyramid.analyse(planes[None]), self.histograms.levels, strict=True):
            bands = level[0].transpose(0, 1)
            matched.append(match_histogram(bands.flatten(1), source[colour]).view(bands.shape).transpose(0, 1)[None])
        return pyramid.collapse(matched)[0]

    def band_distance(self, planes: Tensor, pyramid: SteerablePyramid, colour: int) -> Tensor:
        """The mean square change, added up over bands, that planes [P,H,W] would need: a number."""
        levels = zip(pyramid.analyse(planes[None]), self.histograms.levels, strict=True)
        return torch.cat([
            histogram_distance(level[0].transpose(0, 1).flatten(1), source[colour]) for level, source in levels
        ]).sum()  # fmt: skip

    @property
    def variance(self) -> Tensor:
        """Of the bands, added up: what `band_distance` of the three colours together is measured by."""
        return torch.stack([source.var(-1, correction=0).sum() for source in self.histograms.levels]).sum()


def checked_weights(name: str, weights: Sequence[float] | None, k: int) -> Tensor:
    """k non-negative numbers that add up to one, from what a user gives: [k]. None is equal weights."""
    try:
        w = torch.tensor([1.0] * k if weights is None else [float(w) for w in weights])
    except (TypeError, ValueError):
        w = torch.empty(0)
    if len(w) != k or not torch.isfinite(w).all() or w.min() < 0 or w.sum() == 0:
        raise TextureError(f"{name} is {weights!r}; give {k} non-negative numbers, not all 0, one for each exemplar")
    return w / w.sum()


def _steps(
    exemplars: Sequence[Tensor],
    pattern: Tensor,
    palette: Tensor,
    n: int,
    size: int | tuple[int, int] | None,
    seed: int,
    tileable: bool,
    scales: int,
    orientations: int,
    iterations: int,
) -> Iterator[Step]:
    checked_count("n", n), checked_count("seed", seed, 0), checked_count("iterations", iterations)
    height, width = checked_size(size, exemplars[0])
    torus = canvas(height, width, tileable)
    scales = min(checked_count("scales", scales), deepest(*torus), *(deepest(*x.shape[-2:]) for x in exemplars))
    pyramid = SteerablePyramid(*torus, scales, orientations)
    texture = Texture.of(exemplars, pattern, palette, scales, orientations)

    def bands(z: Tensor) -> Tensor:
        planes = [texture.match_bands(image[i : i + 1], pyramid, i) for image in z for i in range(3)]
        return torch.cat(planes).view(z.shape)

    def left(z: Tensor) -> Tensor:
        distances = [texture.band_distance(image[i : i + 1], pyramid, i) for image in z for i in range(3)]
        return torch.stack(distances).view(-1, 3).sum(1) / texture.variance.clamp_min(1e-12)

    start = texture.match_pixels(white_noise(n, *torus, seed))
    rounds = project([bands, texture.match_pixels], start, iterations, left, texture.colours.pixels)
    for record in rounds:
        yield Step(record.image[..., :height, :width], record.loss, record.step, record.steps)


def heeger_bergen_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    scales: int = SCALES,
    orientations: int = ORIENTATIONS,
    iterations: int = ITERATIONS,
) -> Iterator[Step]:
    """n textures [n,3,H,W] with the band and pixel histograms of x0 [3,H,W] in [0,1], one record an iteration.

    `loss` is the mean square change that would still give the bands their histograms, as a share of their variance.
    Principal colours have the exemplar's histograms exactly after every iteration, over the torus that is worked on;
    pixels that leave [0,1] on the way back to RGB are clipped. `scales` is at most what exemplar and texture have room
    for; `size` is (height, width), one number for both, or None for x0's own. Sample i depends on (seed, i) alone.
    `tileable` makes opposite edges meet; otherwise the texture is cut from a slightly larger one.

    Raises TextureError for an x0 that is no image in [0,1] of at least 32x32, or a setting out of range.
    """
    x0 = check_image(x0, "x0")
    one = torch.ones(1)
    yield from _steps([x0], one, one, n, size, seed, tileable, scales, orientations, iterations)


def heeger_bergen_mixture_steps(
    exemplars: Sequence[Tensor],
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    pattern: Sequence[float] | None = None,
    palette: Sequence[float] | None = None,
    scales: int = SCALES,
    orientations: int = ORIENTATIONS,
    iterations: int = ITERATIONS,
) -> Iterator[Step]:
    """Textures between several exemplars [3,H,W] of any sizes; other arguments and records as `heeger_bergen_steps`.

    `pattern` is a weight for each exemplar's bands, `palette` for its colours: equal ones for None, and they need not
    add up to one. pattern=(1, 0), palette=(0, 1) is the paper's mixture, the first texture in the colours of the
    second. `size` None is the first exemplar's.

    Raises TextureError for no exemplars, one that is no image, or weights that are not one non-negative number each.
    """
    if isinstance(exemplars, Tensor) or len(exemplars) == 0:
        raise TextureError("exemplars is no list of images; give one or more, each [3,H,W]")
    images = [check_image(x, f"exemplars[{i}]") for i, x in enumerate(exemplars)]
    weights = [checked_weights(name, w, len(images)) for name, w in (("pattern", pattern), ("palette", palette))]
    yield from _steps(images, *weights, n, size, seed, tileable, scales, orientations, iterations)
