"""What the tiles of a window say of it: each score by its definition, one window at a time.

A window is 4x4 tiles of 32 pixels; its blocks of 64 pixels are 3x3, each of 2x2 tiles. A mean over any of them is the
mean of its tiles'. With m and q the means of a quantity and of its square, q - m^2 is its variance there; the variance
of the m of blocks is that between them. The gradient's energy is xx + yy, its mean direction (xx - yy, 2 xy) over the
energy: a vector of length 0 where all directions meet, 1 where all gradients are parallel.
"""

import math

import numpy as np

from lib.dataset.compiled import compiled
from lib.dataset.tiles import Tiles

ACROSS = 4  # tiles of a window, either way
BLOCKS, TILES, VIEWS = 1, 10, 26  # where means begin: of the window, of its 9 blocks, of its 16 tiles
JUST_NOTICEABLE = 0.02  # five grey levels: smaller differences in colour are the camera's noise and the JPEG's
FAINT = 0.004  # one grey level: the same for gradients

# In the order in which they are computed; see LIMITS and TEXT in criterion.py.
SCORES = (
    *("contrast", "colour", "colour_fine", "contrast_spread"),
    *("detail", "sharpness", "energy_spread", "energy_fine", "orientation", "coherence"),
    *("peak", "skewness", "two_levels"),
    *("lines", "strokes", "clipped"),
    *("heterogeneity", "text"),
)


@compiled
def score_windows(
    tiles: Tiles, down: np.ndarray, right: np.ndarray, limits: np.ndarray, marks: np.ndarray, scores: np.ndarray
) -> None:
    """Fill scores, float64 [len(down) * len(right), 18], of the windows from these tiles on, row by row.

    limits: [18], of the scores that heterogeneity is of, nan for others; marks: [kinds,18,2], between which a score is
    a sign of this kind of text, nan for others.
    """
    n = 0
    for i in down:
        for j in right:
            of_window = scores[n]
            colour, square = _views(tiles.colour, i, j), _views(tiles.square, i, j)
            _score_colour(colour, square, of_window[:4])
            _score_gradient(tiles.gradient, i, j, of_window[4:10])
            _score_levels(tiles.levels, i, j, of_window[10:13])
            lines = max(_line_variance(tiles.rows, i, j), _line_variance(tiles.columns, j, i))
            modulus = tiles.modulus[i : i + ACROSS, j : j + ACROSS].mean()
            of_window[13] = lines / max(square[0, 0] - colour[0, 0] ** 2, 1e-6)
            of_window[14] = of_window[4] ** 2 / (modulus**2 + 1e-12)
            of_window[15] = tiles.clipped[i : i + ACROSS, j : j + ACROSS].mean()
            of_window[16] = _over(of_window, limits)
            of_window[17] = max(_weakest(of_window, marks[0]), _weakest(of_window, marks[1]))
            n += 1


@compiled
def _views(x: np.ndarray, i: int, j: int) -> np.ndarray:
    """Means [3,26] of the window from tile (i,j) on, of its blocks and of its tiles; x: [3,h,w], of all tiles."""
    views = np.empty((3, VIEWS))
    for c in range(3):
        view, tiles = views[c], views[c, TILES:]
        for t in range(ACROSS**2):
            tiles[t] = x[c, i + t // ACROSS, j + t % ACROSS]
        for b in range(9):
            t = b // 3 * ACROSS + b % 3
            view[BLOCKS + b] = (tiles[t] + tiles[t + 1] + tiles[t + ACROSS] + tiles[t + ACROSS + 1]) / 4
        view[0] = (view[BLOCKS] + view[BLOCKS + 2] + view[BLOCKS + 6] + view[BLOCKS + 8]) / 4  # at its corners
    return views


@compiled
def _score_colour(mean: np.ndarray, square: np.ndarray, scores: np.ndarray) -> None:
    """Contrast; its share between blocks, and between tiles, of the light or of all three; its spread, of the light."""
    within, between, fine = np.empty(3), np.empty(3), np.empty(3)
    for c in range(3):
        within[c] = max(square[c, 0] - mean[c, 0] ** 2, 0.0)
        between[c] = _variance(mean[c, BLOCKS:TILES])
        fine[c] = _variance(mean[c, TILES:])
    scores[0] = math.sqrt(within.sum())
    for k, apart in enumerate((between, fine)):
        of_light = apart[0] / (within[0] + JUST_NOTICEABLE**2)
        scores[1 + k] = max(of_light, apart.sum() / (within.sum() + JUST_NOTICEABLE**2))
    logs = np.empty(TILES - BLOCKS)
    for b in range(len(logs)):
        variance = max(square[0, BLOCKS + b] - mean[0, BLOCKS + b] ** 2, 0.0)
        logs[b] = math.log(variance + JUST_NOTICEABLE**2 / 4)
    scores[3] = math.sqrt(_variance(logs))


@compiled
def _score_gradient(gradient: np.ndarray, i: int, j: int, scores: np.ndarray) -> None:
    """Of the structure tensor [3,3,h,w] at octaves 1, 2, 4; in the order of SCORES."""
    scores[:] = 0
    energy, u, v, logs = np.empty(VIEWS), np.empty(VIEWS), np.empty(VIEWS), np.empty(VIEWS)
    for octave in range(len(gradient)):
        products = _views(gradient[octave], i, j)
        xx, yy, xy = products[0], products[1], products[2]
        for k in range(VIEWS):
            energy[k] = xx[k] + yy[k] + FAINT**2
            u[k], v[k] = (xx[k] - yy[k]) / energy[k], 2 * xy[k] / energy[k]
            logs[k] = math.log(energy[k])
        apart = 0.0
        for k in range(BLOCKS, TILES):
            apart += ((u[k] - u[0]) ** 2 + (v[k] - v[0]) ** 2) / (TILES - BLOCKS)
        scores[2] = max(scores[2], math.sqrt(_variance(logs[BLOCKS:TILES])))
        scores[4] = max(scores[4], math.sqrt(apart))
        if octave == 0:
            scores[0] = math.sqrt(energy[0] - FAINT**2)
            scores[3] = math.sqrt(_variance(logs[TILES:]))
        if octave == 1:
            scores[5] = math.sqrt(u[0] ** 2 + v[0] ** 2)
    scores[1] = scores[0] ** 2 / energy[0]  # of the coarsest


@compiled
def _score_levels(levels: np.ndarray, i: int, j: int, scores: np.ndarray) -> None:
    """Flat fills, and how the greys of ink and paper part, by the histogram [h,w,64]; in the order of SCORES."""
    count = levels.shape[2]
    share = np.zeros(count)
    for t in range(ACROSS**2):
        of_tile = levels[i + t // ACROSS, j + t % ACROSS]
        for level in range(count):
            share[level] += of_tile[level] / ACROSS**2
    mean = variance = third = 0.0
    for level in range(count):
        mean += share[level] * level
    for level in range(count):
        variance += share[level] * (level - mean) ** 2
        third += share[level] * (level - mean) ** 3
    below = moment = between = fullest = 0.0
    for level in range(count):
        below += share[level]
        moment += share[level] * level
        between = max(between, (mean * below - moment) ** 2 / max(below * (1 - below), 1e-9))
        if level > 0:
            fullest = max(fullest, share[level - 1] + share[level])
    of_gaussian = 2 / math.sqrt(2 * math.pi * (variance + 1 / 12))  # two neighbouring levels at its top
    scores[0] = fullest / min(of_gaussian, 1)
    scores[1] = abs(third) / (variance + 1e-3) ** 1.5
    scores[2] = between / (variance + 1e-3)


@compiled
def _line_variance(rows: np.ndarray, i: int, j: int) -> float:
    """Variance of the means of a window's 128 rows, from means over each row of a tile [h,32,w]."""
    tall = rows.shape[1]
    means = np.zeros(ACROSS * tall)
    for y in range(ACROSS * tall):
        for k in range(ACROSS):
            means[y] += rows[i + y // tall, y % tall, j + k] / ACROSS
    return _variance(means)


@compiled
def _over(scores: np.ndarray, limits: np.ndarray) -> float:
    """Root mean square of the scores over their limits, where they have one."""
    total, count = 0.0, 0
    for k in range(len(limits)):
        if not math.isnan(limits[k]):
            total += (scores[k] / limits[k]) ** 2
            count += 1
    return math.sqrt(total / count)


@compiled
def _weakest(scores: np.ndarray, marks: np.ndarray) -> float:
    """The weakest of the signs over its lower mark; beyond the upper mark it is none."""
    weakest = math.inf
    for k in range(len(marks)):
        if not math.isnan(marks[k, 0]):
            weakest = min(weakest, scores[k] / marks[k, 0] if scores[k] <= marks[k, 1] else 0.0)
    return weakest


@compiled
def _variance(x: np.ndarray) -> float:
    """Mean squared distance from the mean of x [n]."""
    mean = variance = 0.0
    for value in x:
        mean += value / len(x)
    for value in x:
        variance += (value - mean) ** 2 / len(x)
    return variance
