"""The first half of an Inception v3 (Szegedy et al. 2016), up to its block mixed5: a stand-in for FID's network.

FID is defined by one network and one set of weights (Heusel et al. 2017). Where those cannot be had, this trunk gives
features of textures that serve the same distances; they are named after it, and never FID. Three depths, each averaged
over positions: pool2 (192 features), mixed2 (288), mixed5 (768). Convolutions are numbered as in Keras, their batch
norms folded in; images are scaled to -1..1 and to 299x299 pixels, as the network was trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.errors import TextureError

SIDE = 299
DEPTHS = {"pool2": 192, "mixed2": 288, "mixed5": 768}
CONVOLUTIONS = 50


@dataclass(frozen=True, eq=False)
class Trunk:
    """Weights by number: {i: (kernel [C',C,h,w], bias [C'])}, i = 1 to 50."""

    weights: dict[int, tuple[Tensor, Tensor]]

    @classmethod
    def of(cls, tensors: dict[str, Tensor], name: str = "the file") -> "Trunk":
        """From tensors convI.weight and convI.bias; TextureError if any is missing."""
        missing = [i for i in range(1, CONVOLUTIONS + 1) if not {f"conv{i}.weight", f"conv{i}.bias"} <= set(tensors)]
        if missing:
            raise TextureError(f"{name} holds no trunk of an Inception v3: conv{missing[0]} is missing; give another")
        return cls({
            i: (tensors[f"conv{i}.weight"].float(), tensors[f"conv{i}.bias"].float())
            for i in range(1, CONVOLUTIONS + 1)
        })  # fmt: skip

    @torch.no_grad()
    def __call__(self, x: Tensor, depth: str) -> Tensor:
        """Features of x [B,3,H,W] in [0,1] -> [B,192|288|768]."""
        h = F.interpolate(x, (SIDE, SIDE), mode="bilinear") * 2 - 1
        h = self._conv(self._conv(self._conv(h, 1, 2, False), 2, 1, False), 3)
        h = self._conv(self._conv(F.max_pool2d(h, 3, 2), 4, 1, False), 5, 1, False)
        h = F.max_pool2d(h, 3, 2)
        if depth == "pool2":
            return h.mean((2, 3))
        for f in (6, 13, 20):  # mixed0 to mixed2: 1x1, 5x5, 3x3 twice
            h = self._mixed(h, ([f], [f + 1, f + 2], [f + 3, f + 4, f + 5]), f + 6)
        if depth == "mixed2":
            return h.mean((2, 3))
        halved = [self._conv(h, 27, 2, False), self._conv(self._chain(h, [28, 29]), 30, 2, False)]
        h = torch.cat([*halved, F.max_pool2d(h, 3, 2)], 1)
        for f in (31, 41):  # mixed4, mixed5: 1x1, 7x7, 7x7 twice; a 7x7 is a 1x7 and a 7x1
            h = self._mixed(h, ([f], range(f + 1, f + 4), range(f + 4, f + 9)), f + 9)
        return h.mean((2, 3))

    def _conv(self, h: Tensor, i: int, stride: int = 1, pad: bool = True) -> Tensor:
        kernel, bias = self.weights[i]
        margin = (kernel.shape[2] // 2, kernel.shape[3] // 2) if pad else (0, 0)
        return F.relu(F.conv2d(h, kernel, bias, stride, margin))

    def _chain(self, h: Tensor, numbers: Sequence[int]) -> Tensor:
        for i in numbers:
            h = self._conv(h, i)
        return h

    def _mixed(self, h: Tensor, branches: Sequence[Sequence[int]], after_average: int) -> Tensor:
        average = F.avg_pool2d(h, 3, 1, 1, count_include_pad=False)
        return torch.cat([*(self._chain(h, b) for b in branches), self._conv(average, after_average)], 1)
