"""The compiled pass against each score's definition: pixels in [0,1], float64, one window at a time."""

import numpy as np
import pytest
from dataset_pictures import noise
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lib.dataset.criterion import BETWEEN_BLOCKS, COUNTED, LIMITS, MARKS, SIDE, TEXT, score_scales
from lib.dataset.scores import SCORES, score_windows
from lib.dataset.tiles import coarser, halved, read_tiles, separated, summed

LEAST, FAINT = 0.02, 0.004


def blocks(x: np.ndarray) -> list[np.ndarray]:
    """The 3x3 halves of a window, overlapping by half."""
    h, w = (n // 4 for n in x.shape)
    return [x[i * h : (i + 2) * h, j * w : (j + 2) * w] for i in range(3) for j in range(3)]


def tiles(x: np.ndarray) -> list[np.ndarray]:
    """The 4x4 quarters of a window."""
    h, w = (n // 4 for n in x.shape)
    return [x[i * h : (i + 1) * h, j * w : (j + 1) * w] for i in range(4) for j in range(4)]


def definition(picture: np.ndarray, lights: list[np.ndarray], row: int, column: int) -> dict[str, float]:
    """Every score of the window at a pixel, from the picture in [0,1] and its light at three octaves."""
    here = np.s_[row : row + SIDE, column : column + SIDE]
    sampled = np.arange(SIDE)[np.isin(np.arange(SIDE) % 8, (2, 5))]
    r, g, b = picture[here][sampled].transpose(2, 0, 1)
    light = lights[0][here]
    colours = (light, r - g, (r + g) / 2 - b)
    within = [c.var() for c in colours]
    between, fine = ([np.var([cell.mean() for cell in cells(c)]) for c in colours] for cells in (blocks, tiles))

    def share(apart: list[float]) -> float:
        return max(apart[0] / (within[0] + LEAST**2), sum(apart) / (sum(within) + LEAST**2))

    energy, spread, orientation, coherence = [], [], [], 0.0
    for octave, whole in enumerate(lights):
        x = np.pad(whole, 1, mode="edge")
        part = np.s_[row >> octave : (row + SIDE) >> octave, column >> octave : (column + SIDE) >> octave]
        dx, dy = ((x[1:-1, 2:] - x[1:-1, :-2]) / 2)[part], ((x[2:, 1:-1] - x[:-2, 1:-1]) / 2)[part]
        squared, doubled = dx**2 + dy**2, (dx + 1j * dy) ** 2  # |gradient|^2, and its direction at twice the angle
        directions = [d.mean() / (e.mean() + FAINT**2) for d, e in zip(blocks(doubled), blocks(squared), strict=True)]
        direction = doubled.mean() / (squared.mean() + FAINT**2)
        energy.append(squared.mean())
        spread.append(np.std([np.log(e.mean() + FAINT**2) for e in blocks(squared)]))
        orientation.append(np.mean(np.abs(np.array(directions) - direction) ** 2))
        if octave == 0:
            energy_fine = np.std([np.log(e.mean() + FAINT**2) for e in tiles(squared)])
            modulus = np.sqrt(squared)[sampled].mean()
        if octave == 1:
            coherence = abs(direction)

    level = (255 * light[sampled, ::2] * 3).round() // 12
    share_of = np.bincount(level.astype(int).ravel(), minlength=64) / level.size
    variance, third = level.var(), ((level - level.mean()) ** 3).mean()
    classes = [(level[level <= k], level[level > k]) for k in range(64)]
    apart = [len(a) * len(b) / level.size**2 * (a.mean() - b.mean()) ** 2 for a, b in classes if len(a) and len(b)]
    gaussian = min(2 / np.sqrt(2 * np.pi * (variance + 1 / 12)), 1)
    white, black = (picture[here][sampled] * 255 > 249.5).all(-1), (picture[here][sampled] * 255 < 5.5).all(-1)
    scores = {
        "contrast": np.sqrt(sum(within)),
        "colour": share(between),
        "colour_fine": share(fine),
        "contrast_spread": np.std([np.log(cell.var() + LEAST**2 / 4) for cell in blocks(light)]),
        "detail": np.sqrt(energy[0]),
        "sharpness": energy[0] / (energy[2] + FAINT**2),
        "energy_spread": max(spread),
        "energy_fine": energy_fine,
        "orientation": np.sqrt(max(orientation)),
        "coherence": coherence,
        "peak": (share_of[1:] + share_of[:-1]).max() / gaussian,
        "skewness": abs(third) / (variance + 1e-3) ** 1.5,
        "two_levels": max(apart, default=0) / (variance + 1e-3),
        "lines": max(light.mean(axis=0).var(), light.mean(axis=1).var()) / max(light.var(), 1e-6),
        "strokes": energy[0] / (modulus**2 + 1e-12),
        "clipped": (white | black).mean(),
    }
    signs = [[(scores[name], *marks) for name, marks in row.items()] for row in TEXT.values()]
    over = [scores[name] / LIMITS[name].value for name in BETWEEN_BLOCKS]
    return scores | {
        "heterogeneity": np.sqrt(np.mean(np.square(over))),
        "text": max(min(score / low if score <= high else 0 for score, low, high in row) for row in signs),
    }


def agrees(picture: np.ndarray, scales: int) -> int:
    """How many windows were compared. Sides of the picture: multiples of 128, that tiles begin at its first pixel."""
    pictures = [picture]
    while len(pictures) < scales:
        pictures.append(np.asarray(Image.fromarray(pictures[-1]).reduce(2)))
    pictures = [each / 255 for each in pictures]
    lights = [each.mean(axis=-1) for each in pictures]
    while len(lights) < scales + 2:
        h, w = lights[-1].shape
        lights.append(lights[-1].reshape(h // 2, 2, w // 2, 2).mean(axis=(1, 3)))
    compared = 0
    for k, found in enumerate(read_tiles(picture, scales)):
        h, w = found.modulus.shape
        down, right = np.arange(0, h - 3), np.arange(0, w - 3, 2)
        scores = np.empty((len(down) * len(right), len(SCORES)))
        score_windows(found, down, right, COUNTED, MARKS, scores)
        places = [(32 * i, 32 * j) for i in down for j in right]
        for (row, column), computed in zip(places, scores, strict=True):
            expected = definition(pictures[k], lights[k : k + 3], row, column)
            assert set(expected) == set(SCORES)
            for name, value in zip(SCORES, computed, strict=True):
                assert value == pytest.approx(expected[name], rel=1e-5, abs=1e-6), (name, k, row, column)
            compared += 1
    return compared


def test_every_score_is_its_definition_at_every_scale() -> None:
    assert agrees(noise(512, 640, seed=1, grain=4), 3) == 13 * 9 + 5 * 4 + 1


def test_so_it_is_where_a_scale_has_no_picture_of_its_own() -> None:
    assert agrees(noise(128, 256, seed=2), 1) == 3


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    grain=st.integers(1, 12),
    squares=st.sampled_from((1, 8, 32, 64)),
    gain=st.floats(0, 4),
    tint=st.tuples(*[st.integers(-128, 128)] * 3),
)
def test_and_for_any_picture(seed: int, grain: int, squares: int, gain: float, tint: tuple[int, int, int]) -> None:
    """Noise of any contrast and colour, flat, clipped, or in squares of different brightness."""
    rng = np.random.default_rng(seed)
    brightness = rng.integers(-60, 61, (128 // squares, 128 // squares)).repeat(squares, 0).repeat(squares, 1)
    x = gain * (noise(seed=seed, grain=grain).astype(float) - 128 + brightness[..., None]) + 128 + tint
    assert agrees(x.clip(0, 255).astype(np.uint8), 1) == 1


@pytest.mark.parametrize("level", [0, 255])
def test_and_for_the_largest_sums(level: int) -> None:
    """Black or white squares of two pixels: the steepest gradients of the two finest octaves."""
    checks = (np.indices((64, 64)).sum(axis=0) % 2).repeat(2, 0).repeat(2, 1) * 255
    picture = np.where(np.arange(128)[:, None, None] < 64, checks[..., None], level).astype(np.uint8).repeat(3, axis=2)
    assert agrees(picture, 1) == 1


def test_halving_is_pillows() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (130, 260, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(picture).reduce(2)).transpose(2, 0, 1)
    np.testing.assert_array_equal(halved(separated(picture)), expected)


def test_an_octave_is_a_sum_and_its_border_repeats_it() -> None:
    planes = np.random.default_rng(0).integers(0, 256, (3, 12, 20), dtype=np.uint8)
    light = planes.astype(np.int16).sum(axis=0)
    half = light.reshape(6, 2, 10, 2).sum(axis=(1, 3))
    np.testing.assert_array_equal(summed(planes), np.pad(light, 1, mode="edge"))
    np.testing.assert_array_equal(coarser(summed(planes)), np.pad(half, 1, mode="edge"))


def test_read_only_and_transposed_pictures_score_alike() -> None:
    picture = noise(160, 192)
    locked = picture.copy()
    locked.flags.writeable = False
    other = np.ascontiguousarray(picture.transpose(2, 1, 0)).transpose(2, 1, 0)
    first, *rest = (score_scales(each, 1)[0].scores for each in (picture, locked, other))
    for scores in rest:
        for name in first:
            np.testing.assert_array_equal(scores[name], first[name])
