"""Julesz's question put to the statistics of every model: which pairs of textures can f tell apart?

    python -m lib.evaluation.discriminability OUT

Julesz (1962) asked which statistics the eye compares, with textures made to agree in some of them. The same textures
test a model: where two laws have equal E f, f cannot tell one from the other, nor can a synthesis that has only f to go
by. The measure is d', a difference of means in standard deviations, along the direction w that half of the samples say
is the best:

    w  = (mean f_A - mean f_B) / variance             on one half of m samples, statistic by statistic
    d' = w.(mean f_A - mean f_B) / deviation of w.f   means on the other half, deviation on the first

and the same with the halves exchanged; d' is the mean of the two. Direction and unit are independent of the means that
are compared, so that d' is zero in expectation, exactly, wherever E f agrees, whatever else differs between the laws.
In w the variance is shrunk towards the total one, by 1/m of the squared difference: what did not vary in m samples may
in the next. Correlations of statistics are left out (there are more statistics than samples), so that a better observer
of one image may have more, and so has one who learns w from more textures. The standard error is by resampling images
within the halves (bootstrap): half the width of the middle 68 % of resamples.

Textures are tori of SIDE x SIDE grey pixels: boxes and coins drawn in cells of CELL x CELL, micropatterns at their
random places. The statistics are those of the models, measured in grey (pixels, autocovariances and histograms once
instead of for three equal colours); autocovariances up to LAG, and histograms of pyramid bands by LEVELS quantiles.
Bergen & Adelson's energies (lib/statistics/texton.py) belong to no model of the table, and stand with the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import isqrt
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from torch import Tensor

import lib
from lib.command import run
from lib.energy import Statistics
from lib.errors import TextureError
from lib.evaluation import rows as rows_of
from lib.samplers.step import checked_count
from lib.statistics import principal
from lib.statistics.backbone import load_backbone
from lib.statistics.channels import ChannelMeans, chosen, smooth
from lib.statistics.filters import FilterMarginals
from lib.statistics.gaussian import autocovariance
from lib.statistics.gram import Gram
from lib.statistics.julesz import DOT, UNIT, box_texture, coins, four_dots
from lib.statistics.portilla import Channels, PortillaSimoncelli
from lib.statistics.pyramid import SteerablePyramid
from lib.statistics.sliced_wasserstein import SlicedWasserstein, quantiles
from lib.statistics.texton import INTENSITY, LENGTH, SIZE, SPACING, centre_surround, micropatterns, scattering

SHIPPED = Path(__file__).parent / "julesz"
TABLE = "discriminability.csv"
SIDE, CELL = 96, 2  # pixels
CELLS = SIDE // CELL
BIAS, STAY = 0.55, 0.6  # chances of a white pixel, and that a pixel repeats its left neighbour
PATTERNS = 16  # of dots, in a texture
SAMPLES, RESAMPLES = 48, 100
LAG, LEVELS = 8, 16
SIZES = (SIZE / 2, SIZE, 2 * SIZE)  # of the centres of Bergen & Adelson's energies
SCALES = 3  # of Portilla & Simoncelli: as many as SIDE has room for
ROUNDING = 1e-4  # of a statistic's size: it is not known any better
GREY = Channels(torch.full((3,), 0.5), torch.full((1, 3), 1 / 3), torch.ones(3, 1))


def celled(signs: Tensor) -> Tensor:
    """-1 and +1 [CELLS,CELLS] as black and white cells: [SIDE,SIDE]."""
    return ((1 + signs) / 2).repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)


def boxed(kind: str, seed: int) -> Tensor:
    """Boxes of lib/statistics/julesz.py. They close on a torus of an even number of cells, the odd ones too."""
    return celled(box_texture(kind, CELLS, CELLS, seed))


def biased(seed: int) -> Tensor:
    """Coins that fall white too often: another first order."""
    u = torch.rand(CELLS, CELLS, generator=torch.Generator().manual_seed(seed))
    return celled(torch.where(u < BIAS, 1.0, -1.0))


def streaks(seed: int) -> Tensor:
    """Fair coins that like to repeat their left neighbour: another second order, the same first."""
    g = torch.Generator().manual_seed(seed)
    turns = torch.where(torch.rand(CELLS, CELLS, generator=g) < STAY, 1.0, -1.0)
    rows = coins(CELLS, 1, generator=g) * turns.cumprod(1)
    return celled(rows.roll(int(torch.randint(0, CELLS, (1,), generator=g)), 1))  # the seam lies anywhere


def shapes(which: int, seed: int) -> Tensor:
    """Xs (0) or Ls (1) of one mean luminance, for which the bars of the one are brighter, turned at random."""
    angle, place = (part[: (SIDE // SPACING) ** 2] for part in scattering(seed))
    patches, xs = (micropatterns(shape, LENGTH, angle, place) for shape in ("XL"[which], "X"))
    return scattered(INTENSITY * xs.sum((1, 2)).mean() * patches / patches.sum((1, 2), keepdim=True))


def dotted(which: int, seed: int) -> Tensor:
    """Trapezoids (0) or kites (1) of four dots, turned and placed at random: equal dipoles.

    Each anywhere, so that two patterns know nothing of each other; dots that meet add up.
    """
    g = torch.Generator().manual_seed(seed)
    angle, place = 2 * torch.pi * torch.rand(PATTERNS, 1, generator=g), SIDE * torch.rand(PATTERNS, 1, 2, generator=g)
    x, y = (UNIT * four_dots()[which]).T
    turned = torch.stack([angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y], 2)
    dots = (place + turned).flatten(0, 1)
    away = (torch.arange(SIDE) - dots[..., None] + SIDE / 2) % SIDE - SIDE / 2  # on the torus, along each axis
    down, right = torch.exp(-away.square() / (2 * DOT**2)).unbind(1)
    return 0.5 * down.T @ right


def scattered(patches: Tensor) -> Tensor:
    """Patches [n^2,2S,2S] on a torus, S = SPACING pixels apart, added up where they overlap, to 1 at most: [nS,nS]."""
    side = isqrt(len(patches)) * SPACING
    wide = F.fold(patches.flatten(1).T[None], side + SPACING, 2 * SPACING, stride=SPACING)[0, 0]
    wide[:SPACING] += wide[side:]
    wide[:, :SPACING] += wide[:, side:]
    return wide[:side, :side].clamp(max=1)


Law = Callable[[int], Tensor]  # seed -> [SIDE,SIDE] in [0,1]
RANDOM = partial(boxed, "random")
PAIRS: dict[str, tuple[Law, Law]] = {
    "one law": (RANDOM, RANDOM),
    "biased, fair coins": (biased, RANDOM),
    "streaks, coins": (streaks, RANDOM),
    "Xs, Ls": (partial(shapes, 0), partial(shapes, 1)),
    "trapezoids, kites": (partial(dotted, 0), partial(dotted, 1)),
    "even, random": (partial(boxed, "even"), RANDOM),
    "odd, random": (partial(boxed, "odd"), RANDOM),
    "even, odd": (partial(boxed, "even"), partial(boxed, "odd")),
}
DIFFER: dict[str, str] = dict(zip(PAIRS, ("nowhere", "1", "2", "1", "3", "4", "4", "4"), strict=True))  # first order


def textures(pair: str, n: int = SAMPLES) -> tuple[Tensor, Tensor]:
    """n independent textures of each of a pair's two laws, [n,3,SIDE,SIDE] in [0,1], three equal colours.

    Raises TextureError for a pair that is not in PAIRS, or no whole number n.
    """
    if pair not in PAIRS:
        raise TextureError(f"no pair {pair!r}; known are {'; '.join(PAIRS)}")
    checked_count("n", n)
    a, b = (torch.stack([law(2 * i + which) for i in range(n)]) for which, law in enumerate(PAIRS[pair]))
    return a[:, None].expand(-1, 3, -1, -1), b[:, None].expand(-1, 3, -1, -1)


def separation(a: Tensor, b: Tensor, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float]:
    """d' between statistics a, b [n,d] of two laws, see above, and its standard error over `resamples` resamples.

    Raises TextureError for fewer than 16 samples of either.
    """
    if min(len(a), len(b)) < 16:
        raise TextureError(f"{len(a)} and {len(b)} samples are too few to halve and to measure; give 16 or more")
    halves = [(x[::2].double(), x[1::2].double()) for x in (a, b)]
    g = torch.Generator().manual_seed(seed)
    again = [
        crossed(*((resampled(first, g), resampled(second, g)) for first, second in halves)) for _ in range(resamples)
    ]
    low, high = torch.tensor(again).quantile(torch.tensor([0.16, 0.84])).tolist()
    return crossed(*halves), (high - low) / 2


def resampled(x: Tensor, generator: torch.Generator) -> Tensor:
    """As many rows of x [n,d], drawn with replacement."""
    return x[torch.randint(len(x), (len(x),), generator=generator)]


def crossed(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> float:
    """Mean d' over both choices of the half that gives direction and unit; a and b hold the halves, [n,d] each."""
    found = []
    for fit in (0, 1):
        difference = a[fit].mean(0) - b[fit].mean(0)
        rounding = (ROUNDING * (a[fit].mean(0).abs() + b[fit].mean(0).abs())).square() + 1e-20
        shrunk = difference.square() / len(a[fit]) + rounding
        w = difference / ((a[fit].var(0) + b[fit].var(0)) / 2 + shrunk)
        unit = ((a[fit] @ w).var() + (b[fit] @ w).var()) / 2 + w.square() @ rounding
        found.append((a[1 - fit].mean(0) - b[1 - fit].mean(0)) @ w / unit.clamp_min(1e-300).sqrt())
    return torch.stack(found).mean().item()


def pixel_moments(x: Tensor) -> Tensor:
    """Mean and variance: [B,3,H,W] -> [B,2]."""
    pixels = x[:, 0].flatten(1)
    return torch.stack([pixels.mean(1), pixels.var(1, correction=0)], 1)


def autocovariances(x: Tensor) -> Tensor:
    """Mean, and one autocovariance of each pair of lags +-tau up to LAG: [B,3,H,W] -> [B,1 + (2 LAG + 1)^2/2 + 1]."""
    mean, table = autocovariance(x, LAG)
    half = table[:, 0, 0].flatten(1)
    return torch.cat([mean[:, :1], half[:, : half.shape[1] // 2 + 1]], 1)


def energies(x: Tensor) -> Tensor:
    """Mean squares of centre less surround, at three sizes: [B,3,H,W] -> [B,3]."""
    return torch.stack([
        torch.stack([centre_surround(image, size, pool=0.0).mean() for size in SIZES]) for image in x[:, 0]
    ])  # fmt: skip


def band_quantiles(x: Tensor) -> Tensor:
    """Quantiles of the pixels and of the bands of Heeger & Bergen's pyramid: [B,3,H,W] -> [B,19 LEVELS]."""
    levels = SteerablePyramid(x.shape[-2], x.shape[-1], subsampled=False).analyse(x[:, :1])
    bands = torch.cat([x[:, :1, None], *levels], 2)[:, 0].flatten(2)
    return quantiles(bands.sort(2).values, LEVELS).flatten(1)


def statistics(example: Tensor, backbone: str = "untrained") -> dict[str, Statistics]:
    """Those of each model, by its name; `example` [3,H,W] is what FRAME's bins are made for.

    `diffusion` and `soul-learned` have those of `matching`, `random-phase` those of `gaussian`; `gan` has none.
    """
    network, marginals = load_backbone(backbone), FilterMarginals(example)
    architecture = network.architecture
    return {
        "noise": pixel_moments,
        "gaussian": autocovariances,
        "bergen-adelson": energies,
        "heeger-bergen": band_quantiles,
        "frame": lambda x: marginals.histograms(x)[:, 0].flatten(1),
        "portilla-simoncelli": PortillaSimoncelli((SIDE, SIDE), SCALES, channels=GREY),
        "deep-frame": ChannelMeans(network, [architecture.single]),
        "soul": ChannelMeans(smooth(network), chosen(network, "full")),
        "gatys": Gram(network),
        "sliced-wasserstein": SlicedWasserstein(network),
        "principal": principal.load(),
        "matching": lib.load().statistics,
    }


@dataclass(frozen=True)
class Row:
    """d' of a pair by a model's statistics, `number` of them, from n textures of each law."""

    pair: str
    model: str
    network: str
    number: int
    d: float
    error: float
    n: int


ASKING = ("deep-frame", "soul", "gatys", "sliced-wasserstein")


@torch.no_grad()
def measured(pair: str, backbone: str = "untrained", n: int = SAMPLES) -> list[Row]:
    """A row for each model."""
    both = textures(pair, n)
    rows = []
    for model, f in statistics(both[0][0], backbone).items():
        a, b = (torch.cat([f(x[None]) for x in batch]) for batch in both)  # one by one: memory
        d, error = separation(a, b)
        network = load_backbone(backbone).name if model in ASKING else ""
        rows.append(Row(pair, model, network, a.shape[1], round(d, 2), round(error, 2), n))
    return rows


def shipped(folder: Path = SHIPPED) -> list[Row]:
    """The rows of a run; those that come with the library unless another folder is named.

    Raises TextureError where there are none.
    """
    return rows_of.read(folder / TABLE, Row, "lib.evaluation.discriminability")


def compare(
    out: Annotated[Path, typer.Argument(help="Folder of the table.")],
    backbone: Annotated[str, typer.Option(help="The recogniser to ask, as in load_backbone.")] = "untrained",
    samples: Annotated[int, typer.Option(min=16, help="Textures of each law.")] = SAMPLES,
) -> None:
    """Every pair of textures by the statistics of every model."""
    rows: list[Row] = []
    for pair in PAIRS:
        rows += (found := measured(pair, backbone, samples))
        print(f"{pair:<20}", *(f"{row.model} {row.d:.1f} ({row.error:.1f})" for row in found), sep="  ", flush=True)
    rows_of.write(out / TABLE, rows)


if __name__ == "__main__":
    run(compare)
