"""Is a piece of a photograph a texture? A hand-designed homogeneity criterion.

A texture looks the same wherever one looks: whatever statistic a small block shows, each other block shows
too. So a window of 128x128 pixels is cut into blocks, and each statistic is compared *between* the blocks
with its spread *within* them: the colour, the contrast, the energy of the gradient at three scales and its
orientation. Blocks of 64 pixels, overlapping by half, say whether the window holds enough of the texture;
blocks of 32 find the single object that blocks of 64 average away. Windows go, too, that cannot be
judged or do not show a surface: flat, blurred, saturated, graphic, text, stripes.

The paper says "a hand-designed homogeneity criterion" and no more; this one is our own. It costs what decoding the
picture costs: every statistic is a mean over tiles of 32x32 pixels, taken once for all scales (see tiles.py), and
whatever a block or a window shows is the sum of a few tiles. Windows therefore start on the grid of the tiles.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lib.dataset.tiles import LEVELS, OCTAVES, PLANES, TILE, Tiles, read_tiles

SIDE = 128  # pixels of a window, the paper's patch
ACROSS = SIDE // TILE  # tiles of 32 pixels: 4x4 a window
STEP = 2  # tiles from a window to the next: neighbours share at most half

JUST_NOTICEABLE = 0.02  # five grey levels: smaller differences in colour are the camera's noise and the JPEG's
FAINT = 0.004  # one grey level: the same for gradients

Scores = dict[str, np.ndarray]


def _views() -> np.ndarray:
    """[16,10]; from a window's 4x4 tiles to its mean and to those of its 3x3 blocks of 2x2 tiles."""
    views = np.zeros((10, ACROSS, ACROSS), np.float32)
    views[0] = 1 / 16
    for i in range(9):
        views[1 + i, i // 3 : i // 3 + 2, i % 3 : i % 3 + 2] = 1 / 4
    return views.reshape(10, -1).T


VIEWS = _views()


@dataclass(frozen=True)
class Limit:
    """Where a score begins to speak against a window, and what it then says."""

    reason: str  # what the manifest says of a window beyond the limit
    value: float
    least: bool  # True: lower is refused; False: higher is
    why: str

    def excess(self, score: np.ndarray) -> np.ndarray:
        """How many times over the limit a score is; above 1 it speaks against the window."""
        return self.value / np.maximum(score, 1e-6) if self.least else score / self.value


# The one table of thresholds. The first limit that a window breaks is the reason why it goes. They were set
# on 653 photographic textures, of whose windows each costs a tenth or (mostly far) less; heterogeneity,
# which costs more, on a thousand photographs of ImageNet, where clutter barely passes each limit by itself.
LIMITS: Mapping[str, Limit] = {
    "contrast": Limit("flat", 0.025, True, "standard deviation of the colours; less is sky, paper, paint"),
    "detail": Limit("blurred", 0.015, True, "rms gradient between neighbouring pixels; less is out of focus"),
    "sharpness": Limit("blurred", 0.3, True, "fine over coarse gradient energy; an edge gives 1, a blurred edge less"),
    "clipped": Limit("saturated", 0.1, False, "share of black or white pixels; nothing to learn from"),
    "peak": Limit("graphic", 5.0, False, "fullest grey level over that of an equally wide Gaussian; flat fills: 10"),
    "coherence": Limit("stripes", 0.95, False, "1: all gradients are parallel, as of a blind or a blurred road"),
    "colour": Limit(
        "colour",
        0.10,
        False,
        "share of the variance between blocks of 64: 1/N if a block holds N elements",
    ),
    "colour_fine": Limit("colour", 0.45, False, "the same between blocks of 32, where N is a quarter"),
    "contrast_spread": Limit(
        "contrast", 0.40, False, "spread of log variance between blocks of 64; 0.4 is a factor of 1.5"
    ),
    "energy_spread": Limit(
        "energy", 0.40, False, "spread of log gradient energy between blocks of 64, worst of three scales"
    ),
    "energy_fine": Limit("energy", 0.80, False, "the same between blocks of 32, finest scale: a lone object"),
    "orientation": Limit(
        "orientation", 0.22, False, "spread of the blocks' mean gradient direction; 0: all alike, 1: at odds"
    ),
    "heterogeneity": Limit(
        "uneven", 0.45, False, "root mean square of the six above over their limits: a bit off everywhere"
    ),
    "text": Limit("text", 1.0, False, "weakest of its signs over the mark, see TEXT; from 1 all are there"),
}

# What `heterogeneity` sums up, and windows are ranked by.
BETWEEN_BLOCKS = ("colour", "colour_fine", "contrast_spread", "energy_spread", "energy_fine", "orientation")

# Text is homogeneous, and no texture. A sign counts between its two marks; text shows all signs of a row:
#   skewness    ink is little of the paper: |1-2p| / sqrt(p(1-p)) for a share p, .08 to .33; stars: sparser
#   two_levels  share of the variance between the two best classes of grey (Otsu 1979); a Gaussian gives 2/pi
#   strokes     change is at edges: mean square of the gradient over its squared mean; a Gaussian gives 4/pi
#   lines       share of the variance in the means of rows or columns: words break the lines, mortar does not
#   peak        as in LIMITS: paper has no grain
TEXT: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "written": {"skewness": (0.7, 3.3), "two_levels": (0.6, 1), "strokes": (1.9, 50), "lines": (0.09, 0.45)},
    "printed": {"two_levels": (0.8, 1), "peak": (3.5, 50)},
}


@dataclass(frozen=True)
class Windows:
    """The windows of one picture.

    rows, columns: [n] position of the upper left pixel; scores: one [n] for each entry of LIMITS.
    """

    rows: np.ndarray
    columns: np.ndarray
    scores: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.rows)

    def reasons(self) -> list[str]:
        """Why each window is dropped; "" keeps it."""
        reasons = np.full(len(self), "", dtype=object)
        for name, limit in reversed(list(LIMITS.items())):
            reasons[limit.excess(self.scores[name]) > 1] = limit.reason
        return list(reasons)


def excess(scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """[n]; how many times over its worst limit each window is; up to 1 is kept. A knob for all limits.

    Args:
        scores: one [n] for each entry of LIMITS.
    """
    return np.max([limit.excess(scores[name]) for name, limit in LIMITS.items()], axis=0)


def score(picture: np.ndarray) -> Windows:
    """Score every window of a picture.

    Args:
        picture: uint8 [H,W,3]; smaller than 128 either way has no windows.
    """
    scored = score_scales(picture, 1)
    if scored:
        return scored[0]
    none = np.zeros(0, np.float32)
    return Windows(none.astype(int), none.astype(int), dict.fromkeys(LIMITS, none))


def score_scales(picture: np.ndarray, scales: int) -> list[Windows]:
    """Score every window of a picture, of the picture halved, and so on.

    Args:
        picture: uint8 [H,W,3].
        scales: 1 to 3; those at which the picture is smaller than 128 pixels either way are left out.

    Returns:
        one a scale; positions in pixels of the picture at that scale.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(f"a picture is uint8 [H,W,3], not {picture.dtype} {list(picture.shape)}")
    seen = [_Seen(tiles) for tiles in read_tiles(picture, scales)]
    if not seen:
        return []
    scores = _scores(
        np.concatenate([s.planes for s in seen], axis=1),
        np.concatenate([s.levels for s in seen]),
        np.concatenate([s.lines for s in seen]),
    )
    ends = np.cumsum([len(s.rows) for s in seen])
    return [
        Windows(s.rows, s.columns, {name: scores[name][end - len(s.rows) : end] for name in LIMITS})
        for s, end in zip(seen, ends, strict=True)
    ]


class _Seen:
    """What the windows of one scale show.

    rows, columns: [n] their upper left pixels; planes: [planes,n,16] tiles; levels: [n,64] shares of the grey
    levels; lines: [n], variance of the means of a window's rows, or of its columns, whichever is larger.
    """

    def __init__(self, tiles: Tiles) -> None:
        h, w = tiles.means.shape[1:]
        down, right, place = _places(h, w)
        self.planes = tiles.means.reshape(len(PLANES), -1)[:, place]
        self.levels = tiles.levels.reshape(-1, LEVELS)[place].mean(axis=1)
        along = _line_variance(tiles.rows, down, right)
        across = _line_variance(tiles.columns, right, down).T
        self.lines = np.maximum(along, across).ravel()
        self.rows = np.repeat(tiles.top + down * TILE, len(right))
        self.columns = np.tile(tiles.left + right * TILE, len(down))


def _scores(planes: np.ndarray, levels: np.ndarray, lines: np.ndarray) -> Scores:
    """All scores of windows: planes [planes,n,16], levels [n,64], lines [n]; see _Seen."""
    at = {name: i for i, name in enumerate(PLANES)}
    scores: Scores = {}
    views = planes @ VIEWS  # [planes,n,10]
    whole = views[..., 0]
    mean, square = ([at[name + power] for name in ("light", "red_green", "blue_yellow")] for power in ("", "2"))
    _score_colour(scores, planes[mean], views[mean], views[square])
    first = at["xx0"]
    _score_gradient(scores, planes[first] + planes[first + 1], views[first:].reshape(OCTAVES, 3, *views.shape[1:]))
    scores["clipped"] = whole[at["clipped"]]
    light, square_light = whole[at["light"]], whole[at["light2"]]
    signs = _score_levels(scores, levels)
    signs["strokes"] = scores["detail"] ** 2 / (whole[at["modulus"]] ** 2 + 1e-12)
    signs["lines"] = lines / np.maximum(square_light - light**2, 1e-6)
    scores["text"] = np.max([_weakest(signs, marks) for marks in TEXT.values()], axis=0)
    apart = [LIMITS[name].excess(scores[name]) for name in BETWEEN_BLOCKS]
    scores["heterogeneity"] = np.sqrt(np.mean(np.square(apart), axis=0))
    return {name: scores[name].astype(np.float32) for name in LIMITS}


def _score_colour(scores: Scores, fine: np.ndarray, mean: np.ndarray, square: np.ndarray) -> None:
    """Contrast, and its share between blocks: of the light, and of it and two opponents together.

    fine: [3,n,16], means of tiles; mean, square: [3,n,10], of the window and of its blocks.
    """
    within = np.maximum(square - mean**2, 0)
    variance = within[..., 0]  # [3,n]
    scores["contrast"] = np.sqrt(variance.sum(axis=0))
    for name, blocks in (("colour", mean[..., 1:]), ("colour_fine", fine)):
        between = blocks.var(axis=-1)
        of_light = between[0] / (variance[0] + JUST_NOTICEABLE**2)
        of_all = between.sum(axis=0) / (variance.sum(axis=0) + JUST_NOTICEABLE**2)
        scores[name] = np.maximum(of_light, of_all)
    scores["contrast_spread"] = np.log(within[0, :, 1:] + JUST_NOTICEABLE**2 / 4).std(axis=-1)


def _score_gradient(scores: Scores, fine: np.ndarray, products: np.ndarray) -> None:
    """Energy and orientation of the gradient at scales 1, 2, 4, by the structure tensor.

    fine: [n,16], energies of tiles at the finest; products: [3 octaves,3,n,10], of the window and of its blocks.
    """
    xx, yy, xy = products.swapaxes(0, 1)
    total = xx + yy + FAINT**2  # [octaves,n,10]
    direction = np.stack([xx - yy, 2 * xy]) / total  # [2,octaves,n,10], of the double angle
    together, each = direction[..., 0], direction[..., 1:]
    apart = ((each - together[..., None]) ** 2).sum(axis=0).mean(axis=-1)
    energies, blocks = total[..., 0] - FAINT**2, total[..., 1:]
    scores["detail"] = np.sqrt(energies[0])
    scores["sharpness"] = energies[0] / total[2, :, 0]
    scores["energy_spread"] = np.log(blocks).std(axis=-1).max(axis=0)
    scores["energy_fine"] = np.log(fine + FAINT**2).std(axis=-1)
    scores["orientation"] = np.sqrt(apart.max(axis=0))
    scores["coherence"] = np.sqrt((together[:, 1] ** 2).sum(axis=0))


def _score_levels(scores: Scores, share: np.ndarray) -> Scores:
    """Flat fills by the histogram of 64 grey levels [n,64]; returns what it says of text."""
    level = np.arange(LEVELS, dtype=np.float32)
    below, moment = share.cumsum(axis=1), (share * level).cumsum(axis=1)
    mean = moment[:, -1:]
    apart = level - mean
    variance, third = ((share * apart**power).sum(axis=1) for power in (2, 3))
    between = (mean * below - moment) ** 2 / np.maximum(below * (1 - below), 1e-9)
    of_gaussian = 2 / np.sqrt(2 * np.pi * (variance + 1 / 12))  # two neighbouring levels at its top
    scores["peak"] = (share[:, 1:] + share[:, :-1]).max(axis=1) / np.minimum(of_gaussian, 1)
    return {
        "skewness": np.abs(third) / (variance + 1e-3) ** 1.5,
        "two_levels": between.max(axis=1) / (variance + 1e-3),
        "peak": scores["peak"],
    }


def _weakest(signs: Scores, marks: Mapping[str, tuple[float, float]]) -> np.ndarray:
    """[n]; the weakest sign of text over its mark, for the text of one row of TEXT."""
    return np.min([signs[k] / low * (signs[k] <= high) for k, (low, high) in marks.items()], axis=0)


def _line_variance(strips: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """[down,right]; variance of the means of a window's 128 rows, from strips [h,32,w], the rows of tiles."""
    wide = sum((strips[..., right + k] for k in range(1, ACROSS)), start=strips[..., right]) / ACROSS  # [h,32,right]
    first, second = wide.mean(axis=1), np.square(wide).mean(axis=1)  # [h,right]
    tall = down[:, None] + np.arange(ACROSS)
    return np.maximum(second[tall].mean(axis=1) - first[tall].mean(axis=1) ** 2, 0)


@lru_cache(maxsize=256)
def _places(h: int, w: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the windows of h x w tiles: the first tiles downwards and to the right, and the tiles of each, [n,16]."""
    down, right = _starts(h), _starts(w)
    four = np.arange(ACROSS)
    place = (down[:, None] + four)[:, None, :, None] * w + (right[:, None] + four)[:, None, :]
    return down, right, place.reshape(-1, ACROSS * ACROSS)


def _starts(tiles: int) -> np.ndarray:
    """The first tiles of windows along a side: both ends, and evenly between."""
    last = tiles - ACROSS
    return np.linspace(0, last, last // STEP + 1).round().astype(int) if last else np.zeros(1, int)
