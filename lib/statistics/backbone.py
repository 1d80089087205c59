"""Networks trained to recognise objects, cut off before their classifier: features of an image, periodic, of any size.

VGG-19 (Simonyan & Zisserman 2015), which Gatys et al. (2015) read textures from, and SqueezeNet 1.0 (Iandola et al.
2016), two hundred times smaller. Both are written out below as lists of layers; the weights are torchvision's, by its
ordinary download, or those of a file. As in Gatys et al.

- pooling is by averages, not by maxima as trained: the image's gradient is smoother;
- weights are rescaled so that each filter's mean activation over images and positions is one. ReLU and averages pass
  factors through, so nothing else changes: filter i is divided by its mean activation a_i, and what reads it is
  multiplied by a_i.

Departures: convolutions and pools go round the torus, so that an image has no border and tiles; the images behind the
mean activations are the nine exemplars, not ImageNet's; filters that hardly ever respond to them (less than a hundredth
of their layer's mean) are divided by that hundredth; and SqueezeNet sees the image at twice its size, since its first
layer leaves out every other pixel, which leaves a checkerboard in textures.

What a file's weights expect is told by its metadata (safetensors, key "input": "RGB 0..255 minus (r,g,b)"); files
without it, .pth among them, are taken for torchvision's: ImageNet's mean and standard deviation.
"""

import os
import pickle
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lib.errors import TextureError
from lib.images import EXEMPLARS, exemplar
from lib.statistics.waves import even, wrapped

VARIABLE = "TEXTURES_BACKBONE"  # the environment's word on the default: a name or a path
LEAST_ACTIVATION = 0.01  # of the layer's mean: filters that respond less are left small
CALIBRATION = 160  # pixels a side, of each exemplar


@dataclass(frozen=True)
class Kernel:
    """One convolution: its tensors `key`.weight and `key`.bias, outputs, pixels a side."""

    key: str
    channels: int
    side: int = 3


@dataclass(frozen=True)
class Conv:
    """Convolutions side by side and ReLU, outputs concatenated."""

    name: str
    kernels: tuple[Kernel, ...]
    stride: int = 1


@dataclass(frozen=True)
class Pool:
    """Averages over side x side pixels, every other one kept."""

    name: str
    side: int


Layer = Conv | Pool


@dataclass(frozen=True)
class Architecture:
    """Layers in order; which of them the models of this library read; where torchvision publishes the weights."""

    name: str
    layers: tuple[Layer, ...]
    upscale: int
    gram: tuple[str, ...]  # texture: Gatys et al. 2015
    sliced: tuple[str, ...]  # texture: Heitz et al. 2021
    style: tuple[str, ...]  # Gatys et al. 2016
    content: str
    equal: bool  # whether layers count as they are, as published, or each in units of its target
    url: str

    def channels(self, name: str) -> int:
        """Number of feature maps of a layer."""
        widths, width = {}, 3
        for layer in self.layers:
            width = width if isinstance(layer, Pool) else sum(k.channels for k in layer.kernels)
            widths[layer.name] = width
        if name not in widths:
            raise TextureError(f"{self.name} has no layer {name!r}; choose among {', '.join(widths)}")
        return widths[name]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights by key, by which a file is recognised."""
        found: dict[str, tuple[int, ...]] = {}
        width = 3
        for layer in self.layers:
            if isinstance(layer, Conv):
                found |= {k.key: (k.channels, width, k.side, k.side) for k in layer.kernels}
                width = sum(k.channels for k in layer.kernels)
        return found


def _vgg19() -> tuple[Layer, ...]:
    layers: list[Layer] = []
    at = 0  # torchvision counts ReLUs and pools too
    for block, (convolutions, channels) in enumerate(((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)), 1):
        for i in range(1, convolutions + 1):
            layers.append(Conv(f"conv{block}_{i}", (Kernel(f"features.{at}", channels),)))
            at += 2
        layers.append(Pool(f"pool{block}", 2))
        at += 1
    return tuple(layers)


def _fire(number: int, at: int, channels: int) -> tuple[Layer, ...]:
    """A few 1x1 filters, read by as many 1x1 as 3x3 ones."""
    key, half = f"features.{at}", channels // 2
    squeeze = Conv(f"squeeze{number}", (Kernel(f"{key}.squeeze", channels // 8, 1),))
    kernels = Kernel(f"{key}.expand1x1", half, 1), Kernel(f"{key}.expand3x3", half)
    return squeeze, Conv(f"fire{number}", kernels)


def _squeezenet() -> tuple[Layer, ...]:
    return (
        Conv("conv1", (Kernel("features.0", 96, 7),), 2),
        Pool("pool1", 3),
        *_fire(2, 3, 128),
        *_fire(3, 4, 128),
        *_fire(4, 5, 256),
        Pool("pool4", 3),
        *_fire(5, 7, 256),
        *_fire(6, 8, 384),
        *_fire(7, 9, 384),
        *_fire(8, 10, 512),
        Pool("pool8", 3),
        *_fire(9, 12, 512),
    )


ARCHITECTURES = {
    "vgg19": Architecture(
        name="VGG-19",
        layers=_vgg19(),
        upscale=1,
        gram=("conv1_1", "pool1", "pool2", "pool3", "pool4"),
        sliced=tuple(f"conv{b}_{i}" for b, n in ((1, 2), (2, 2), (3, 4), (4, 4)) for i in range(1, n + 1)),
        style=("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"),
        content="conv4_2",
        equal=True,
        url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    ),
    "squeezenet1_0": Architecture(
        name="SqueezeNet 1.0",
        layers=_squeezenet(),
        upscale=2,
        gram=("conv1", "pool1", "fire2", "fire3", "fire4", "fire5", "fire7"),
        sliced=("conv1", "pool1", "fire2", "fire3", "fire4", "fire5", "fire7"),
        style=("conv1", "fire2", "fire3", "fire5", "fire7"),
        content="fire5",
        equal=False,
        url="https://download.pytorch.org/models/squeezenet1_0-b66bff10.pth",
    ),
}


@dataclass(frozen=True)
class Preprocessing:
    """What weights expect: (x - mean) / std of RGB in [0,1]."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __call__(self, x: Tensor) -> Tensor:
        mean, std = (x.new_tensor(c)[:, None, None] for c in (self.mean, self.std))
        return (x - mean) / std


TORCHVISION = Preprocessing()


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network's feature maps; `weights` maps each kernel's key to its weight [C',C,k,k] and bias [C']."""

    architecture: Architecture
    weights: dict[str, tuple[Tensor, Tensor]]
    preprocessing: Preprocessing = TORCHVISION

    @property
    def name(self) -> str:
        """What captions show."""
        return self.architecture.name

    def features(self, x: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """Maps [B,C,h,w] of the layers asked for, after ReLU, in that order: x [B,3,H,W] in [0,1], a torus.

        Raises TextureError for a layer that this network has not.
        """
        for name in layers:
            self.architecture.channels(name)
        h, found = self.preprocessing(enlarged(x, self.architecture.upscale)), {}
        for layer in self.architecture.layers:
            h = pooled(h, layer.side) if isinstance(layer, Pool) else self._convolved(h, layer)
            if layer.name in layers:
                found[layer.name] = h
            if len(found) == len(set(layers)):
                break
        return [found[name] for name in layers]

    def _convolved(self, h: Tensor, layer: Conv) -> Tensor:
        responses = [
            F.conv2d(wrapped(h, k.side // 2), *self.weights[k.key], stride=layer.stride) for k in layer.kernels
        ]
        return F.relu(torch.cat(responses, 1) if len(responses) > 1 else responses[0])

    @torch.no_grad()
    def rescaled(self, images: Tensor) -> "Backbone":
        """The same network, but for units: each filter's mean activation on images [B,3,H,W] is one."""
        h = self.preprocessing(enlarged(images, self.architecture.upscale))
        weights: dict[str, tuple[Tensor, Tensor]] = {}
        scaled = replace(self, weights=weights)
        before = h.new_ones(3)  # what each input channel was divided by
        for layer in self.architecture.layers:
            if isinstance(layer, Pool):
                h = pooled(h, layer.side)
                continue
            for k in layer.kernels:
                weight, bias = self.weights[k.key]
                weights[k.key] = weight * before[:, None, None], bias
            h = scaled._convolved(h, layer)
            mean = h.mean((0, 2, 3))
            before = mean.clamp_min(LEAST_ACTIVATION * mean.mean().item()).clamp_min(1e-12)
            h = h / before[:, None, None]
            parts = before.split([k.channels for k in layer.kernels])
            for k, part in zip(layer.kernels, parts, strict=True):
                weight, bias = weights[k.key]
                weights[k.key] = weight / part[:, None, None, None], bias / part
        return scaled


def enlarged(x: Tensor, factor: int) -> Tensor:
    """A torus x [B,C,H,W] at `factor` times its size, bilinear."""
    if factor == 1:
        return x
    wide = F.interpolate(wrapped(x, 1), scale_factor=factor, mode="bilinear")
    return wide[..., factor:-factor, factor:-factor]


def pooled(h: Tensor, side: int) -> Tensor:
    """Averages of side x side pixels, two apart, of a torus [B,C,H,W]; an odd one is first continued by a pixel."""
    return F.avg_pool2d(continued(even(h), side - 2), side, 2)


def continued(h: Tensor, margin: int) -> Tensor:
    """A torus continued down and to the right."""
    if margin:
        h = torch.cat([h, h[..., :margin, :]], -2)
        h = torch.cat([h, h[..., :margin]], -1)
    return h


def load_backbone(backbone: "str | Path | Backbone | None" = None) -> Backbone:
    """A network ready to read textures, its weights rescaled.

    Args:
        backbone: "vgg19" or "squeezenet1_0": torchvision's weights, downloaded once (550 and 5 MB) into torch.hub's
            cache; the path of a .pth or .safetensors file, whose network is told by its tensors' names and shapes;
            None for what the environment variable TEXTURES_BACKBONE says, else "vgg19"; or one already loaded.

    Raises TextureError for another name, a file that is missing, damaged or of another network, and when the
    download fails.
    """
    if isinstance(backbone, Backbone):
        return backbone
    return _load(str(backbone or os.environ.get(VARIABLE) or "vgg19"))


@lru_cache(maxsize=2)
def _load(name: str) -> Backbone:
    if name in ARCHITECTURES:
        tensors, preprocessing = _download(ARCHITECTURES[name]), TORCHVISION
    elif Path(name).is_file():
        tensors, preprocessing = _read(Path(name))
    else:
        known = " or ".join(map(repr, ARCHITECTURES))
        raise TextureError(f"there is no backbone {name!r}; give {known}, or the path of their weights")
    return assembled(tensors, preprocessing, name).rescaled(calibration())


def calibration() -> Tensor:
    """The middles of the nine exemplars: [9,3,160,160]."""
    images = [exemplar(name) for name in EXEMPLARS]
    corners = [[(side - CALIBRATION) // 2 for side in x.shape[1:]] for x in images]
    return torch.stack([
        x[:, top : top + CALIBRATION, left : left + CALIBRATION]
        for x, (top, left) in zip(images, corners, strict=True)
    ])  # fmt: skip


def assembled(tensors: dict[str, Tensor], preprocessing: Preprocessing = TORCHVISION, name: str = "") -> Backbone:
    """The network that these tensors are of, before rescaling; TextureError, naming their file, if none known is."""
    for architecture in ARCHITECTURES.values():
        shapes = architecture.shapes
        if all(getattr(tensors.get(f"{key}.weight"), "shape", None) == shape for key, shape in shapes.items()):
            keys = [(key, f"{key}.weight", f"{key}.bias") for key in shapes]
            if all(getattr(tensors.get(bias), "shape", None) == shapes[key][:1] for key, _, bias in keys):
                weights = {key: (tensors[weight].float(), tensors[bias].float()) for key, weight, bias in keys}
                return Backbone(architecture, weights, preprocessing)
    names = " or ".join(a.name for a in ARCHITECTURES.values())
    raise TextureError(f"{name} does not hold the weights of {names} under torchvision's names; give another file")


def _download(architecture: Architecture) -> dict[str, Tensor]:
    try:
        return torch.hub.load_state_dict_from_url(
            architecture.url, map_location="cpu", check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TextureError(
            f"the weights of {architecture.name} could not be had from {architecture.url} ({reason}); "
            f"get that file elsewhere and give its path, as `backbone` or in the variable {VARIABLE}"
        ) from None


def _read(path: Path) -> tuple[dict[str, Tensor], Preprocessing]:
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                return tensors, _preprocessing((file.metadata() or {}).get("input"), path)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        if isinstance(error, TextureError):
            raise
        raise TextureError(f"{path} is no file of weights (.pth or .safetensors) or is damaged; get it again") from None
    if not isinstance(tensors, dict):
        raise TextureError(f"{path} holds a {type(tensors).__name__}, not tensors by name; save a state_dict")
    return tensors, TORCHVISION


def _preprocessing(said: str | None, path: Path) -> Preprocessing:
    if said is None:
        return TORCHVISION
    found = re.fullmatch(r"RGB 0\.\.255 minus \(([\d.]+), ?([\d.]+), ?([\d.]+)\)", said)
    if found is None:
        raise TextureError(f"{path} says its input is {said!r}; known is 'RGB 0..255 minus (r,g,b)'")
    red, green, blue = (float(c) / 255 for c in found.groups())
    return Preprocessing((red, green, blue), (1 / 255, 1 / 255, 1 / 255))
