"""One pass over a picture: all that the criterion asks of its pixels, as sums over tiles of 32 pixels.

A picture is looked at whole, halved and quartered, and at each scale gradients are taken at two octaves more, where a
tile is 16 and 8 pixels wide. The scales share these octaves, so five of them serve all; together they have a third
more pixels than the picture.

Light is the sum of the three channels, 0 to 765, and an octave sums four pixels of the one before: whole numbers of 16
bits, whose products and sums are exact in any order, so that the compiler may take 16 pixels at a time and every
machine finds the same. Where a mean over a tile needs no more, two rows of eight are looked at: for the colour
opponents, clipping, the histogram and |gradient|. The light and the products of its gradient are of all pixels: from
two rows of eight, chance makes the blocks of a texture differ, and one in thirteen of its windows goes.
"""

from typing import NamedTuple

import numpy as np

from lib.dataset.compiled import compiled

TILE = 32  # pixels of a tile
LEVELS = 64  # of grey, in the histogram
OCTAVES = 3  # of the gradient, at each scale
CHANNEL, LIGHT = 255, 765  # white, in whole numbers
CLEAR, DARK = 250, 5  # all three channels beyond: the sensor saw no more, or somebody cut the object out
SAMPLED = (2, 5)  # of each eight rows: the same ones upside down


class Tiles(NamedTuple):
    """What tiles of 32 pixels show in a picture at one scale; [h,w] tiles, the first at pixel (top, left).

    Means of pixels in [0,1], float64. colour, square: [3,h,w], of the light and of the opponents r - g and
    (r + g)/2 - b, and of their squares; gradient: [3,3,h,w], at each octave of dx dx, dy dy and dx dy; modulus,
    clipped: [h,w], of |gradient| and of being white or black; levels: [h,w,64], of each grey level; rows: [h,32,w], of
    the light over each row of a tile; columns: [w,32,h], over each column.
    """

    top: int
    left: int
    colour: np.ndarray
    square: np.ndarray
    gradient: np.ndarray
    modulus: np.ndarray
    clipped: np.ndarray
    levels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


def read_tiles(picture: np.ndarray, scales: int) -> list[Tiles]:
    """The tiles of a picture, uint8 [H,W,3], of the picture halved, and quartered: at most so many scales, up to 3.

    A scale at which the picture is smaller than 128 pixels either way is left out.
    """
    h, w = (n // TILE for n in picture.shape[:2])
    scales = min(scales, (min(h, w) // 4).bit_length())
    if scales < 1:
        return []
    # A multiple of 4, that all scales may have whole pixels.
    top, left = ((n % TILE) // 2 // 4 * 4 for n in picture.shape[:2])
    pictures = [separated(picture[top : top + h * TILE, left : left + w * TILE].copy())]
    while len(pictures) < scales:
        pictures.append(halved(pictures[-1]))
    lights, white = [summed(planes) for planes in pictures], [LIGHT] * scales
    while len(lights) < scales + OCTAVES - 1:
        lights.append(coarser(lights[-1]))
        white.append(4 * white[-1])
    tiles = []
    for k, planes in enumerate(pictures):
        # The middle of the picture, but on the grid of its tiles when it was whole.
        down, right = (n % (1 << k) // 2 * (TILE >> k) for n in (h, w))
        here = _empty((top >> k) + down, (left >> k) + right, h >> k, w >> k)
        _read_scale(planes, tuple(lights[k : k + OCTAVES]), tuple(white[k : k + OCTAVES]), down, right, here)
        tiles.append(here)
    return tiles


def _empty(top: int, left: int, h: int, w: int) -> Tiles:
    return Tiles(
        top,
        left,
        colour=np.zeros((3, h, w)),
        square=np.zeros((3, h, w)),
        gradient=np.empty((OCTAVES, 3, h, w)),
        modulus=np.empty((h, w)),
        clipped=np.empty((h, w)),
        levels=np.zeros((h, w, LEVELS)),
        rows=np.empty((h, TILE, w)),
        columns=np.empty((w, TILE, h)),
    )


@compiled
def separated(picture: np.ndarray) -> np.ndarray:
    """uint8 [H,W,3] -> [3,H,W]."""
    height, width = picture.shape[:2]
    planes = np.empty((3, height, width), np.uint8)
    for y in range(height):
        line, red, green, blue = picture[y].reshape(-1), planes[0, y], planes[1, y], planes[2, y]
        for x in range(width):
            red[x] = line[3 * x]
            green[x] = line[3 * x + 1]
            blue[x] = line[3 * x + 2]
    return planes


@compiled
def halved(planes: np.ndarray) -> np.ndarray:
    """uint8 [3,H,W] -> [3,H/2,W/2], rounded as Pillow's Image.reduce(2) does; sides must be even."""
    _, height, width = planes.shape
    half = np.empty((3, height // 2, width // 2), np.uint8)
    for c in range(3):
        for y in range(height // 2):
            above, below, here = planes[c, 2 * y], planes[c, 2 * y + 1], half[c, y]
            for x in range(width // 2):
                four = np.int64(above[2 * x]) + above[2 * x + 1] + below[2 * x] + below[2 * x + 1]
                here[x] = (four + 2) >> 2
    return half


@compiled
def summed(planes: np.ndarray) -> np.ndarray:
    """int16 [H+2,W+2]; r + g + b of uint8 [3,H,W], in a border that repeats the outermost pixels."""
    _, height, width = planes.shape
    light = np.empty((height + 2, width + 2), np.int16)
    for y in range(height):
        red, green, blue, here = planes[0, y], planes[1, y], planes[2, y], light[y + 1, 1:-1]
        for x in range(width):
            here[x] = np.int64(red[x]) + green[x] + blue[x]
    _repeat_border(light)
    return light


@compiled
def coarser(light: np.ndarray) -> np.ndarray:
    """The next octave of a light, bordered as it is: sums of 2x2 pixels."""
    height, width = light.shape[0] // 2 - 1, light.shape[1] // 2 - 1
    half = np.empty((height + 2, width + 2), np.int16)
    for y in range(height):
        above, below, here = light[2 * y + 1, 1:-1], light[2 * y + 2, 1:-1], half[y + 1, 1:-1]
        for x in range(width):
            here[x] = above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1]
    _repeat_border(half)
    return half


@compiled
def _repeat_border(x: np.ndarray) -> None:
    height, width = x.shape
    for y in range(1, height - 1):
        x[y, 0], x[y, -1] = x[y, 1], x[y, -2]
    for k in range(width):
        x[0, k], x[-1, k] = x[1, k], x[-2, k]


@compiled
def _read_scale(
    planes: np.ndarray, lights: tuple[np.ndarray, ...], white: tuple[int, ...], down: int, right: int, tiles: Tiles
) -> None:
    """Fill the tiles from pixel (down, right) on; `white` is each octave's."""
    _read_samples(planes, lights[0], down, right, tiles)
    _read_light(lights[0], down, right, tiles)
    for octave in range(OCTAVES):
        _read_gradient(lights[octave], white[octave], down, right, octave, tiles)


@compiled
def _read_light(light: np.ndarray, down: int, right: int, tiles: Tiles) -> None:
    """Sums of the light over rows and columns of tiles; means of it and of its square."""
    h, w = tiles.modulus.shape
    for i in range(h):
        columns = np.zeros(w * TILE, np.int32)
        for y in range(TILE):
            line = light[1 + down + i * TILE + y, 1 + right : 1 + right + w * TILE]
            for x in range(w * TILE):
                columns[x] += line[x]
            for j in range(w):
                total = squares = np.int64(0)
                for x in range(j * TILE, (j + 1) * TILE):
                    total += line[x]
                    squares += np.int64(line[x]) * line[x]
                tiles.rows[i, y, j] = total / (LIGHT * TILE)
                tiles.colour[0, i, j] += total / (LIGHT * TILE**2)
                tiles.square[0, i, j] += squares / (LIGHT * TILE) ** 2
        for x in range(w * TILE):
            tiles.columns[x // TILE, x % TILE, i] = columns[x] / (LIGHT * TILE)


@compiled
def _read_gradient(light: np.ndarray, white: int, down: int, right: int, octave: int, tiles: Tiles) -> None:
    """Means over tiles of dx dx, dy dy and dx dy, of central differences; within the border, of half the one-sided."""
    side = TILE >> octave
    top, left = 1 + (down >> octave), 1 + (right >> octave)
    unit = (2 * white * side) ** 2  # a difference is over two pixels, a mean over side^2
    h, w = tiles.modulus.shape
    for i in range(h):
        for j in range(w):
            xx = yy = xy = np.int64(0)
            x = left + j * side
            for y in range(top + i * side, top + (i + 1) * side):
                above, below = light[y - 1, x : x + side], light[y + 1, x : x + side]
                before, after = light[y, x - 1 : x - 1 + side], light[y, x + 1 : x + 1 + side]
                for k in range(side):
                    dx, dy = np.int64(after[k]) - before[k], np.int64(below[k]) - above[k]
                    xx += dx * dx
                    yy += dy * dy
                    xy += dx * dy
            products = tiles.gradient[octave, :, i, j]
            products[0], products[1], products[2] = xx / unit, yy / unit, xy / unit


@compiled
def _read_samples(planes: np.ndarray, light: np.ndarray, down: int, right: int, tiles: Tiles) -> None:
    """Means over tiles of what two rows of eight suffice for: opponents, clipping, grey levels and |gradient|."""
    h, w = tiles.modulus.shape
    samples = TILE * TILE // 4
    modulus = np.empty(TILE, np.float32)
    for i in range(h):
        for j in range(w):
            red_green = blue_yellow = red_green2 = blue_yellow2 = clipped = np.int64(0)
            modulus[:] = 0
            left = right + j * TILE
            for row in range(TILE // 4):
                y = down + i * TILE + row // 2 * 8 + SAMPLED[row % 2]
                red, green, blue = planes[0, y, left:], planes[1, y, left:], planes[2, y, left:]
                for x in range(TILE):
                    r, g, b = np.int64(red[x]), np.int64(green[x]), np.int64(blue[x])
                    red_green += r - g
                    red_green2 += (r - g) ** 2
                    blue_yellow += r + g - 2 * b
                    blue_yellow2 += (r + g - 2 * b) ** 2
                    clipped += min(r, g, b) >= CLEAR or max(r, g, b) <= DARK
                above, here, below = light[y, left + 1 :], light[y + 1, left:], light[y + 2, left + 1 :]
                for x in range(TILE):
                    dx, dy = np.float32(here[x + 2] - here[x]), np.float32(below[x] - above[x])
                    modulus[x] += np.sqrt(dx * dx + dy * dy)
                for x in range(0, TILE, 2):
                    tiles.levels[i, j, here[x + 1] * LEVELS // (LIGHT + 3)] += 2 / samples
            tiles.colour[1, i, j] = red_green / (CHANNEL * samples)
            tiles.square[1, i, j] = red_green2 / (CHANNEL**2 * samples)
            tiles.colour[2, i, j] = blue_yellow / (2 * CHANNEL * samples)
            tiles.square[2, i, j] = blue_yellow2 / ((2 * CHANNEL) ** 2 * samples)
            tiles.modulus[i, j] = modulus.sum() / (2 * LIGHT * samples)
            tiles.clipped[i, j] = clipped / samples
