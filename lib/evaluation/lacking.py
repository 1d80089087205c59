"""What samples lack, in words that are not the model's: Portilla & Simoncelli's statistics of samples and of tiles.

A sample is made from a tile of a photograph. How far are its statistics from the tile's, squared, against how far those
of another tile are? Nothing, where a statistic is matched or follows from what is; one, where the sample might be
another piece of the photograph; more, where it could not be. The question is asked kind by kind: a distance says that
something is wrong, a kind of statistic what.

Tiles go through the JPEG in which samples are packed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lib.evaluation import shipped
from lib.evaluation.protocol import LEAST, SOURCES, TILE, Protocol, bytes_of
from lib.statistics.portilla import Channels, PortillaSimoncelli
from lib.statistics.quadratic import periodic_component

ORIENTATIONS, COLOURS, SCALES = 4, 3, 4  # of the statistics as they are by default
FINE = 2  # scales that are called fine
EMPTY = 1e-12  # mean square between tiles of a statistic that is none, such as a correlation of a channel with itself
KINDS = {
    "pixels: moments": ("pixel_statistics", "rgb_moments", "covariance"),
    "scales: strength": ("std_reconstructed", "magnitude_std", "real_std"),
    "scales: skew, kurtosis": ("skew_reconstructed", "kurtosis_reconstructed"),
    "above the finest scale": ("var_highpass_residual",),
    "neighbouring pixels": ("auto_correlation_reconstructed", "autocorrelation", "lowpass"),
    "waves: other colours": ("real", "real_lowpass"),
    "waves: next scale": ("cross_scale_correlation_real", "real_parent"),
    "contrast: neighbours": ("auto_correlation_magnitude",),
    "contrast: other angles": ("cross_orientation_correlation_magnitude",),
    "contrast: next scale": ("cross_scale_correlation_magnitude", "magnitude_parent"),
}
GREY, FINE_COLOURS, COARSE_COLOURS = "contrast: grey, colour", "contrast: two colours, fine", "the same, coarse"


@dataclass(frozen=True)
class Kind:
    """`number` statistics of one kind, and how far samples are by `method`."""

    name: str
    number: int
    distance: Mapping[str, float]


def kinds(f: PortillaSimoncelli) -> dict[str, Tensor]:
    """Where in f(x) each kind is: those of KINDS, and contrasts (magnitudes) of two colours at equal angles and place.

    With the two colours that are none of grey, the finest scales apart from the others.
    """
    found = {name: torch.cat([f.groups[group] for group in groups]) for name, groups in KINDS.items()}
    colour = torch.arange(COLOURS).repeat_interleave(ORIENTATIONS)
    pairs = (colour[:, None] < colour).nonzero()
    alike = (pairs % ORIENTATIONS).diff(dim=1)[:, 0] == 0
    grey = colour[pairs[:, 0]] == 0
    magnitudes = f.groups["magnitude"].view(SCALES, -1)
    found[GREY] = magnitudes[:, alike & grey].flatten()
    found[FINE_COLOURS] = magnitudes[:FINE, alike & ~grey].flatten()
    found[COARSE_COLOURS] = magnitudes[FINE:, alike & ~grey].flatten()
    return found


def lacking(
    methods: tuple[str, ...], exemplars: tuple[str, ...], folder: Path = shipped.SHIPPED
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """(exemplar, statistics of its tiles and of its first samples by each of `methods`), float64 [n,dim].

    "tiles" has the tiles; sample 8 j + k of a method is of tile k. Samples are those packed in `folder`.
    """
    f = PortillaSimoncelli((TILE, TILE))
    for exemplar in exemplars:
        tiles = shipped.packed(bytes_of(Protocol(LEAST).sources(exemplar)))[1]
        samples = {method: shipped.images(method, exemplar, folder).images[:LEAST] for method in methods}
        yield exemplar, {method: measured(f, x) for method, x in {"tiles": tiles, **samples}.items()}


def measured(f: PortillaSimoncelli, images: Tensor) -> Tensor:
    """f of uint8 [n,3,H,W], each less its frame: float64 [n,dim]."""
    x = images.float() / 255
    with torch.no_grad():
        return torch.cat([f(periodic_component(one[None])) for one in x]).double()


def by_kind(statistics: Mapping[str, Mapping[str, Tensor]]) -> list[Kind]:
    """Of what `lacking` found of each exemplar: geometric means of distances over a kind's statistics and exemplars."""
    distances = {exemplar: between(found) for exemplar, found in statistics.items()}
    methods = next(iter(distances.values()))
    made = []
    for name, where in kinds(PortillaSimoncelli((TILE, TILE))).items():
        far = {m: torch.stack([d[m][where] for d in distances.values()]) for m in methods}
        made.append(Kind(name, len(where), {m: float(v.nanmean().exp()) for m, v in far.items()}))
    return made


def between(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Logarithms of the mean square between sample and tile over that between two tiles, by method: [dim].

    "not a number" where tiles do not differ.
    """
    tiles = found["tiles"]
    apart = (tiles[:, None] - tiles).square().sum((0, 1)) / (SOURCES * (SOURCES - 1))
    unit = torch.where(apart > EMPTY, apart, torch.nan)
    far = {m: (s.unflatten(0, (-1, SOURCES)) - tiles).square().mean((0, 1)) for m, s in found.items() if m != "tiles"}
    return {m: (d / unit).clamp_min(EMPTY).log() for m, d in far.items()}


def colours_alone(images: Tensor, strength: float = 0.18) -> Tensor:
    """Images [n,3,H,W] all of one grey, their colours less the mean colour, so strong in the first: [n,3,H,W]."""
    channels = Channels.opponent()
    u = channels.of(images)
    u = u - u.mean((2, 3), keepdim=True)
    u[:, 0] = 0
    return channels.image(u * (strength / u[0, 1:].std().clamp_min(1 / 255))).clamp(0, 1)
