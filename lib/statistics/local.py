"""Statistics of a part of a picture: the averages of f taken under windows instead of over all pixels.

f_k(y) = mean of phi_k(y) over pixels, and under a window v, f_k(y; v) = sum v phi_k(y) / sum v. This is what a lambda
that varies from place to place multiplies. For with lambda(p) = sum_j v_j(p) lambda_j,

    E(y) = sum over pixels p of lambda(p).phi(y)(p) = sum_j (sum v_j) lambda_j.f(y; v_j),

so that maximum entropy under the constraints E f(y; v_j) = mu_j has exactly such an energy. phi_k(y)(p) sees what lies
around p (32 pixels and more at the coarse scales), and a product u(k) u(k + tau) is placed half-way: where a window
ends within that reach, its statistics see something of what is beyond.

A U-Net of its own (`hybrid`) measures its features against the whole picture, and where a picture holds several
textures, against the region of one: the window itself, or a larger one that it is part of.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.statistics.learned import LearnedStatistics


def local(f: LearnedStatistics, y: Tensor, windows: Tensor, regions: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """f(y; v) for each window: y [B,3,H,W], windows [J,H,W], not negative and none all zero -> [B,J,d].

    `regions` are [R,H,W] and which of them each window is part of, [J]; each is its own unless given.
    """
    if not f.architecture.apart:
        return averages(f.maps(y), windows)
    whole, which = (windows, torch.arange(len(windows))) if regions is None else regions
    found = y.new_empty(len(y), len(windows), f.dim)
    for r, region in enumerate(whole):
        members = (which == r).nonzero()[:, 0]
        if len(members):
            found = found.index_copy(1, members, averages(f.maps(y, region), windows[members]))
    return found


def averages(maps: Sequence[Tensor], windows: Tensor) -> Tensor:
    """Of maps [B,n,h,w] each, under windows [J,H,W] -> [B,J,d], d of all maps together."""
    found = []
    for phi in maps:
        v = F.adaptive_avg_pool2d(windows, (phi.shape[-2], phi.shape[-1]))
        v = v / v.sum((-2, -1), keepdim=True)
        found.append(torch.einsum("bdhw,jhw->bjd", phi.float(), v))
    return torch.cat(found, 2)


def area(windows: Tensor) -> Tensor:
    """How many pixels' worth of information a window averages, (sum v)^2 / sum v^2: [J,H,W] -> [J]."""
    return windows.sum((-2, -1)).square() / windows.square().sum((-2, -1))


def hats(height: int, width: int, pitch: int) -> Tensor:
    """Windows that add up to one at every pixel of a torus, bilinear and about `pitch` pixels apart: [J,H,W]."""
    rows, columns = _hats(height, pitch), _hats(width, pitch)
    return (rows[:, None, :, None] * columns[None, :, None, :]).flatten(0, 1)


def _hats(side: int, pitch: int) -> Tensor:
    count = max(1, round(side / pitch))
    if count == 1:
        return torch.ones(1, side)
    centres, p = torch.arange(count) * side / count, torch.arange(side) + 0.5
    apart = (p - centres[:, None] + side / 2) % side - side / 2
    return (1 - apart.abs() * count / side).clamp_min(0)
