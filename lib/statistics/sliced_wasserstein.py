"""The sliced Wasserstein distance between feature distributions (Heitz, Vanhoey, Chambon & Belcour 2021).

A Gram matrix holds second moments alone. Here the features of a layer, one point in R^C a position, are compared as
whole distributions: projected on random directions v, sorted, and subtracted,

    SW(p, q)^2 = mean over v of W(v.p, v.q)^2,    W(a, b)^2 = mean over i of (a_(i) - b_(i))^2,

since on a line the best transport keeps the order. As many directions a layer as it has features, as in the authors'
program. The statistics are quantile functions: distributions of different numbers of points are compared by reading
one at the other's levels, linearly between its points.

Departure: the paper draws directions anew at each evaluation. A line search needs a fixed objective, so here they
belong to the object, by its seed; there are enough of them to span the space.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.statistics.backbone import Backbone, load_backbone

LEVELS = 32  # of the quantile functions that are shown as statistics


class SlicedWasserstein:
    """f: the quantile functions of all projections at 32 levels, `dim` numbers; `projections` has every level."""

    def __init__(
        self, backbone: str | Path | Backbone | None = None, layers: Sequence[str] | None = None, seed: int = 0
    ) -> None:
        """`backbone` as in `load_backbone`; `layers` by name, None for those of the texture model."""
        self.backbone = load_backbone(backbone)
        self.layers = tuple(layers or self.backbone.architecture.sliced)
        self.name = f"sliced distributions of {self.backbone.name}"
        generator = torch.Generator().manual_seed(seed)
        channels = [self.backbone.architecture.channels(name) for name in self.layers]
        #: unit vectors, [K,C] for each layer
        self.directions = [F.normalize(torch.randn(c, c, generator=generator), dim=1) for c in channels]
        self.dim = LEVELS * sum(channels)

    def projections(self, x: Tensor) -> list[Tensor]:
        """Sorted, [B,K,positions] for each layer: x [B,3,H,W] in [0,1]."""
        features = self.backbone.features(x, self.layers)
        return [projected(h, v) for h, v in zip(features, self.directions, strict=True)]

    def __call__(self, x: Tensor) -> Tensor:
        """f(x): [B,3,H,W] in [0,1] -> [B,dim], differentiable."""
        return torch.cat([quantiles(p, LEVELS).flatten(1) for p in self.projections(x)], 1)


def projected(h: Tensor, directions: Tensor) -> Tensor:
    """Features [B,C,h,w] on directions [K,C], sorted: [B,K,hw]."""
    return (directions @ h.flatten(2)).sort(2).values


def quantiles(p: Tensor, levels: int) -> Tensor:
    """Sorted values [B,K,n] read at the middles of `levels` equal parts: [B,K,levels]."""
    return p if p.shape[2] == levels else F.interpolate(p, levels, mode="linear")


def wasserstein(p: Tensor, q: Tensor) -> Tensor:
    """W^2 between sorted values [B,K,n] and [1 or B,K,m], read at n levels; mean over the K directions -> [B]."""
    return (p - quantiles(q, p.shape[2])).square().mean((1, 2))
