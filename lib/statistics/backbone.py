"""Networks trained to recognise objects, cut off before their classifier: features of an image, periodic, of any size.

The networks are those of recognisers.py; their weights are torchvision's, by its ordinary download, or those of a file.
As in Gatys et al. (2015)

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lib.errors import TextureError
from lib.images import EXEMPLARS, exemplar
from lib.statistics.periodic import even, wrapped
from lib.statistics.recognisers import ARCHITECTURES, Architecture, Conv, Pool
from lib.statistics.untrained import UNTRAINED, drawn

VARIABLE = "TEXTURES_BACKBONE"  # the environment's word on the default: a name or a path
LEAST_ACTIVATION = 0.01  # of the layer's mean: filters that respond less are left small
CALIBRATION = 160  # pixels a side, of each exemplar


@dataclass(frozen=True)
class Preprocessing:
    """What weights expect: (x - mean) / std of RGB in [0,1]."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __call__(self, x: Tensor) -> Tensor:
        mean, std = (x.new_tensor(c)[:, None, None] for c in (self.mean, self.std))
        return (x - mean) / std


TORCHVISION = Preprocessing()
UNSCALED = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network's feature maps; `weights` maps each kernel's key to its weight [C',C,k,k] and bias [C'].

    Another `activation` than the one trained with is for after rescaling, which counts on ReLU.
    """

    architecture: Architecture
    weights: dict[str, tuple[Tensor, Tensor]]
    preprocessing: Preprocessing = TORCHVISION
    activation: Callable[[Tensor], Tensor] = F.relu

    @property
    def name(self) -> str:
        """What captions show."""
        return self.architecture.name

    def features(self, x: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """Maps [B,C,h,w] of the layers asked for, activated, in that order: x [B,3,H,W] in [0,1], a torus.

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
        return self.activation(torch.cat(responses, 1) if len(responses) > 1 else responses[0])

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
            cache; "untrained": random ones, no download (see untrained.py); the path of a .pth or .safetensors file,
            whose network is told by its tensors' names and shapes;
            None for what the environment variable TEXTURES_BACKBONE says, else "vgg19"; or one already loaded.

    Raises TextureError for another name, a file that is missing, damaged or of another network, and when the
    download fails.
    """
    if isinstance(backbone, Backbone):
        return backbone
    return _load(str(backbone or os.environ.get(VARIABLE) or "vgg19"))


@lru_cache(maxsize=2)
def _load(name: str) -> Backbone:
    if name == "untrained":
        images = calibration()
        return Backbone(UNTRAINED, drawn(images), UNSCALED).rescaled(images)
    tensors, preprocessing = weights_of(name)
    return assembled(tensors, preprocessing, name).rescaled(calibration())


def weights_of(name: str) -> tuple[dict[str, Tensor], Preprocessing]:
    """All tensors of a trained network, its classifier's too, and what they expect: torchvision's, or those of a file.

    Raises TextureError as `load_backbone` does.
    """
    if name in ARCHITECTURES:
        return _download(ARCHITECTURES[name]), TORCHVISION
    if Path(name).is_file():
        return _read(Path(name))
    known = " or ".join(map(repr, ARCHITECTURES))
    raise TextureError(
        f"there is no backbone {name!r}; give {known}, or the path of their weights, or 'untrained', which has none"
    )


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
            f"get that file elsewhere and give its path, as `backbone` or in the variable {VARIABLE}; "
            "the backbone 'untrained' needs none"
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
