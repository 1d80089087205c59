"""Where do things come to lie? Pictures that began in the same noise, compared place by place.

Every sampler here that starts from the exemplar's Gaussian texture draws it from white noise z of the seed: the sketch

    m + S^(1/2) z,    m the exemplar's mean, S its spectrum.

How much of the sketch's layout is left in a texture, and how much two textures share that different models made of it,
is told by the correlation of their luminances over pixels: 1 for the same layout, 0 for none in common.
"""

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.evaluation.protocol import SOURCES, Protocol
from lib.samplers.match import colouring, gaussian_of
from lib.samplers.step import white_noise


def agreement(a: Tensor, b: Tensor) -> Tensor:
    """Correlation over pixels of the luminances of a and b, both [n,3,H,W]: [n].

    Raises TextureError unless they are of one shape.
    """
    if a.shape != b.shape:
        raise TextureError(f"pictures are {tuple(a.shape)} and {tuple(b.shape)}; give pairs of one size")
    return (_unit(a) * _unit(b)).mean((1, 2))


def _unit(x: Tensor) -> Tensor:
    grey = x.double().mean(1)
    grey = grey - grey.mean((1, 2), keepdim=True)
    return grey / grey.square().mean((1, 2), keepdim=True).sqrt().clamp_min(1e-12)


def sketches(protocol: Protocol, name: str) -> Tensor:
    """The Gaussian textures that samples of an exemplar start from, in their order (see `protocol.py`): [n,3,H,W]."""
    side, each = protocol.side, protocol.n // SOURCES
    drawn = [
        colouring(gaussian_of(x0[None]), side, side)(white_noise(each, side, side, SOURCES * protocol.seed + k))
        for k, x0 in enumerate(protocol.sources(name))
    ]
    return torch.stack(drawn, 1).flatten(0, 1)
