"""Gram matrices of a recognition network's features: the texture model of Gatys, Ecker & Bethge (2015).

    G_ij = mean over positions k of F_ik F_jk

for the feature maps F of each layer: which features occur together, wherever that is. In VGG-19 the layers are
conv1_1 and the first four pools, 64 + 64 + 128 + 256 + 512 maps; counting the symmetric entries once, that makes
176,640 statistics, against the 710 of Portilla & Simoncelli (2000) in grey and the 512 of the learned model.

Departure: a mean where the paper has a sum, so that images of all sizes compare.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lib.statistics.backbone import Backbone, load_backbone


class Gram:
    """f: the entries on and above the diagonals, layer after layer; `dim` of them, 176,640 for VGG-19.

    `channels` has the number of maps of each layer, `sizes` that of its entries.
    """

    def __init__(self, backbone: str | Path | Backbone | None = None, layers: Sequence[str] | None = None) -> None:
        """`backbone` as in `load_backbone`; `layers` by name, None for those of the texture model."""
        self.backbone = load_backbone(backbone)
        self.layers = tuple(layers or self.backbone.architecture.gram)
        self.channels = [self.backbone.architecture.channels(name) for name in self.layers]
        self.sizes = [c * (c + 1) // 2 for c in self.channels]
        self.name = f"Gram matrices of {self.backbone.name}"
        self.dim = sum(self.sizes)

    def matrices(self, x: Tensor) -> list[Tensor]:
        """[B,C,C] for each layer: x [B,3,H,W] in [0,1]."""
        return [gram(h) for h in self.backbone.features(x, self.layers)]

    def __call__(self, x: Tensor) -> Tensor:
        """f(x): [B,3,H,W] in [0,1] -> [B,dim], differentiable."""
        return torch.cat([upper(g) for g in self.matrices(x)], 1)


def gram(h: Tensor) -> Tensor:
    """Mean products of feature maps: [B,C,H,W] -> [B,C,C]."""
    flat = h.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def upper(g: Tensor) -> Tensor:
    """Entries on and above the diagonal: [B,C,C] -> [B,C(C+1)/2]."""
    rows, columns = torch.triu_indices(*g.shape[1:])
    return g[:, rows, columns]
