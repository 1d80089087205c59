"""How much of a border is seen: steps between neighbouring pixels across it, against those beside it.

Along the curve at distance d from a border (d = 0 on it, negative inside) let e(d) be the mean squared difference of
the neighbours that it parts. In a texture e is the same for every d but for chance, so that

    seam = (e(0) - mean of e) / standard deviation of e,      over 2 <= |d| <= reach,

is of order one where nothing shows, and large where the border does. `valley` asks the opposite: pixels that are
blended lose contrast, the average of two independent textures half of it, and what is left of it is measured.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from torch import Tensor

REACH = 12  # pixels on either side


def profile(x: Tensor, inside: Tensor, reach: int = REACH) -> Tensor:
    """e(d) for d = -reach...reach: x [n,3,H,W], a region [H,W] (bool) whose border it is -> [2 reach + 1]."""
    region = inside.numpy()
    inner, outer = distance_transform_edt(region), distance_transform_edt(~region)
    signed = torch.from_numpy(np.where(region, 0.5 - inner, outer - 0.5))
    total, count = torch.zeros(2 * reach + 1), torch.zeros(2 * reach + 1)
    for axis in (-1, -2):
        squares = x.diff(dim=axis).square().mean((0, 1))
        a, b = (signed.narrow(axis, start, signed.shape[axis] - 1) for start in (0, 1))
        place = ((a + b) / 2).round().long() + reach
        across = ((a - b).abs() > 0.5) & (place >= 0) & (place <= 2 * reach)
        total.index_add_(0, place[across], squares[across])
        count.index_add_(0, place[across], torch.ones(int(across.sum())))
    return total / count.clamp_min(1)


def seam(x: Tensor, inside: Tensor, reach: int = REACH) -> float:
    """The excess of steps across the border of a region [H,W] in pictures x [n,3,H,W], in standard deviations."""
    e = profile(x, inside, reach)
    beside = torch.cat([e[: reach - 1], e[reach + 2 :]])
    return float((e[reach] - beside.mean()) / beside.std())


def valley(x: Tensor, between: Tensor, a: Tensor, b: Tensor) -> float:
    """Variance in the region `between` two others, over the mean of theirs: x [n,3,H,W], regions [H,W] (bool).

    Of what is left after a blur of 9 pixels, so that a change of colour from a to b does not count.
    """
    detail = x - F.avg_pool2d(F.pad(x, (4,) * 4, mode="reflect"), 9, 1)
    power = detail.square().mean((0, 1))
    return float(power[between].mean() / ((power[a].mean() + power[b].mean()) / 2))


def blended(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """What is measured against: y where the mask [H,W] is 1, x where it is 0, in between the average of pixels."""
    return torch.lerp(x, y, mask)
