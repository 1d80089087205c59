"""The homogeneity criterion: exact scores where they are known, and what must not change them."""

import numpy as np
import pytest
from dataset_pictures import noise
from PIL import Image, ImageDraw

from lib.dataset.criterion import LIMITS, SIDE, TILE, score, score_scales


def reason(picture: np.ndarray) -> str:
    windows = score(picture)
    assert len(windows) == 1
    return windows.reasons()[0]


def halves(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.concatenate([left[:, :64], right[:, :64]], axis=1)


def text() -> np.ndarray:
    page = Image.new("RGB", (SIDE, SIDE), (235, 228, 210))
    draw = ImageDraw.Draw(page)
    for line in range(12):
        draw.text(
            (-line * 7, 11 * line - 2),
            "the least informative density given these averages",
            fill=(30, 30, 40),
        )
    return np.asarray(page)


def test_noise_is_a_texture_at_every_grain() -> None:
    assert [reason(noise(seed=seed, grain=1 + seed)) for seed in range(3)] == [""] * 3


def blurred() -> np.ndarray:
    return np.asarray(Image.fromarray(noise(grain=4)).reduce(8).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def disc() -> np.ndarray:
    """A textured disc before a smooth wall, as far from the one kind of refusal as from the other."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    return np.where((x**2 + y**2 < 45**2)[..., None], noise(), noise(seed=1, grain=2) // 6 + 107).astype(np.uint8)


def rotated(degrees: float) -> np.ndarray:
    """A grating of 5 pixels with a little noise."""
    y, x = np.mgrid[:SIDE, :SIDE]
    wave = np.sin(2 * np.pi * (x * np.cos(np.deg2rad(degrees)) + y * np.sin(np.deg2rad(degrees))) / 5)
    return (wave[..., None] * 40 + noise()).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (np.full((SIDE, SIDE, 3), 90, np.uint8), {"flat"}),
        (blurred(), {"blurred"}),
        (np.where(noise()[..., :1] > 130, 255, noise()).astype(np.uint8), {"saturated"}),
        (np.where((noise(grain=6)[..., :1] > 150), noise(), 90).astype(np.uint8), {"graphic", "text"}),
        (text(), {"text", "graphic"}),
        (halves(noise(), noise() + np.uint8(30)), {"colour"}),
        (halves(noise(), noise() // 3 + 85), {"contrast"}),
        (disc(), {"contrast", "energy"}),
        (halves(noise(), noise(grain=8)), {"energy"}),
        (halves(rotated(0), rotated(90)), {"orientation"}),
        (noise(1, 128).repeat(SIDE, axis=0), {"stripes"}),
    ],
    ids=["flat", "blur", "clip", "fill", "text", "tint", "range", "disc", "grain", "turn", "lines"],
)
def test_what_is_no_texture_is_refused_for_the_right_reason(picture: np.ndarray, expected: set[str]) -> None:
    assert reason(picture) in expected


def test_known_scores() -> None:
    """Half black, half at level 204: contrast, clipping and the share between blocks can be told by hand."""
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    picture[:, 64:] = 204
    scores = score(picture).scores
    assert scores["contrast"][0] == pytest.approx(0.4)  # of the light; r - g and (r + g)/2 - b are nothing
    assert scores["clipped"][0] == 0.5
    # Blocks of 64 see 0, 1/2 and 1 of the step: variance 1/6 of its square; that of the pixels is 1/4.
    assert scores["colour"][0] == pytest.approx((0.8**2 / 6) / (0.8**2 / 4 + 0.02**2), rel=1e-5)
    assert scores["colour_fine"][0] == pytest.approx((0.8**2 / 4) / (0.8**2 / 4 + 0.02**2), rel=1e-5)
    # One column either side of the edge has the central difference .4, two columns in 128.
    assert scores["detail"][0] == pytest.approx(np.sqrt(0.4**2 * 2 / 128), rel=1e-5)
    assert scores["coherence"][0] == pytest.approx(1, abs=0.01)


def test_independent_elements_give_one_over_their_number() -> None:
    """`colour_fine` is 1/N for N independent elements a block: white squares of 8 pixels, 16 a block."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(100):
        squares = rng.integers(40, 215, (16, 16)).repeat(8, 0).repeat(8, 1)
        values.append(score(np.repeat(squares[..., None], 3, 2).astype(np.uint8)).scores["colour_fine"][0])
    assert np.mean(values) == pytest.approx(1 / 16, rel=0.1)


HISTOGRAM = ("peak", "text")  # of every second pixel, along a row


@pytest.mark.parametrize(
    ("change", "turned"),
    [(lambda x: x[::-1], False), (lambda x: x[:, ::-1], False), (lambda x: x.transpose(1, 0, 2), True)],
    ids=["upside down", "mirrored", "transposed"],
)
def test_flips_and_transposition_change_nothing(change, turned: bool) -> None:
    """Nothing where the same pixels are looked at; where others are, by the error of a mean, small beside the limit."""
    picture = noise(grain=4)
    before, after = score(picture).scores, score(np.ascontiguousarray(change(picture))).scores
    for name, limit in LIMITS.items():
        other = name in HISTOGRAM or turned
        off = {"rtol": 0.05, "atol": 0.1 * limit.value} if other else {"rtol": 2e-4, "atol": 1e-5}
        np.testing.assert_allclose(after[name], before[name], **off, err_msg=name)


def test_shifts_change_no_verdict_and_little_else() -> None:
    """A periodic texture, rolled: other pixels fall into the blocks, the texture is the same."""
    picture = noise(seed=3)
    home = score(picture)
    for shift in ((32, 0), (5, 11), (64, 77)):
        moved = score(np.roll(picture, shift, axis=(0, 1)))
        assert moved.reasons() == home.reasons() == [""]
        for name, off in (("contrast", 0.03), ("detail", 0.05), ("sharpness", 0.05), ("peak", 0.1)):
            np.testing.assert_allclose(moved.scores[name], home.scores[name], rtol=off, err_msg=name)


def test_a_window_scores_the_same_wherever_it_stands() -> None:
    """A window of a large picture against the same pixels alone: only gradients across its border differ."""
    picture = noise(320, 256)
    windows = score(picture)
    for i in range(len(windows)):
        row, column = windows.rows[i], windows.columns[i]
        alone = score(picture[row : row + SIDE, column : column + SIDE])
        assert alone.reasons()[0] == windows.reasons()[i]
        for name in ("contrast", "clipped", "colour", "colour_fine", "contrast_spread", "peak"):
            assert alone.scores[name][0] == pytest.approx(windows.scores[name][i], rel=1e-4, abs=1e-6), name
        assert alone.scores["energy_spread"][0] == pytest.approx(windows.scores["energy_spread"][i], abs=0.03)


@pytest.mark.parametrize(("height", "width"), [(128, 128), (129, 140), (200, 300), (500, 375), (333, 1000)])
def test_windows_lie_inside_and_share_at_most_half(height: int, width: int) -> None:
    windows = score(noise(height, width))
    assert windows.rows.min() >= 0
    assert windows.rows.max() + SIDE <= height
    assert windows.columns.max() + SIDE <= width
    for starts, side in ((windows.rows, height), (windows.columns, width)):
        distinct = np.unique(starts)
        assert (np.diff(distinct) >= SIDE // 2).all()
        assert distinct[0] < TILE  # nothing larger than a tile is left out at either end
        assert distinct[-1] + SIDE > side - TILE
    assert len(windows) == len(set(zip(windows.rows, windows.columns, strict=True)))


def test_too_small_has_no_windows_and_other_arrays_are_refused() -> None:
    small = score(noise()[:127])
    assert len(small) == 0
    assert small.reasons() == []
    with pytest.raises(ValueError, match="uint8"):
        score(noise().astype(np.float32))


def test_every_score_is_finite_for_extreme_pictures() -> None:
    for level in (0, 255):
        scores = score(np.full((SIDE, SIDE, 3), level, np.uint8)).scores
        assert all(np.isfinite(values).all() for values in scores.values())
    assert set(scores) == set(LIMITS)


def test_a_scale_is_the_halved_picture() -> None:
    """Scored in one pass or by itself: the same windows; only octaves are of rounded pixels or are not."""
    picture = noise(512, 768, grain=6)
    small = np.asarray(Image.fromarray(picture).reduce(2))
    for together, alone in ((score_scales(picture, 3)[0], score(picture)), (score_scales(picture, 3)[1], score(small))):
        np.testing.assert_array_equal(together.rows, alone.rows)
        np.testing.assert_array_equal(together.columns, alone.columns)
        assert together.reasons() == alone.reasons()
        for name, limit in LIMITS.items():
            off = {"rtol": 0.01, "atol": 0.01 * limit.value}
            np.testing.assert_allclose(together.scores[name], alone.scores[name], **off, err_msg=name)


def test_scales_have_windows_where_the_picture_is_large_enough() -> None:
    for side, scales in ((127, 0), (128, 1), (255, 1), (256, 2), (511, 2), (512, 3), (1100, 3)):
        found = score_scales(np.zeros((side, side + 40, 3), np.uint8), 3)
        assert len(found) == scales
        for k, windows in enumerate(found):
            assert (windows.rows + SIDE).max() <= side >> k
            assert (windows.columns + SIDE).max() <= (side + 40) >> k
