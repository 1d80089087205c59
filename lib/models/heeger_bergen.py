"""Pyramid-based texture analysis and synthesis (Heeger & Bergen 1995).

A texture is the histograms of its pixels and of the bands of its steerable pyramid. From white noise: match the
histogram of the pixels, then again and again those of the bands, collapse the pyramid, and that of the pixels. A colour
texture is three grey ones: its principal colours (mean and principal axes of its pixels) are uncorrelated, and each is
synthesised by itself. With 4 scales and 4 orientations there are 57 histograms, 18 bands and the pixels of each colour.

What is kept is each band's marginal, nothing of where the bands are large together; so edges, which are large in many
bands at once, come apart. That is the method's known limit, and what Portilla & Simoncelli (2000) set out to mend.

Mixtures: the paper's, as they are commonly retold, are the pattern of one texture in the palette of another. Here both
are weighted means. Means of histograms are taken as means of quantile functions (Wasserstein's barycentre), so that a
mixture of one texture with itself is that texture; adding the counts instead would make two modes out of two means.

An exemplar's edges are reflected, as in the paper. Its periodic component (Briand et al. 2014) has less variance than
its pixels, whose histogram the bands could then not agree with. A departure: histograms are matched by rank, exactly,
rather than through tables of bins.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.images import check_image
from lib.samplers.match import canvas
from lib.samplers.project import histogram_distance, match_histogram, project, quantiles
from lib.samplers.step import Step, checked_count, checked_size, cut, white_noise
from lib.statistics.pyramid import SteerablePyramid, deepest

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


def reflected(x: Tensor) -> Tensor:
    """x [...,H,W] beside and above its mirror images, [...,2H,2W]: a torus without a jump; x is the first quarter."""
    x = torch.cat([x, x.flip(-1)], -1)
    return torch.cat([x, x.flip(-2)], -2)


def levelled(bands: Tensor) -> Tensor:
    """Bands [...,M] without their means, of the same mean squares.

    A slope across the exemplar is a mean in the bands of odd filters, which those of a torus cannot have. Left in, its
    share of the pixels' variance would be made up for by all other bands.
    """
    centred = bands - bands.mean(-1, keepdim=True)
    power, left = (b.square().mean(-1, keepdim=True) for b in (bands, centred))
    return centred * (power / left.clamp_min(1e-12)).sqrt()


@dataclass(frozen=True)
class Histograms:
    """Sorted values of a texture's principal colours, [3,M], and of the levels of their pyramids, [3,bands,M] each."""

    pixels: Tensor
    levels: list[Tensor]

    @classmethod
    def of(cls, z: Tensor, scales: int, orientations: int) -> "Histograms":
        """Of principal colours [3,H,W] whose opposite edges need not meet."""
        torus = reflected(z)
        height, width = torus.shape[-2:]
        levels = SteerablePyramid(height, width, scales, orientations, subsampled=False).analyse(torus[None])
        # the other three quarters have their oriented bands the wrong way round
        quarters = [level[0, :, :, : z.shape[-2], : z.shape[-1]] for level in levels]
        return cls(z.flatten(1).sort().values, [levelled(quarter.flatten(2)).sort().values for quarter in quarters])

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
    """What is synthesised: principal colours, the histograms in them, and the pyramid of the torus to work on."""

    colours: Colours
    histograms: Histograms
    pyramid: SteerablePyramid

    @classmethod
    def of(
        cls,
        exemplars: Sequence[Tensor],
        pattern: Tensor,
        palette: Tensor,
        torus: tuple[int, int],
        scales: int = SCALES,
        orientations: int = ORIENTATIONS,
    ) -> "Texture":
        """The mixture of exemplars [1,3,H,W]; `pattern` weighs the bands, `palette` the colours: [k], of sum one.

        `scales` is cut down to what the torus and every exemplar have room for.
        """
        scales = min(checked_count("scales", scales), *(deepest(*x.shape[-2:]) for x in exemplars))
        pyramid = SteerablePyramid(*torus, scales, orientations)
        means = torch.stack([x.mean((0, 2, 3)) for x in exemplars])
        covariances = torch.stack([x[0].flatten(1).cov(correction=0) for x in exemplars])
        colours = Colours.of(palette @ means, torch.einsum("k,kij->ij", palette, covariances))
        found = []
        for x, mean, covariance in zip(exemplars, means, covariances, strict=True):
            own = Colours.of(mean, covariance).towards(colours)
            found.append(Histograms.of(own.principal(x[0]), pyramid.scales, orientations))
        return cls(colours, Histograms.mean(found, palette, pattern), pyramid)

    def match_pixels(self, z: Tensor) -> Tensor:
        """Principal colours [n,3,...] with the texture's histograms, each of the n by itself."""
        return match_histogram(z.flatten(2), self.histograms.pixels).view(z.shape)

    def match_bands(self, planes: Tensor, colour: int) -> Tensor:
        """Planes [P,H,W] of one principal colour, the histograms of their bands matched over all planes together."""
        matched = []
        for level, source in zip(self.pyramid.analyse(planes[None]), self.histograms.levels, strict=True):
            bands = level[0].transpose(0, 1)
            matched.append(match_histogram(bands.flatten(1), source[colour]).view(bands.shape).transpose(0, 1)[None])
        return self.pyramid.collapse(matched)[0]

    def distance(self, planes: Tensor, colour: int) -> Tensor:
        """The mean square change, added up over bands, that `match_bands` would make: a number."""
        levels = zip(self.pyramid.analyse(planes[None]), self.histograms.levels, strict=True)
        changes = [histogram_distance(level[0].transpose(0, 1).flatten(1), source[colour]) for level, source in levels]
        return torch.cat(changes).sum()

    @property
    def variance(self) -> Tensor:
        """Of bands and colours, added up, and not zero: what distances of the three colours are measured by."""
        levels = [source.var(-1, correction=0).sum() for source in self.histograms.levels]
        return torch.stack(levels).sum().clamp_min(1e-12)


def checked_weights(name: str, weights: Sequence[float] | None, k: int) -> Tensor:
    """k non-negative numbers that add up to one, from what a user gives: [k]. None is equal weights."""
    try:
        w = torch.tensor([1.0] * k if weights is None else [float(w) for w in weights])
    except (TypeError, ValueError):
        w = torch.empty(0)
    if len(w) != k or not torch.isfinite(w).all() or w.min() < 0 or w.sum() == 0:
        raise TextureError(f"{name} is {weights!r}; give {k} non-negative numbers, not all 0, one for each exemplar")
    return w / w.sum()


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
    yield from heeger_bergen_mixture_steps(
        [check_image(x0, "x0")],
        n,
        size,
        seed,
        tileable,
        scales=scales,
        orientations=orientations,
        iterations=iterations,
    )


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
    bands = checked_weights("pattern", pattern, len(images))
    colours = checked_weights("palette", palette, len(images))
    checked_count("n", n), checked_count("seed", seed, 0), checked_count("iterations", iterations)
    height, width = checked_size(size, images[0])
    torus = canvas(height, width, tileable)
    texture = Texture.of(images, bands, colours, torus, scales, orientations)

    # plane by plane: in a batch, rounding would depend on how many there are
    def match_bands(z: Tensor) -> Tensor:
        planes = [texture.match_bands(plane[None], i % 3) for i, plane in enumerate(z.flatten(0, 1))]
        return torch.cat(planes).view(z.shape)

    def left(z: Tensor) -> Tensor:
        changes = [texture.distance(plane[None], i % 3) for i, plane in enumerate(z.flatten(0, 1))]
        return torch.stack(changes).view(-1, 3).sum(1) / texture.variance

    start = texture.match_pixels(white_noise(n, *torus, seed))
    records = project([match_bands, texture.match_pixels], start, iterations, left, texture.colours.pixels)
    yield from cut(records, height, width)
