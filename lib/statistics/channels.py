"""Channel means of a convolutional network: what De Bortoli et al. (2021) constrain in expectation.

    f_lc(x) = mean over pixels of channel c of layer l,     l in a choice of layers

First moments of the responses only, about 10^3 numbers, where Gatys et al. (2015) take all products of channels of a
layer. Theory asks for smooth f: max pooling is replaced by average pooling and ReLU by CELU, which is differentiable
(`smooth`). Lu, Zhu & Wu (2016) take the means of one layer, with ReLU.

Any function from images to a list of maps will do for a network. `VGG19` names that network's layers: `full` has those
of the course by Galerne, one of the authors (github.com/bgalerne/mva_generative_models_for_images), 2688 channels in
all; the cut between `shallow` and `deep`, at the third pooling, is ours. For want of a trained network `RandomFeatures`
will do, after Ustyuzhaninov et al. (2017), who synthesise textures with random filters of several sizes.
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.errors import TextureError

Features = Callable[[Tensor], list[Tensor]]  # [B,3,H,W] -> maps [B,C,H',W'], from the shallowest to the deepest


class Layers(NamedTuple):
    """Names of a network's layers for each of the three choices."""

    shallow: tuple[str, ...]
    deep: tuple[str, ...]
    full: tuple[str, ...]


_SHALLOW = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3")
_DEEP = ("relu4_3", "relu4_4", "relu5_2")
VGG19 = Layers(_SHALLOW, _DEEP, _SHALLOW + _DEEP)


class ChannelMeans:
    """Means of all channels of the maps that `features` gives, or of those whose indices are `layers`: `dim` of them.

    Raises TextureError if `features` is no such function, or has no such layers.
    """

    name = "channel means"

    def __init__(self, features: Features, layers: tuple[int, ...] | None = None) -> None:
        with torch.no_grad():
            maps = features(torch.full((1, 3, 64, 64), 0.5))
        if not isinstance(maps, (list, tuple)) or not all(isinstance(m, Tensor) and m.ndim == 4 for m in maps):
            raise TextureError("features must give a list of maps [B,C,H,W]; it gives something else")
        self.layers = tuple(range(len(maps))) if layers is None else layers
        if not self.layers or not all(0 <= layer < len(maps) for layer in self.layers):
            raise TextureError(f"layers {self.layers} are not among the {len(maps)} that the features have")
        self.features, self.dim = features, sum(maps[layer].shape[1] for layer in self.layers)

    def __call__(self, x: Tensor) -> Tensor:
        """f(x): [B,3,H,W] in [0,1] -> [B,dim]."""
        maps = self.features(x)
        return torch.cat([maps[layer].mean((2, 3)) for layer in self.layers], 1)


def smooth(network: nn.Module) -> nn.Module:
    """A copy of a network with CELU for each nn.ReLU, and average pooling for max pooling."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU):
                setattr(parent, name, nn.CELU())
            elif isinstance(child, nn.MaxPool2d):
                setattr(parent, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode))
    return network


class RandomFeatures:
    """Four layers of random 5x5 filters, each on the layer before, halved: [B,3,H,W] -> 4 maps of 64 channels.

    Circular, smooth, always the same; the first layer's filters have no mean but for three, which see the colour.
    """

    CHANNELS, SIDE = 64, 5

    def __init__(self, depth: int = 4, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.weights = []
        for layer in range(depth):
            into = 3 if layer == 0 else self.CHANNELS
            weight = torch.randn(self.CHANNELS, into, self.SIDE, self.SIDE, generator=generator)
            weight -= weight.mean((2, 3), keepdim=True)
            self.weights.append(weight / weight.square().sum((1, 2, 3), keepdim=True).sqrt())

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Maps of x [B,3,H,W] in [0,1]."""
        h, maps = 10 * (x - 0.5), []
        for weight in self.weights:
            if maps:
                h = F.avg_pool2d(h, 2)
            pad = min(self.SIDE // 2, *h.shape[-2:])
            h = F.softplus(F.conv2d(F.pad(h, (pad,) * 4, mode="circular"), weight.to(h)), beta=4)
            maps.append(h)
        return maps
