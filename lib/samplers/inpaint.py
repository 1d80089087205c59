"""A hole in a texture filled by sampling given its surroundings: no training, the model as it is.

The density is that of the texture, p(x) = exp[-N lam.f(x)] / Z, given the pixels outside the hole. What the texture is
is measured on a piece of the photograph without the hole; what is drawn, on a torus around the hole whose outermost
pixels are unknown too, so that no edge of the photograph meets the opposite one.

Drawn by diffusion. At each noise level Miyasawa's estimate E[x | y] of the model is corrected by what is known: where
it is wrong on known pixels, it is wrong beside them, by as much as the Gaussian texture of the same spectrum says
(`lib.samplers.krige`). For a Gaussian texture that is exactly E[x | y, x_k], and so are the samples; for others it is
the second-order part of it (Song et al. 2023, Boys et al. 2023, with the texture's own covariance in place of theirs).

Drawn by matching. The search starts from the Gaussian texture given its surroundings (Galerne & Leclaire 2017), and
brings statistics under windows (`lib.statistics.local`) to those of the texture: one window is the hole with what
filters see across its outline, one a band along it. Next to a known pixel the Gaussian is nearly certain and its
continuity better than any average says; so within `RIM` pixels of the outline the search moves less. What it finds
holds the averages and shows that it was looked for: in a small hole, ripples that follow the outline, and in a quiet
texture too little contrast. So it is not the way that is taken unless asked for.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.errors import TextureError
from lib.images import check_image
from lib.model import Model
from lib.samplers.descend import descend_from
from lib.samplers.diffuse import LEVELS, SIGMA_MAX, estimated, schedule, walk
from lib.samplers.krige import corrected, krige, posterior
from lib.samplers.match import POWER, Targets, gaussian_of, in_units, spectral, unit
from lib.samplers.match import STEPS as ITERATIONS
from lib.samplers.step import Step, checked_count, checked_way, cut, last, white_noise
from lib.statistics.local import area, local

WAYS = {"diffuse": (LEVELS, 2), "match": (ITERATIONS, 1)}  # the usual number of steps, the least
REACH = 32  # pixels around the hole that are looked at
MARGIN = 16  # unknown pixels around these
SHARE = 0.15  # of Newton's step: a small window is off by chance, and what is known of it cannot move
RIM = 6  # pixels inside the hole in which what is known says much
BORDER = 8  # pixels on either side of the outline that a filter joins
SMALLEST = 32  # pixels a side of the piece that says what the texture is


def inpaint_steps(
    model: Model,
    x: Tensor,
    hole: Tensor,
    n: int = 1,
    seed: int = 0,
    by: str = "diffuse",
    steps: int | None = None,
    x0: Tensor | None = None,
) -> Iterator[Step]:
    """`inpaint`, one record a step; arguments as there."""
    x, hole = check_image(x, "x"), checked_hole(hole, x)
    steps = checked_way(by, steps, WAYS)
    checked_count("n", n), checked_count("seed", seed, 0)
    x0 = surroundings(x, hole) if x0 is None else check_image(x0, "x0")

    (top, bottom), (left, right) = (reach(hole.any(axis)) for axis in (1, 0))
    height, width = bottom - top, right - left
    h, w = (side + 2 * MARGIN + -side % 16 for side in (height, width))
    pad = (MARGIN, w - width - MARGIN, MARGIN, h - height - MARGIN)
    inside = F.pad(hole[top:bottom, left:right], pad)
    free = F.pad(hole[top:bottom, left:right], pad, value=True)
    known = F.pad(x[..., top:bottom, left:right], pad)

    def noise(k: int) -> Tensor:
        return white_noise(n, h, w, seed, k)

    windows = around_hole(inside)
    if by == "match":
        records = match(model, x0, known, free, windows, noise(0), steps)
    else:
        records = diffuse(model, x0, known, free, windows[0], noise, steps)
    for record in cut(records, height, width, MARGIN):
        image = x.expand(n, -1, -1, -1).clone()
        image[..., top:bottom, left:right] = record.image
        yield replace(record, image=torch.where(hole, image, x))


def diffuse(
    model: Model,
    x0: Tensor,
    known: Tensor,
    free: Tensor,
    window: Tensor,
    noise: Callable[[int], Tensor],
    steps: int,
) -> Iterator[Step]:
    """From the Gaussian texture under noise down to no noise, given the pixels of `known` [1,3,H,W] not free [H,W].

    `noise(k)` [n,3,H,W] is the k-th draw of white noise; lambda is corrected by the statistics under the window [H,W].
    """
    gaussian, multipliers = gaussian_of(x0), schedule(model, x0, steps, SHARE)

    def estimate(k: int, sigma: Tensor, y: Tensor) -> Tensor:
        x_hat = estimated(model, multipliers, k, sigma, y, window)[0]
        maps = posterior(gaussian, free.shape[0], free.shape[1], sigma.item())
        return corrected(x_hat, known, free, *maps).float()

    start = krige(gaussian, known, free, noise(0)) + SIGMA_MAX * noise(steps)
    return walk(estimate, start, noise, steps, ahead=True)


def match(
    model: Model, x0: Tensor, known: Tensor, free: Tensor, windows: Tensor, z: Tensor, steps: int
) -> Iterator[Step]:
    """Match statistics under windows [J,H,W] to those of x0 [1,3,H',W'] over the pixels of `known` that are free [H,W].

    From white noise z [n,3,H,W].
    """
    targets = Targets.of(model, x0)
    smaller = (x0.shape[-2] * x0.shape[-1] / area(windows)).sqrt()[:, None]  # a smaller piece varies more
    filtered, size = spectral(targets.gaussian, *free.shape)(POWER), unit(targets.gaussian)
    loose = looseness(free)

    def loss(x: Tensor) -> Tensor:
        return in_units(model, local(model.statistics, x, windows) - targets.mu, targets.spread * smaller).mean(1)

    start = krige(targets.gaussian, known, free, z)
    return descend_from(loss, start, steps, lambda w: loose * size * filtered(w))


def around_hole(inside: Tensor) -> Tensor:
    """Windows [2,H,W]: the hole [H,W] and what filters see across its border; a band along it."""
    wide, narrow = grown(inside, BORDER), ~grown(~inside, BORDER)
    return torch.stack([wide, wide & ~narrow]).float()


def looseness(free: Tensor) -> Tensor:
    """How far each pixel may leave its Gaussian start: 0 where known, rising to 1 `RIM` pixels from there. [H,W]"""
    rings = [~grown(~free, pixels) for pixels in range(RIM)]
    return torch.stack(rings).float().mean(0)


def grown(region: Tensor, pixels: int) -> Tensor:
    """A region [H,W] (bool) and what lies within so many pixels of it."""
    return F.max_pool2d(region[None].float(), 2 * pixels + 1, 1, pixels)[0] > 0


def reach(line: Tensor) -> tuple[int, int]:
    """From where to where a line [L] (bool) is true, and REACH pixels more as far as there are any."""
    places = line.nonzero()
    return max(0, int(places.min()) - REACH), min(len(line), int(places.max()) + 1 + REACH)


def surroundings(x: Tensor, hole: Tensor) -> Tensor:
    """The largest rectangle of x [1,3,H,W] without a pixel of the hole [H,W], at least 32 a side.

    Raises TextureError if there is none.
    """
    best, box = 0, (0, 0, 0, 0)
    depth = [0] * hole.shape[1]  # pixels without a hole above and at this row, by column
    for row, line in enumerate(hole.tolist()):
        depth = [0 if gone else d + 1 for d, gone in zip(depth, line, strict=True)]
        open_: list[tuple[int, int]] = []  # columns where a rectangle of such a height begins, heights rising
        for column, d in enumerate([*depth, 0]):
            begin = column
            while open_ and open_[-1][1] >= d:
                begin, tall = open_.pop()
                across = column - begin
                if min(tall, across) >= SMALLEST and tall * across > best:
                    best, box = tall * across, (row + 1 - tall, row + 1, begin, column)
            open_.append((begin, d))
    if not best:
        raise TextureError(f"no {SMALLEST}x{SMALLEST} pixels of x are without the hole; give x0, more of the texture")
    top, bottom, left, right = box
    return x[..., top:bottom, left:right]


def checked_hole(hole: Tensor, x: Tensor) -> Tensor:
    """The hole as [H,W], true where x [1,3,H,W] is to be filled, or an error that says what is wrong with it."""
    shape = list(hole.shape) if isinstance(hole, Tensor) else type(hole).__name__
    if not isinstance(hole, Tensor) or hole.shape != x.shape[-2:]:
        raise TextureError(f"hole is {shape}; it is a tensor {list(x.shape[-2:])}, true where x is to be filled")
    if hole.is_floating_point() and not torch.isfinite(hole).all():
        raise TextureError("hole has values that are not finite; it is true (or above 1/2) where x is to be filled")
    hole = hole > 0.5
    if not hole.any() or hole.all():
        raise TextureError(f"hole is {'empty' if not hole.any() else 'all of x'}; mark some of the pixels of x")
    return hole


def inpaint(
    model: Model,
    x: Tensor,
    hole: Tensor,
    n: int = 1,
    seed: int = 0,
    by: str = "diffuse",
    steps: int | None = None,
    x0: Tensor | None = None,
) -> Tensor:
    """x [3,H,W] in [0,1] with its hole [H,W] (true there) filled in n ways: [n,3,H,W]; the rest is left as it is.

    x0 [3,H',W'] says what the texture is; unless given, the largest rectangle of x without the hole does. Filling i
    depends on (seed, i) alone. `by` "diffuse" or "match", in `steps` noise levels or iterations.

    Raises TextureError for an x that is no image, a hole that is none, empty or everything, or leaves no 32x32 pixels
    to learn the texture from, or a number out of range.
    """
    return last(inpaint_steps(model, x, hole, n, seed, by, steps, x0))
