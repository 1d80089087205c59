"""Recognisers without downloads: the published architectures with random weights, and the real one if it is named."""

import math
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lib.statistics.backbone import VARIABLE, Backbone, assembled, calibration
from lib.statistics.recognisers import ARCHITECTURES

needs_weights = pytest.mark.skipif(
    not Path(os.environ.get(VARIABLE, "")).is_file(), reason=f"no weights at hand: name their file in {VARIABLE}"
)


def random_tensors(key: str) -> dict[str, Tensor]:
    """Tensors named and shaped as torchvision's, of the size that keeps activations' (He et al. 2015)."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in ARCHITECTURES[key].shapes.items():
        spread = (2 / math.prod(shape[1:])) ** 0.5
        tensors[f"{name}.weight"] = spread * torch.randn(shape, generator=generator)
        tensors[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    return tensors


def random_backbone(key: str = "squeezenet1_0") -> Backbone:
    return assembled(random_tensors(key))


def rescaled_backbone() -> Backbone:
    return random_backbone().rescaled(calibration()[..., :48, :48])
