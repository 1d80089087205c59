"""Channel means of a recogniser: what De Bortoli et al. (2021) constrain in expectation.

    f_lc(x) = mean over positions of channel c of layer l,     l in a choice of layers

First moments of the responses only, about 10^3 numbers, where Gatys et al. (2015) take all products of channels of a
layer. Theory asks for smooth f: pooling is by averages, as everywhere here, and CELU, which is differentiable, takes
the place of ReLU (`smooth`). Lu, Zhu & Wu (2016) take the means of one layer, with ReLU.

The choices are in recognisers.py. VGG-19's ten layers, 2688 channels, are those of the course by Galerne, one of the
authors (github.com/bgalerne/mva_generative_models_for_images); the cut between shallow and deep, at the third pooling,
is ours. So are SqueezeNet's, by the size of what they see.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.errors import TextureError
from lib.statistics.backbone import Backbone, load_backbone

CHOICES = ("shallow", "deep", "full")


class ChannelMeans:
    """f: the means of the channels of `layers`, one after another; `dim` of them.

    `backbone` as in `load_backbone`; `layers` by name. Raises TextureError for a layer that this network has not.
    """

    def __init__(self, backbone: str | Path | Backbone | None, layers: Sequence[str]) -> None:
        self.backbone, self.layers = load_backbone(backbone), tuple(layers)
        self.name = f"channel means of {self.backbone.name}"
        self.dim = sum(self.backbone.architecture.channels(name) for name in self.layers)

    def __call__(self, x: Tensor) -> Tensor:
        """f(x): [B,3,H,W] in [0,1] -> [B,dim], differentiable."""
        return torch.cat([h.mean((2, 3)) for h in self.backbone.features(x, self.layers)], 1)


def smooth(backbone: str | Path | Backbone | None) -> Backbone:
    """The same network with CELU for ReLU, whose units are those of `Backbone.rescaled`: mean activations."""
    return replace(load_backbone(backbone), activation=F.celu)


def chosen(backbone: Backbone, choice: str) -> tuple[str, ...]:
    """Names of the layers "shallow", "deep", or "full" for both; TextureError for another choice."""
    if choice not in CHOICES:
        raise TextureError(f"layers is {choice!r}; choose {', '.join(CHOICES[:-1])} or {CHOICES[-1]}")
    architecture = backbone.architecture
    return {
        "shallow": architecture.shallow,
        "deep": architecture.deep,
        "full": architecture.shallow + architecture.deep,
    }[choice]
