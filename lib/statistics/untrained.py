"""A recogniser that was never trained: random weights, no download, small enough for two cores.

Training is not what makes a network's Gram matrices a model of textures. He, Wang & Hopcroft (2016) synthesise them,
and transfer style, by VGG with random weights; Ustyuzhaninov, Brendel, Gatys & Bethge (2017) by a single layer of
random filters, best at several scales (3 to 55 pixels). Here are both, at octaves s = 0..3 of averaged 2x2 pixels:

    I_s     = pooled I_(s-1)                           the image itself, handed on
    u_s,j   = ReLU(w_j * I_s - b_j)                    waves: one layer of filters, at several scales
    u_s,k   = ReLU(w_k * pooled u_(s-1,source(k)) - b_k)   contrast: waves of waves, a deep network

and each octave is one layer [I_s, u_s] of an ordinary periodic network. As in data-dependent initialisation
(Krahenbuhl, Doersch, Donahue & Darrell 2016) scales and biases are set on images: each filter's response has standard
deviation one there, and b is such that a share `ACTIVE` of all positions respond (fewer where the map that a filter
reads is mostly zero).

Departures. The papers draw each weight by itself, from a normal or uniform distribution. Such filters look in no
direction, and stones become foam: here weights are random Gabor functions (orientation, wavelength, phase and colour
drawn; cf. lib/statistics/waves.py), which have rims and strokes. A filter of the second kind reads one map (as in a
scattering transform, Bruna & Mallat 2013), not all: sums of many are nearly Gaussian and tell little. There are 34,912
statistics, a fifth of VGG-19's. Which numbers of filters and which sizes was chosen by eye.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.statistics.periodic import even, wrapped
from lib.statistics.recognisers import Architecture, Conv, Kernel, Layer, Pool

WAVES = (64, 48, 48, 48)  # filters of the image at each octave
CONTRASTS = (0, 96, 96, 96)  # filters of the octave before
WAVE_SIDE, CONTRAST_SIDE = 5, 3  # pixels
CYCLES = {WAVE_SIDE: (0.12, 0.32), CONTRAST_SIDE: (0.15, 0.30)}  # a pixel: slowest and fastest wave
GREY = 0.6  # the share of waves that see all three colours alike
WITH_MEAN = 0.25  # the share of filters that keep their mean: they know bright from dark
ACTIVE = 0.3  # the share of positions at which a filter responds
SEED = 0


def _octave(s: int) -> tuple[Layer, ...]:
    kernels = [Kernel(f"conv{s}.image", 3, 1), Kernel(f"conv{s}.waves", WAVES[s - 1], WAVE_SIDE)]
    if s == 1:
        return (Conv("conv1", tuple(kernels)),)
    contrasts = Kernel(f"conv{s}.contrasts", CONTRASTS[s - 1], CONTRAST_SIDE)
    return Pool(f"pool{s - 1}", 2), Conv(f"conv{s}", (*kernels, contrasts))


_LAYERS = tuple(f"conv{s + 1}" for s in range(len(WAVES)))

UNTRAINED = Architecture(
    name="an untrained network",
    layers=tuple(layer for s in range(len(WAVES)) for layer in _octave(s + 1)),
    upscale=1,
    gram=_LAYERS,
    sliced=_LAYERS,
    style=_LAYERS,
    content="conv3",
    shallow=_LAYERS[:2],
    deep=_LAYERS[2:],
    single="conv3",
    equal=False,
    url="",
)


@torch.no_grad()
def drawn(images: Tensor, seed: int = SEED) -> dict[str, tuple[Tensor, Tensor]]:
    """Weights [C',C,k,k] and biases [C'] by key: random, in scale and bias fitted to images [B,3,H,W] in [0,1]."""
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, tuple[Tensor, Tensor]] = {}
    h = images
    for layer in UNTRAINED.layers:
        if isinstance(layer, Pool):
            h = F.avg_pool2d(even(h), 2)
            continue
        maps = []
        for kernel in layer.kernels:
            weight = _weight(kernel, h.shape[1], generator)
            response = F.conv2d(wrapped(h, kernel.side // 2), weight)
            scale, bias = torch.ones(kernel.channels), torch.zeros(kernel.channels)
            if not kernel.key.endswith("image"):
                scale, bias = fitted(response)
            weights[kernel.key] = weight / scale[:, None, None, None], bias
            maps.append(F.relu(response / scale[:, None, None] + bias[:, None, None]))
        h = torch.cat(maps, 1)
    return weights


def fitted(response: Tensor) -> tuple[Tensor, Tensor]:
    """Each map's standard deviation, and the bias by which, in units of it, `ACTIVE` of it is positive: [C], [C]."""
    values = response.transpose(0, 1).flatten(1)
    scale = values.std(1)
    threshold = values.kthvalue(round((1 - ACTIVE) * values.shape[1]), 1).values
    return scale, -threshold / scale


def gabors(n: int, side: int, generator: torch.Generator) -> Tensor:
    """Waves in a window, at random angles, wavelengths and phases: [n,side,side]."""
    angle, phase, rate, chance = (c[:, None, None] for c in torch.rand(4, n, generator=generator))
    rows, columns = torch.meshgrid(*(torch.arange(side) - side // 2.0,) * 2, indexing="ij")
    slow, fast = CYCLES[side]
    along = torch.cos(math.pi * angle) * columns + torch.sin(math.pi * angle) * rows
    window = torch.exp(-(rows**2 + columns**2) / (2 * (side / 4) ** 2))
    waves = window * torch.cos(2 * math.pi * (slow + (fast - slow) * rate) * along + 2 * math.pi * phase)
    means = window * waves.sum((1, 2), keepdim=True) / window.sum()
    return torch.where(chance < WITH_MEAN, waves, waves - means)


def _weight(kernel: Kernel, width: int, generator: torch.Generator) -> Tensor:
    """[C',width,k,k]; the first three of `width` maps are the image."""
    weight = torch.zeros(kernel.channels, width, kernel.side, kernel.side)
    if kernel.key.endswith("image"):
        weight[:, :3, 0, 0] = torch.eye(3)
        return weight
    filters = gabors(kernel.channels, kernel.side, generator)
    if kernel.key.endswith("waves"):
        grey = torch.rand(kernel.channels, 1, generator=generator) < GREY
        colours = torch.where(grey, 1.0, torch.randn(kernel.channels, 3, generator=generator))
        weight[:, :3] = colours[:, :, None, None] * filters[:, None]
    else:
        rounds = [torch.randperm(width - 3, generator=generator) for _ in range(-(-kernel.channels // (width - 3)))]
        weight[torch.arange(kernel.channels), 3 + torch.cat(rounds)[: kernel.channels]] = filters
    return weight
