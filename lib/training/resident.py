"""Crops made where the network is: all images lie in the device's memory as bytes, and a batch is one gather.

What a batch shows is drawn on the host, as in batches.py: the same numbers, hence the same crops. The host is a step
ahead of the device and never waits for it: one small array goes over, and nothing comes back.
"""

import numpy as np
import torch
from torch import Tensor

from lib.training.batches import ALL, Crops, Cut, Groups

QUARTER = np.array([[0, 1], [-1, 0]])  # where in the image, seen from its centre, a pixel of the turned crop lies
TURNS = {
    (turns, flip): tuple((np.linalg.matrix_power(QUARTER, turns) @ np.diag([1, -1 if flip else 1])).ravel())
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
        rows = np.stack([self._row(cut) for cut in self.draw(step, count, size)[shard]])
        table = torch.from_numpy(rows)
        if self.device.type == "cuda":
            table = table.pin_memory()
        table = table.to(self.device, non_blocking=True)
        places, gain = table[:, :7].long(), table[:, 7:11].float()
        # Of the image, a pixel of the crop is the mean of 2x2, which at scale 1 are four times the same one.
        start, width, factor, *turn = (column[:, None, None, None] for column in places.unbind(1))
        across = 2 * torch.arange(size, device=self.device) - (size - 1)  # twice the distance from the centre
        r, c = across[:, None], across
        rows_at, columns_at = ((turn[i] * r + turn[i + 1] * c + size - 1) // 2 * factor for i in (0, 2))
        second = torch.arange(4, device=self.device)[:, None, None]
        index = start + (rows_at + second // 2 * (factor - 1)) * width + columns_at + second % 2 * (factor - 1)
        x = self.pixels[index].float().mean(1).permute(0, 3, 1, 2) / 255
        x = torch.gather(x, 1, table[:, 11:].long()[:, :, None, None].expand_as(x))
        x = x.clamp(1e-4, 1) ** gain[:, :1, None, None] * gain[:, 1:, None, None]
        return x.clamp(0, 1)

    def _row(self, cut: Cut) -> np.ndarray:
        """A cut as numbers: first pixel, width of the image, scale, turn (2x2), gain (4), colours (3). [14]"""
        width = self.image(cut.image).shape[1]
        first = self.starts[cut.image] + cut.top * width + cut.left
        turn = TURNS[cut.turns, cut.flip]
        return np.array([first, width, cut.factor, *turn, *cut.gain, *cut.colours], dtype=np.float64)
