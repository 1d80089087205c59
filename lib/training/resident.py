"""Crops made where the network is: all images lie in the device's memory as bytes, and a batch is one gather.

What a batch shows is drawn on the host, as in batches.py: the same numbers, hence the same crops. The host is a step
ahead of the device and never waits for it: one small array goes over, and nothing comes back.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.training.batches import ALL, Crops, Cut, Groups, room

QUARTER = np.array([[0, 1], [-1, 0]])  # where in the image, seen from its centre, a pixel of the turned crop lies
TURNS = {
    (turns, flip): (np.linalg.matrix_power(QUARTER, turns) @ np.diag([1, -1 if flip else 1])).ravel()
    for turns in range(4)
    for flip in (False, True)
}


class ResidentCrops(Crops):
    """`Crops` whose batches are made, and stay, on a device; every shape depends on count and size alone."""

    def __init__(self, groups: Groups, seed: int = 0, device: torch.device | str = "cuda") -> None:
        super().__init__(groups, seed)
        self.device = torch.device(device)
        images = [self.image(k) for k in range(int(self.before[-1]))]
        areas = [image.shape[0] * image.shape[1] for image in images]
        self.starts = np.concatenate([[0], np.cumsum(areas)])
        self.pixels = torch.empty(int(self.starts[-1]), 3, dtype=torch.uint8, device=self.device)
        for start, area, image in zip(self.starts, areas, images, strict=False):
            self.pixels[start : start + area] = torch.from_numpy(np.array(image)).view(-1, 3)

    def batch(self, step: int, count: int, size: int, shard: slice = ALL) -> Tensor:
        """As `Crops.batch`, on the device."""
        rows = np.stack([self._row(cut, size) for cut in self.draw(step, count, size)[shard]])
        table = torch.from_numpy(rows)
        if self.device.type == "cuda":
            table = table.pin_memory()
        table = table.to(self.device, non_blocking=True)
        whole, part = table[:, :6].long(), table[:, 6:17].float()
        x = self._squares(whole[:, :5], size)
        places = _places(whole[:, 5], part[:, :2], part[:, 2:6].view(-1, 2, 2), part[:, 6], size)
        places = (2 * places + 1) / x.shape[-1] - 1  # -1 and 1 at the edges
        x = F.grid_sample(x, places, mode="bicubic", padding_mode="border", align_corners=False)
        x, gain = F.avg_pool2d(x, 2), part[:, 7:]
        x = torch.gather(x, 1, table[:, 17:].long()[:, :, None, None].expand_as(x))
        x = x.clamp(1e-4, 1) ** gain[:, :1, None, None] * gain[:, 1:, None, None]
        return x.clamp(0, 1)

    def _squares(self, whole: Tensor, size: int) -> Tensor:
        """Squares of images that have room for any crop, whole [B,5] as in `_row`: [B,3,n,n] in [0,1].

        What would lie outside of an image is its border, at which no crop looks.
        """
        along = torch.arange(room(2 * size, math.pi / 4), device=self.device)
        start, height, width, top, left = (column[:, None, None] for column in whole.unbind(1))
        rows = (top + along[:, None]).clamp_min(0).minimum(height - 1)
        columns = (left + along).clamp_min(0).minimum(width - 1)
        return self.pixels[start + rows * width + columns].permute(0, 3, 1, 2).float() / 255

    def _row(self, cut: Cut, size: int) -> np.ndarray:
        """A cut as numbers. [20]

        The image's first pixel, height and width, where in it a square [n,n] begins that has room for any crop, the
        scale; the crop's centre in the square, its turn (2x2), its angle, gain (4); colours (3).
        """
        height, width = self.image(cut.image).shape[:2]
        half = (room(cut.factor * size, cut.angle) - 1) / 2
        centre = np.array([cut.top + half, cut.left + half])
        corner = np.floor(centre).astype(int) - room(2 * size, math.pi / 4) // 2
        first = [self.starts[cut.image], height, width, *corner, cut.factor]
        return np.array([*first, *(centre - corner), *TURNS[cut.turns, cut.flip], cut.angle, *cut.gain, *cut.colours])


def _places(factor: Tensor, centre: Tensor, turn: Tensor, angle: Tensor, size: int) -> Tensor:
    """Where in their squares the crops' pixels lie, four for each: [B,2 size,2 size,2], column and row.

    At scale 1/2 a pixel of the crop is the mean of 2x2 pixels, which at scale 1 are four times the same one.
    """
    across = torch.arange(2 * size, device=factor.device)
    pixel, second = (across // 2) - (size - 1) / 2, across % 2 - 0.5
    factor = factor.float()[:, None]
    offset = factor * pixel + (factor - 1) * second  # of the crop, before it is turned: [B,2 size]
    row, column, turn = offset[:, :, None], offset[:, None, :], turn[..., None, None]
    down, right = (turn[:, i, 0] * row + turn[:, i, 1] * column for i in (0, 1))
    cosine, sine = (f(angle)[:, None, None] for f in (torch.cos, torch.sin))
    x, y = cosine * right - sine * down, sine * right + cosine * down
    return torch.stack([x + centre[:, 1, None, None], y + centre[:, 0, None, None]], -1)
