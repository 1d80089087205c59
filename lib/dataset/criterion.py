"""Is a piece of a photograph a texture? A hand-designed homogeneity criterion.

A texture looks the same wherever one looks: whatever statistic a small block shows, each other block shows
too. So a window of 128x128 pixels is cut into blocks, and each statistic is compared *between* the blocks
with its spread *within* them: the colour, the contrast, the energy of the gradient at three scales and its
orientation. Blocks of 64 pixels, overlapping by half, say whether the window holds enough of the texture;
blocks of 32 find the single object that blocks of 64 average away. Windows go, too, that cannot be
judged or do not show a surface: flat, blurred, saturated, graphic, text, stripes.

The paper says "a hand-designed homogeneity criterion" and no more; this one is our own. It costs less than decoding the
picture does: every statistic is a mean over tiles of 32x32 pixels (see tiles.py), and whatever a block or a window
shows is the mean of a few tiles (see scores.py). Windows therefore start on the grid of the tiles.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lib.dataset.scores import ACROSS, SCORES, score_windows
from lib.dataset.tiles import TILE, read_tiles

SIDE = ACROSS * TILE  # 128 pixels of a window, the paper's patch
STEP = 2  # tiles from a window to the next: neighbours share at most half


@dataclass(frozen=True)
class Limit:
    """Where a score begins to speak against a window, and what it then says."""

    reason: str  # what the manifest says of a window beyond the limit
    value: float
    least: bool  # True: lower is refused; False: higher is
    why: str


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


# The two tables as loops read them.
REASONS = [*(limit.reason for limit in LIMITS.values()), ""]
VALUES = np.array([[limit.value] for limit in LIMITS.values()], np.float32)
LEAST = np.array([[limit.least] for limit in LIMITS.values()])
NEITHER = (np.nan, np.nan)
COUNTED = np.array([LIMITS[name].value if name in BETWEEN_BLOCKS else np.nan for name in SCORES])
MARKS = np.array([[signs.get(name, NEITHER) for name in SCORES] for signs in TEXT.values()])


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
        broken = np.ones((len(REASONS), len(self)), bool)  # the last, "", where no limit is
        broken[:-1] = times_over(self.scores) > 1
        return [REASONS[k] for k in broken.argmax(axis=0).tolist()]


def times_over(scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """[limits,n]; how many times over each limit each window is; above 1 it speaks against the window."""
    table = np.array([scores[name] for name in LIMITS])
    return np.where(LEAST, VALUES / np.maximum(table, 1e-6), table / VALUES)


def excess(scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """[n]; how many times over its worst limit each window is; up to 1 is kept. A knob for all limits.

    Args:
        scores: one [n] for each entry of LIMITS.
    """
    return times_over(scores).max(axis=0)


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
    found = []
    for tiles in read_tiles(picture, scales):
        down, right = (_starts(n) for n in tiles.modulus.shape)
        scores = np.empty((len(down) * len(right), len(SCORES)))
        score_windows(tiles, down, right, COUNTED, MARKS, scores)
        by_name = dict(zip(SCORES, scores.T.astype(np.float32), strict=True))
        found.append(
            Windows(
                (tiles.top + down * TILE).repeat(len(right)),
                (tiles.left + right * TILE)[None].repeat(len(down), axis=0).ravel(),
                {name: by_name[name] for name in LIMITS},
            )
        )
    return found


@lru_cache(maxsize=256)
def _starts(tiles: int) -> np.ndarray:
    """The first tiles of windows along a side: both ends, and evenly between."""
    last = tiles - ACROSS
    return np.linspace(0, last, last // STEP + 1).round().astype(int) if last else np.zeros(1, int)
