"""FRAME: filters, random fields and maximum entropy (Zhu, Wu & Mumford 1998), and its deep successor.

FRAME is the density p(x) = exp[-N theta.f(x) - J(x)] / Z with f the marginals of filter responses
(lib/statistics/filters.py). Its potentials theta are learned by the stochastic gradient of the likelihood, which moves
theta until the marginals of images sampled from p are the exemplar's. This is what lib/samplers/soul.py does, so the
sampler and its settings are those of lib/models/soul.py.

Departures from Zhu, Wu & Mumford: colour; a fixed bank instead of filter pursuit; continuous pixels and Langevin steps
instead of 8 grey levels and the Gibbs sampler; a wide white Gaussian J, as pixels are not bounded otherwise.

Deep FRAME (Lu, Zhu & Wu 2016) takes for f the means of one layer of a trained network after its ReLU, and a white
Gaussian for J; theirs has unit variance on pixels of 0 to 255 less the mean, ours is lib/models/soul.py's, and wide.
"""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from lib.models import soul
from lib.models.soul import checked, macrocanonical_steps
from lib.samplers.soul import SoulStep
from lib.statistics.backbone import Backbone, load_backbone
from lib.statistics.channels import ChannelMeans
from lib.statistics.filters import FilterMarginals


def frame_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    iterations: int = soul.ITERATIONS,
    delta: float = soul.DELTA,
    gamma: float = soul.GAMMA,
) -> Iterator[SoulStep]:
    """n textures [n,3,H,W] from FRAME of x0 ([3,H,W] in [0,1]), one record an iteration; arguments of `soul_steps`."""
    x0 = checked(x0, n, size, seed, iterations, delta, gamma)
    return macrocanonical_steps(FilterMarginals(x0), x0, n, size, seed, tileable, iterations, delta, gamma)


def deep_frame_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    iterations: int = soul.ITERATIONS,
    delta: float = soul.DELTA,
    gamma: float = soul.GAMMA,
    layer: str | None = None,
    backbone: str | Path | Backbone | None = None,
) -> Iterator[SoulStep]:
    """n textures [n,3,H,W] from deep FRAME of x0, by one `layer` of the network; other arguments of `soul_steps`.

    `layer` is a name, None for the one in lib/statistics/recognisers.py. Raises TextureError for one there is not.
    """
    x0 = checked(x0, n, size, seed, iterations, delta, gamma)
    network = load_backbone(backbone)
    f = ChannelMeans(network, [network.architecture.single if layer is None else layer])
    return macrocanonical_steps(f, x0, n, size, seed, tileable, iterations, delta, gamma)
