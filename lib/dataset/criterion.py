"""Is a piece of a photograph a texture? A hand-designed homogeneity criterion.

A texture looks the same wherever one looks: whatever statistic a small block shows, each other block shows
too. So a window of 128x128 pixels is cut into blocks, and each statistic is compared *between* the blocks
with its spread *within* them: the colour, the contrast, the energy of the gradient at three scales and its
orientation. Blocks of 64 pixels, overlapping by half, say whether the window holds enough of the texture;
blocks of 32 find the single object that blocks of 64 average away. Windows go, too, that cannot be
judged or do not show a surface: flat, blurred, saturated, graphic, text, stripes.

The paper says "a hand-designed homogeneity criterion" and no more; this one is our own. It costs a dozen sums
over the picture: every statistic is a mean over tiles of 32x32 pixels, taken once, and whatever a block or a
window shows is the sum of a few tiles. Windows therefore start on the grid of the tiles.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

SIDE = 128  # pixels of a window, the paper's patch
TILE = 32  # pixels of a tile: 4x4 tiles a window
ACROSS = SIDE // TILE
STEP = 2  # tiles from a window to the next: neighbours share at most half

JUST_NOTICEABLE = (
    0.02  # five grey levels: smaller differences in colour are the camera's noise and the JPEG's
)
FAINT = 0.004  # one grey level: the same for gradients
WHITE, BLACK = 250, 5  # all three channels beyond: the sensor saw no more, or somebody cut the object out


Scores = dict[str, np.ndarray]
PerWindow = Callable[[np.ndarray], np.ndarray]  # [...,h,w] per tile -> [...,n,4,4] per window


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
    "sharpness": Limit(
        "blurred", 0.3, True, "fine over coarse gradient energy; an edge gives 1, a blurred edge less"
    ),
    "clipped": Limit("saturated", 0.1, False, "share of black or white pixels; nothing to learn from"),
    "peak": Limit(
        "graphic", 5.0, False, "fullest grey level over that of an equally wide Gaussian; flat fills: 10"
    ),
    "coherence": Limit(
        "stripes", 0.95, False, "1: all gradients are parallel, as of a blind or a blurred road"
    ),
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
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(f"a picture is uint8 [H,W,3], not {picture.dtype} {list(picture.shape)}")
    h, w = picture.shape[0] // TILE, picture.shape[1] // TILE
    if min(h, w) < ACROSS:
        none = np.zeros(0, np.float32)
        return Windows(none.astype(int), none.astype(int), dict.fromkeys(LIMITS, none))
    top, left = (picture.shape[0] - h * TILE) // 2, (picture.shape[1] - w * TILE) // 2
    picture = picture[top : top + h * TILE, left : left + w * TILE]
    rows, columns = _starts(h), _starts(w)

    def window(tiles: np.ndarray) -> np.ndarray:
        views = sliding_window_view(tiles, (ACROSS, ACROSS), axis=(-2, -1))[..., rows[:, None], columns, :, :]
        return views.reshape(*tiles.shape[:-2], -1, ACROSS, ACROSS)

    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))  # sums over planes are ten times faster
    pixels = planes.astype(np.float32) / 255 - 0.5  # centred, so that the variances lose no digits
    light = (pixels[0] + pixels[1] + pixels[2]) / 3
    scores: Scores = {}
    _score_colour(scores, pixels, light, window)
    strokes = _score_gradient(scores, light, window)
    two_levels = _score_levels(scores, planes, window)
    _score_text(scores, light, strokes, two_levels, window, rows, columns)
    apart = [LIMITS[name].excess(scores[name]) for name in BETWEEN_BLOCKS]
    scores["heterogeneity"] = np.sqrt(np.mean(np.square(apart), axis=0))
    n = len(columns)
    return Windows(
        np.repeat(top + rows * TILE, n),
        np.tile(left + columns * TILE, len(rows)),
        {name: scores[name].astype(np.float32) for name in LIMITS},
    )


def _score_colour(scores: Scores, pixels: np.ndarray, light: np.ndarray, window: PerWindow) -> None:
    """Contrast, and its share between blocks: of the light, and of three opponent channels together."""
    red, green, blue = pixels
    channels = np.stack([light, red - green, (red + green) / 2 - blue])
    mean, square = window(_tile_means(channels)), window(_tile_means(channels * channels))  # [3,n,4,4]
    variance = np.maximum(square.mean(axis=(-2, -1)) - mean.mean(axis=(-2, -1)) ** 2, 0)  # [3,n]
    scores["contrast"] = np.sqrt(variance.sum(axis=0))
    for name, blocks in (("colour", _blocks(mean)), ("colour_fine", mean)):
        between = blocks.var(axis=(-2, -1))
        of_light = between[0] / (variance[0] + JUST_NOTICEABLE**2)
        of_all = between.sum(axis=0) / (variance.sum(axis=0) + JUST_NOTICEABLE**2)
        scores[name] = np.maximum(of_light, of_all)
    within = np.maximum(_blocks(square)[0] - _blocks(mean)[0] ** 2, 0)
    scores["contrast_spread"] = np.log(within + JUST_NOTICEABLE**2 / 4).std(axis=(-2, -1))


def _score_gradient(scores: Scores, light: np.ndarray, window: PerWindow) -> np.ndarray:
    """Energy and orientation of the gradient at scales 1, 2, 4, by the structure tensor; returns strokes."""
    energies, spreads, oddities = [], [], []
    strokes = coherence = np.zeros(0)
    for octave in range(3):
        dy, dx = _gradient(light)
        energy = dx * dx + dy * dy
        side = TILE >> octave
        total = window(_tile_means(energy, side))  # [n,4,4]
        double_angle = np.stack([dx * dx - dy * dy, 2 * dx * dy])
        direction = window(_tile_means(double_angle, side))  # [2,n,4,4]
        energies.append(total.mean(axis=(-2, -1)))
        spreads.append(np.log(_blocks(total) + FAINT**2).std(axis=(-2, -1)))
        each = _blocks(direction) / (_blocks(total) + FAINT**2)
        together = direction.mean(axis=(-2, -1)) / (energies[-1] + FAINT**2)
        apart = ((each - together[..., None, None]) ** 2).sum(axis=0)
        oddities.append(np.sqrt(apart.mean(axis=(-2, -1))))
        if octave == 0:
            scores["energy_fine"] = np.log(total + FAINT**2).std(axis=(-2, -1))
            strokes = energies[0] / (window(_tile_means(np.sqrt(energy))).mean(axis=(-2, -1)) ** 2 + 1e-12)
        if octave == 1:
            coherence = np.sqrt((together**2).sum(axis=0))
        light = (light[::2, ::2] + light[1::2, ::2] + light[::2, 1::2] + light[1::2, 1::2]) / 4
    scores["detail"] = np.sqrt(energies[0])
    scores["sharpness"] = energies[0] / (energies[2] + FAINT**2)
    scores["energy_spread"] = np.max(spreads, axis=0)
    scores["orientation"] = np.max(oddities, axis=0)
    scores["coherence"] = coherence
    return strokes


def _score_levels(scores: Scores, planes: np.ndarray, window: PerWindow) -> np.ndarray:
    """Clipping, and flat fills by the histogram of 64 grey levels; returns two_levels."""
    red, green, blue = planes
    white = np.minimum(np.minimum(red, green), blue) >= WHITE
    black = np.maximum(np.maximum(red, green), blue) <= BLACK
    scores["clipped"] = window(_tile_means((white | black).astype(np.float32))).mean(axis=(-2, -1))
    h, w = planes.shape[1] // TILE, planes.shape[2] // TILE
    grey = (red.astype(np.uint16) + green + blue) // 12  # 0..63
    tile = np.arange(h).repeat(TILE)[:, None] * w + np.arange(w).repeat(TILE)
    counts = np.bincount((tile * 64 + grey).ravel(), minlength=h * w * 64).reshape(h, w, 64)
    share = window(counts.transpose(2, 0, 1)).sum(axis=(-2, -1)).T / SIDE**2  # [n,64]
    level = np.arange(64)
    below, moment = share.cumsum(axis=1), (share * level).cumsum(axis=1)
    mean = moment[:, -1:]
    variance = (share * (level - mean) ** 2).sum(axis=1)
    between = (mean * below - moment) ** 2 / np.maximum(below * (1 - below), 1e-9)
    of_gaussian = 2 / np.sqrt(2 * np.pi * (variance + 1 / 12))  # two neighbouring levels at its top
    scores["peak"] = (share[:, 1:] + share[:, :-1]).max(axis=1) / np.minimum(of_gaussian, 1)
    return between.max(axis=1) / (variance + 1e-3)


def _score_text(
    scores: Scores,
    light: np.ndarray,
    strokes: np.ndarray,
    two_levels: np.ndarray,
    window: PerWindow,
    rows: np.ndarray,
    columns: np.ndarray,
) -> None:
    """The weakest sign of text over its mark, for the kind of text that the window is more like."""
    powers = window(_tile_means(np.stack([light, light * light, light * light * light]))).mean(
        axis=(-2, -1)
    )  # [3,n]
    mean = powers[0]
    variance = np.maximum(powers[1] - mean**2, 1e-6)
    skewness = np.abs(powers[2] - 3 * mean * powers[1] + 2 * mean**3) / variance**1.5
    along, across = (
        _row_variance(light, rows, columns).ravel(),
        _row_variance(light.T, columns, rows).T.ravel(),
    )
    signs = {
        "skewness": skewness,
        "two_levels": two_levels,
        "strokes": strokes,
        "lines": np.maximum(along, across) / variance,
        "peak": scores["peak"],
    }

    def weakest(marks: Mapping[str, tuple[float, float]]) -> np.ndarray:
        return np.min([signs[k] / low * (signs[k] <= high) for k, (low, high) in marks.items()], axis=0)

    scores["text"] = np.max([weakest(marks) for marks in TEXT.values()], axis=0)


def _row_variance(light: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """[rows,columns]; variance of the means of a window's 128 rows."""
    strips = light.reshape(light.shape[0], -1, TILE).mean(axis=2)  # [H,w]
    wide = sliding_window_view(strips, ACROSS, axis=1)[:, columns].mean(axis=-1)  # [H,columns]
    return sliding_window_view(wide, SIDE, axis=0)[rows * TILE].var(axis=-1)


def _gradient(light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Central differences [H,W] down and to the right, one-sided at the border: symmetric under flips."""
    padded = np.pad(light, 1, mode="edge")
    return (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2, (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2


def _tile_means(x: np.ndarray, side: int = TILE) -> np.ndarray:
    """[...,H,W] -> [...,H/side,W/side]."""
    *lead, height, width = x.shape
    tall = x.reshape(*lead, height // side, side, width).sum(axis=-2)
    return tall.reshape(*lead, height // side, width // side, side).sum(axis=-1) / side**2


def _blocks(tiles: np.ndarray) -> np.ndarray:
    """[...,4,4] tiles -> [...,3,3] blocks of 2x2 tiles, overlapping by half."""
    return (tiles[..., :-1, :-1] + tiles[..., 1:, :-1] + tiles[..., :-1, 1:] + tiles[..., 1:, 1:]) / 4


def _starts(tiles: int) -> np.ndarray:
    """The first tiles of windows along a side: both ends, and evenly between."""
    last = tiles - ACROSS
    return np.linspace(0, last, last // STEP + 1).round().astype(int) if last else np.zeros(1, int)
