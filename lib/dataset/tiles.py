"""One pass over a picture: all that the criterion asks of its pixels, as sums over tiles of 32 pixels.

A picture is looked at whole, halved and quartered, and gradients are taken at two octaves more than that. All of it
shares one grid: a tile of 32 pixels is one of 16 in the halved picture. So the octaves are computed once, and
whatever a window shows at any scale is the sum of some of these tiles.

It costs as little as decoding a JPEG does. Three things make it so: planes of float32 and not pixels in memory, whose
products are summed without being stored; memory that is used again for the next picture; and samples where a mean over
a tile needs no more: the histogram takes a pixel in four, the colour opponents and |gradient| two rows of eight.
"""

import threading
from dataclasses import dataclass

import numpy as np

TILE = 32  # pixels of a tile
LEVELS = 64  # of grey, in the histogram
OCTAVES = 3  # of the gradient, at each scale
SOME = slice(2, 6, 3)  # of eight rows the third and the third from below
UNIT = np.float32(1 / 255)  # a grey level
WHITE, BLACK = 250, 5  # all three channels beyond: the sensor saw no more, or somebody cut the object out


@dataclass(frozen=True)
class Tiles:
    """What tiles of 32 pixels show in a picture at one scale; [h,w] tiles, the first at pixel (top, left).

    means: float32 [planes,h,w], planes named by PLANES; levels: float32 [h,w,64], shares of the grey levels;
    rows: [32 h, w], means of the light over the 32 pixels of a tile's rows; columns: [32 w, h], of its columns.
    """

    top: int
    left: int
    means: np.ndarray
    levels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


# Light is the mean of the channels less a half; opponents are r - g and (r + g)/2 - b; the gradient's products are
# dx dx, dy dy, dx dy at three octaves; all for pixels in [0,1].
PLANES = (
    *("red_green", "blue_yellow", "red_green2", "blue_yellow2", "light", "light2", "light3", "clipped", "modulus"),
    *(f"{product}{octave}" for octave in range(OCTAVES) for product in ("xx", "yy", "xy")),
)


def read_tiles(picture: np.ndarray, scales: int) -> list[Tiles]:
    """The tiles of a picture, uint8 [H,W,3], of the picture halved, and quartered: at most so many scales, up to 3.

    A scale at which the picture is smaller than 128 pixels either way is left out.
    """
    height, width = (n // TILE for n in picture.shape[:2])
    scales = min(scales, (min(height, width) // 4).bit_length())
    if scales < 1:
        return []
    # A multiple of 4, that all scales may have whole pixels.
    top, left = ((n % TILE) // 2 // 4 * 4 for n in picture.shape[:2])
    part = picture[top : top + height * TILE, left : left + width * TILE]
    planes = _scratch("planes", (3, *part.shape[:2]), np.uint8)
    np.copyto(planes, part.transpose(2, 0, 1))
    points, gradients, lights = [], [], []
    for k in range(scales + OCTAVES - 1):
        side = TILE >> k
        if k < scales:
            planes = halved(planes) if k else planes
            total = np.add(planes[0], planes[1], out=_scratch("total", planes.shape[1:], np.uint16), dtype=np.uint16)
            total += planes[2]
            light = np.multiply(total, UNIT / 3, out=_scratch(f"light{k}", total.shape))
            light -= np.float32(0.5)
            points.append([*_opponents(planes, side), *_light(light, side), _clipped(planes, side)])
            lights.append((light, _levels(total, side)))
        else:
            light = (light[::2, ::2] + light[1::2, ::2] + light[::2, 1::2] + light[1::2, 1::2]) / 4
        gradients.append(_gradient(light, side, modulus=k < scales))
    tiles = []
    for k, (light, levels) in enumerate(lights):
        products = [plane for octave in gradients[k : k + OCTAVES] for plane in octave[:3]]
        means = np.stack([*points[k], gradients[k][3], *products])
        tiles.append(_at_scale(k, top, left, means, levels, light))
    return tiles


def halved(planes: np.ndarray) -> np.ndarray:
    """uint8 [...,H,W] -> [...,H/2,W/2], rounded as Pillow's Image.reduce(2) does; sides must be even."""
    rows = planes[..., ::2, :].astype(np.uint16, order="C")
    rows += planes[..., 1::2, :]
    pairs = rows.view(np.uint32)  # two neighbours each: sums without strides
    return (((pairs & 0xFFFF) + (pairs >> 16) + 2) >> 2).astype(np.uint8)


def _at_scale(k: int, top: int, left: int, means: np.ndarray, levels: np.ndarray, light: np.ndarray) -> Tiles:
    """From the common grid, where a tile is 32/2^k pixels, to tiles of 32 pixels, centred on the picture."""
    many = 1 << k
    h, w = (n >> k for n in means.shape[1:])
    down, right = ((n % many) // 2 for n in means.shape[1:])
    side = TILE >> k
    here = np.s_[down : down + h * many, right : right + w * many]
    means, levels = means[:, *here], levels[here]
    if k:
        means = means.reshape(-1, h, many, w, many).mean(axis=(2, 4))
        levels = levels.reshape(h, many, w, many, LEVELS).mean(axis=(1, 3))
        light = light[down * side : (down + h * many) * side, right * side : (right + w * many) * side]
    rows = _columns(np.ascontiguousarray(light), TILE)
    columns = light.reshape(h, TILE, w * TILE).mean(axis=1).T
    return Tiles((top >> k) + down * side, (left >> k) + right * side, means, levels, rows, columns)


def _light(light: np.ndarray, side: int) -> list[np.ndarray]:
    """Means over tiles of the light, its square and its cube: three of [h,w]."""
    square = np.multiply(light, light, out=_scratch("square", light.shape))
    return [_means(x, y, side) for x, y in ((light, None), (light, light), (square, light))]


def _opponents(planes: np.ndarray, side: int) -> list[np.ndarray]:
    """Means over tiles of the two opponents, then of their squares: four of [h,w].

    Of eight rows two are looked at, at even distances: the same ones in a picture upside down.
    """
    height, width = planes.shape[1:]
    red, green, blue = planes.reshape(3, -1, 8, width)[:, :, SOME].reshape(3, -1, width).astype(np.int16)
    h, rows = height // side, side // 4
    means, squares = [], []
    for x, unit in ((red - green, UNIT), (red + green - 2 * blue, UNIT / 2)):
        y = x.astype(np.float32).reshape(h, rows, width)
        y *= unit
        means.append(_columns(y.mean(axis=1), side))
        squares.append(_columns(np.einsum("hrw,hrw->hw", y, y) / rows, side))
    return [*means, *squares]


def _clipped(planes: np.ndarray, side: int) -> np.ndarray:
    """[h,w]; share of the pixels that are white or black."""
    red, green, blue = planes
    off = np.minimum(np.minimum(red, green), blue) >= WHITE
    off |= np.maximum(np.maximum(red, green), blue) <= BLACK
    tall = np.add.reduce(off.view(np.uint8).reshape(-1, side, off.shape[1]), axis=1, dtype=np.uint8)  # at most 32
    return _columns(tall.astype(np.float32) / side, side)


def _levels(total: np.ndarray, side: int) -> np.ndarray:
    """[h,w,64]; histogram of the grey levels in a tile, from every second pixel of every second row."""
    h, w = (n // side for n in total.shape)
    level = total[::2, ::2] // np.uint16(12)
    tile = (np.arange(h) * (w * LEVELS)).repeat(side // 2)[:, None] + (np.arange(w) * LEVELS).repeat(side // 2)
    tile += level
    counts = np.bincount(tile.ravel(), minlength=h * w * LEVELS)
    return counts.reshape(h, w, LEVELS).astype(np.float32) / (side // 2) ** 2


def _gradient(light: np.ndarray, side: int, modulus: bool) -> list[np.ndarray]:
    """Means over tiles of dx dx, dy dy, dx dy and (from two rows of eight) of |gradient|: [h,w] each.

    Central differences, one-sided and halved at the border: symmetric under flips.
    """
    dx, dy = _scratch("dx", light.shape), _scratch("dy", light.shape)
    for x, d in ((light, dx), (light.T, dy.T)):
        np.subtract(x[:, 2:], x[:, :-2], out=d[:, 1:-1])
        np.subtract(x[:, 1], x[:, 0], out=d[:, 0])
        np.subtract(x[:, -1], x[:, -2], out=d[:, -1])
    means = [_means(x, y, side) / 4 for x, y in ((dx, dx), (dy, dy), (dx, dy))]  # differences over two pixels
    if modulus:
        some, more = (d.reshape(-1, 8, d.shape[1])[:, SOME] for d in (dx, dy))
        length = np.sqrt(some * some + more * more).reshape(-1, side // 4, dx.shape[1])
        means.append(_columns(length.mean(axis=1), side) / 2)
    return means


def _means(x: np.ndarray, y: np.ndarray | None, side: int) -> np.ndarray:
    """Means [h,w] over tiles of x, or of x y: [H,W]."""
    x = x.reshape(-1, side, x.shape[1])
    if y is None:
        tall = np.add.reduce(x, axis=1)
    else:
        tall = np.einsum("hrw,hrw->hw", x, y.reshape(x.shape))
    return _columns(tall, side) / np.float32(side)


def _columns(x: np.ndarray, side: int) -> np.ndarray:
    """Means over `side` columns: [h,W] -> [h,w]."""
    return (x.reshape(-1, side) @ np.full(side, 1 / side, np.float32)).reshape(len(x), -1)


_kept = threading.local()


def _scratch(name: str, shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
    """Memory of an earlier picture: fresh pages from the system cost more than what is computed in them."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = getattr(_kept, name, None)
    if buffer is None or len(buffer) < size or len(buffer) > 64 * max(size, 1 << 16):
        buffer = np.empty(size, np.uint8)
        setattr(_kept, name, buffer)
    return buffer[:size].view(dtype).reshape(shape)
