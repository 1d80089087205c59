"""How various a model's textures are: as much as pieces of the exemplar, or one and the same again?

A model that remembers one picture makes no mistake and no texture: a generator's known failure ("mode collapse"), and
what a search may do whose statistics outnumber the pixels. Two measures, each 1 for a model as various as its exemplar
and 0 for one that repeats itself:

    places        variance of a pixel from sample to sample, over the variance of the exemplar's pixels
    statistics    spread of f over samples, over its spread over pieces of the exemplar: the median of all f_k

Pieces of one photograph overlap, and may differ in lighting, so that the second can be below 1 for good textures.
"""

import torch
from torch import Tensor

from lib.energy import Statistics
from lib.errors import TextureError
from lib.statistics.quadratic import periodic_component


def places(samples: Tensor, x0: Tensor) -> float:
    """Of samples [n,3,H,W] of one seed each, and the exemplar [3,H',W']."""
    _several("samples", samples)
    return (samples.var(0).mean() / x0.flatten(1).var(1).mean()).item()


@torch.no_grad()
def statistics(f: Statistics, samples: Tensor, pieces: Tensor) -> float:
    """Of samples [n,3,H,W] and pieces [m,3,H,W] of the exemplar, of one size, by statistics f."""
    _several("samples", samples)
    _several("pieces", pieces)
    made, real = (torch.cat([f(periodic_component(x[None])) for x in batch]).std(0) for batch in (samples, pieces))
    return (made / real.clamp_min(1e-12)).median().item()


def _several(name: str, x: Tensor) -> None:
    if len(x) < 2:
        raise TextureError(f"{name} are {len(x)}; give at least 2 to see them vary")
