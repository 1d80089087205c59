"""One pass over a picture: all that the criterion asks of its pixels, as means over tiles of 32 pixels.

A picture is looked at whole, halved and quartered, and gradients are taken at two octaves more than that. All of it
shares one grid: a tile of 32 pixels is one of 16 in the halved picture. So the octaves are computed once, and
whatever a window shows at any scale is the mean of some of these tiles.

Three things make it cheap: planes and not pixels in memory, whose products are summed without being stored; memory
that is used again for the next picture; and samples where a mean over a tile needs no more: the colour opponents,
clipping, the histogram and |gradient| are of two rows of eight. The light and the products of its gradient are of all
pixels: from two rows of eight, chance makes the blocks of a texture differ, and one in thirteen of its windows goes.
"""

import threading
from dataclasses import dataclass

import numpy as np

TILE = 32  # pixels of a tile
LEVELS = 64  # of grey, in the histogram
OCTAVES = 3  # of the gradient, at each scale
UNIT = np.float32(1 / 255)  # a grey level
WHITE, BLACK = 250, 5  # all three channels beyond: the sensor saw no more, or somebody cut the object out


@dataclass(frozen=True)
class Tiles:
    """What tiles of 32 pixels show in a picture at one scale; [h,w] tiles, the first at pixel (top, left).

    means: float32 [planes,h,w], planes named by PLANES; levels: float32 [h,w,64], shares of the grey levels;
    rows: [h,32,w], means of the light over each row of a tile; columns: [w,32,h], over each column.
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
    *("red_green", "blue_yellow", "red_green2", "blue_yellow2", "light", "light2", "clipped", "modulus"),
    *(f"{product}{octave}" for octave in range(OCTAVES) for product in ("xx", "yy", "xy")),
)


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
    part = picture[top : top + h * TILE, left : left + w * TILE]
    planes = _scratch("planes", (3, *part.shape[:2]), np.uint8)
    np.copyto(planes, part.transpose(2, 0, 1))
    points, gradients, lights = [], [], []
    for k in range(scales + OCTAVES - 1):
        if k < scales:
            planes = halved(planes) if k else planes
            light, some = _light(planes, f"light{k}"), _some(planes)
            points.append(
                [*_opponents(some, h, w), _mean(light, h, w), _mean2(light, light, h, w), _clipped(some, h, w)]
            )
            lights.append((light, _levels(some, h, w)))
        else:
            light = (light[::2, ::2] + light[1::2, ::2] + light[::2, 1::2] + light[1::2, 1::2]) / 4
        gradients.append(_gradient(light, h, w, modulus=k < scales))
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
    rows = _across(np.ascontiguousarray(light), w).reshape(h, TILE, w)
    columns = _down(light, h).reshape(h, w, TILE).transpose(1, 2, 0)
    return Tiles((top >> k) + down * side, (left >> k) + right * side, means, levels, rows, columns)


def _light(planes: np.ndarray, name: str) -> np.ndarray:
    """[H,W]; mean of the channels less a half, of uint8 [3,H,W]."""
    total = np.add(planes[0], planes[1], out=_scratch("total", planes.shape[1:], np.uint16), dtype=np.uint16)
    total += planes[2]
    light = np.multiply(total, UNIT / 3, out=_scratch(name, total.shape))
    light -= np.float32(0.5)
    return light


def _some(x: np.ndarray) -> np.ndarray:
    """[...,H,W] -> [...,H/4,W]; of each eight rows the third and the third from below: the same ones upside down."""
    height, width = x.shape[-2:]
    eight = x.reshape(*x.shape[:-2], height // 8, 8, width)
    return eight[..., 2:6:3, :].reshape(*x.shape[:-2], height // 4, width)


def _opponents(some: np.ndarray, h: int, w: int) -> list[np.ndarray]:
    """Means over tiles of the two opponents, then of their squares: four of [h,w]."""
    red, green, blue = some.astype(np.int16)
    red_green = (red - green).astype(np.float32) * UNIT
    blue_yellow = (red + green - 2 * blue).astype(np.float32) * (UNIT / 2)
    both = (red_green, blue_yellow)
    return [*(_mean(x, h, w) for x in both), *(_mean2(x, x, h, w) for x in both)]


def _clipped(some: np.ndarray, h: int, w: int) -> np.ndarray:
    """[h,w]; share of the pixels that are white or black."""
    red, green, blue = some
    off = np.minimum(np.minimum(red, green), blue) >= WHITE
    off |= np.maximum(np.maximum(red, green), blue) <= BLACK
    return _mean(off.astype(np.float32), h, w)


def _levels(some: np.ndarray, h: int, w: int) -> np.ndarray:
    """[h,w,64]; histogram of the grey levels in a tile, from every second pixel of the rows."""
    red, green, blue = some[..., ::2].astype(np.uint16)
    level = (red + green + blue) // np.uint16(12)
    rows, columns = level.shape[0] // h, level.shape[1] // w
    tile = (np.arange(h) * (w * LEVELS)).repeat(rows)[:, None] + (np.arange(w) * LEVELS).repeat(columns)
    counts = np.bincount((tile + level).ravel(), minlength=h * w * LEVELS)
    return counts.reshape(h, w, LEVELS).astype(np.float32) / (rows * columns)


def _gradient(light: np.ndarray, h: int, w: int, modulus: bool) -> list[np.ndarray]:
    """Means over tiles of dx dx, dy dy, dx dy and (from some rows) of |gradient|: [h,w] each.

    Central differences, one-sided and halved at the border: symmetric under flips.
    """
    dx, dy = _scratch("dx", light.shape), _scratch("dy", light.shape)
    for x, d in ((light, dx), (light.T, dy.T)):
        np.subtract(x[:, 2:], x[:, :-2], out=d[:, 1:-1])
        np.subtract(x[:, 1], x[:, 0], out=d[:, 0])
        np.subtract(x[:, -1], x[:, -2], out=d[:, -1])
    means = [_mean2(x, y, h, w) / 4 for x, y in ((dx, dx), (dy, dy), (dx, dy))]  # differences over two pixels
    if modulus:
        some, more = _some(dx), _some(dy)
        means.append(_mean(np.sqrt(some * some + more * more), h, w) / 2)
    return means


def _mean(x: np.ndarray, h: int, w: int) -> np.ndarray:
    """Means [h,w] over tiles of x, [H,W]."""
    return _across(_down(x, h), w)


def _mean2(x: np.ndarray, y: np.ndarray, h: int, w: int) -> np.ndarray:
    """Means [h,w] over tiles of x y."""
    tall = x.shape[0] // h
    return _across(np.einsum("hrw,hrw->hw", x.reshape(h, tall, -1), y.reshape(h, tall, -1)), w) / np.float32(tall)


def _down(x: np.ndarray, h: int) -> np.ndarray:
    """Means over the rows of each of h tiles: [H,W] -> [h,W]."""
    tall = x.reshape(h, -1, x.shape[1])
    return np.add.reduce(tall, axis=1) / np.float32(tall.shape[1])


def _across(x: np.ndarray, w: int) -> np.ndarray:
    """Means over the columns of each of w tiles: [H,W] -> [H,w]."""
    side = x.shape[1] // w
    return (x.reshape(-1, side) @ np.full(side, 1 / side, np.float32)).reshape(-1, w)


_kept = threading.local()


def _scratch(name: str, shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
    """Memory of an earlier picture: fresh pages from the system cost more than what is computed in them."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = getattr(_kept, name, None)
    if buffer is None or len(buffer) < size or len(buffer) > 64 * max(size, 1 << 16):
        buffer = np.empty(size, np.uint8)
        setattr(_kept, name, buffer)
    return buffer[:size].view(dtype).reshape(shape)
