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

from torch import Tensor

from lib.models import soul
from lib.models.soul import macrocanonical_steps
from lib.samplers.soul import SoulStep
from lib.statistics.channels import ChannelMeans, Features, RandomFeatures
from lib.statistics.filters import FilterMarginals

DELTA, GAMMA = 3.0, 0.002  # bins have steep sides: shorter steps of the image, longer ones of theta
LAYER = 2  # of the maps that features give: fine enough for edges, wide enough for corners


def frame_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    steps: int = soul.STEPS,
    delta: float = DELTA,
    gamma: float = GAMMA,
) -> Iterator[SoulStep]:
    """n textures [n,3,H,W] from FRAME of x0 ([3,H,W] in [0,1]), one record an iteration; arguments of `soul_steps`."""
    return macrocanonical_steps(FilterMarginals(x0), x0, n, size, seed, tileable, steps, delta, gamma)


def deep_frame_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    features: Features | None = None,
    layer: int = LAYER,
    steps: int = soul.STEPS,
    delta: float = soul.DELTA,
    gamma: float = soul.GAMMA,
) -> Iterator[SoulStep]:
    """n textures [n,3,H,W] from deep FRAME of x0, with the `layer`-th map (from 0) that `features` give.

    `features` are images [B,3,H,W] in [0,1] -> list of maps, after ReLU; None for random filters. Other arguments of
    `soul_steps`.
    """
    f = ChannelMeans(RandomFeatures() if features is None else features, (layer,))
    return macrocanonical_steps(f, x0, n, size, seed, tileable, steps, delta, gamma)
