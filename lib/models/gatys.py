"""Textures from a recogniser: match the Gram matrices of its features, or their whole distributions, by L-BFGS.

Gatys, Ecker & Bethge (2015) descend sum_l w_l |G_l(x) - G_l(x0)|^2, Heitz et al. (2021) the sliced Wasserstein distance
on the same network. Here both are in units of what is matched, so that 1 is the loss where all features are zero:

    VGG-19            the published equal weights: sum_l mean (G - G0)^2 / sum_l mean G0^2
    other networks    each layer in its own units: mean over l of (mean (G - G0)^2 / mean G0^2)

Between two textures the target is (1 - t) G(xa) + t G(xb), the line of Eq. 5 of Zhao & Simoncelli in other statistics.

Departures: x0 is no torus, as the features take it to be, and is shown by its periodic component (Moisan 2011); the
search starts from, and goes through, the Gaussian texture of x0 (see match.py) where both papers start from white
noise in pixels. 60 iterations then leave a tenth of the loss or less (pebble 0.011 for 0.11, flower 0.009 for 0.19,
cloth 0.0015 for 0.22, at 96x96 with SqueezeNet), and low frequencies are right from the start.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.samplers.descend import OUTSIDE, descend
from lib.samplers.match import POWER, blend_gaussians, canvas, colouring, gaussian_of, spectral, unit
from lib.samplers.step import Step, checked_common, checked_count, cut, white_noise
from lib.statistics.backbone import Backbone
from lib.statistics.gaussian import GaussianTexture
from lib.statistics.gram import Gram
from lib.statistics.quadratic import periodic_component
from lib.statistics.sliced_wasserstein import SlicedWasserstein, wasserstein

ITERATIONS = 100

Loss = Callable[[Tensor], Tensor]


def gatys_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    iterations: int = ITERATIONS,
    backbone: str | Path | Backbone | None = None,
) -> Iterator[Step]:
    """n textures [n,3,H,W] with the Gram matrices of x0 ([3,H,W] in [0,1]); one record an iteration.

    `size`, `seed` and `tileable` as in `lib.match`; `iterations` of L-BFGS; `backbone` as in `load_backbone`.

    Raises TextureError for an x0 that is no image, a number out of range, or a backbone that cannot be had.
    """
    x0, shape = _checked(x0, n, size, seed, iterations)
    loss = gram_mismatch(Gram(backbone), x0)
    return _textures(loss, gaussian_of(x0), n, shape, seed, tileable, iterations)


def gatys_between_steps(
    xa: Tensor,
    xb: Tensor,
    t: float,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    iterations: int = ITERATIONS,
    backbone: str | Path | Backbone | None = None,
) -> Iterator[Step]:
    """The texture at t of the line in Gram matrices, 0 at xa and 1 at xb, both [3,H,W] in [0,1]: images [1,3,H,W].

    It starts from the Gaussian texture that lies as far between theirs; xa's size by default. Other arguments and
    errors as in `gatys_steps`, and for a t outside [0,1].
    """
    (xa, shape), (xb, _) = (_checked(x, 1, size, seed, iterations) for x in (xa, xb))
    if not 0 <= t <= 1:
        raise TextureError(f"t is {t}; it runs from 0 (xa) to 1 (xb)")
    f = Gram(backbone)
    with torch.no_grad():
        ends = (f.matrices(periodic_component(x)) for x in (xa, xb))
        targets = [torch.lerp(a, b, t) for a, b in zip(*ends, strict=True)]
    gaussian = blend_gaussians(gaussian_of(xa), gaussian_of(xb), t)
    return _textures(mismatch_of(f, targets), gaussian, 1, shape, seed, False, iterations)


def sliced_wasserstein_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    iterations: int = ITERATIONS,
    backbone: str | Path | Backbone | None = None,
) -> Iterator[Step]:
    """n textures [n,3,H,W] whose features are distributed as those of x0; arguments and errors as in `gatys_steps`.

    The directions belong to the seed: all of a call's textures are compared on the same ones.
    """
    x0, shape = _checked(x0, n, size, seed, iterations)
    loss = sliced_mismatch(SlicedWasserstein(backbone, seed=seed), x0)
    return _textures(loss, gaussian_of(x0), n, shape, seed, tileable, iterations)


@torch.no_grad()
def gram_mismatch(statistics: Gram, x0: Tensor) -> Loss:
    """x [B,3,H,W] -> [B]: how far its Gram matrices are from those of x0 [1,3,H,W]."""
    return mismatch_of(statistics, statistics.matrices(periodic_component(x0)))


def mismatch_of(statistics: Gram, targets: Sequence[Tensor]) -> Loss:
    """x [B,3,H,W] -> [B]: how far its Gram matrices are from `targets`, [1,C,C] for each layer."""

    def loss(x: Tensor) -> Tensor:
        apart = [
            (g - target).square().mean((1, 2))
            for g, target in zip(statistics.matrices(x), targets, strict=True)
        ]
        return balanced(apart, [t.square().mean() for t in targets], statistics.backbone)

    return loss


@torch.no_grad()
def sliced_mismatch(statistics: SlicedWasserstein, x0: Tensor) -> Loss:
    """x [B,3,H,W] -> [B]: squared distance of its features' distributions from those of x0."""
    targets = statistics.projections(periodic_component(x0))

    def loss(x: Tensor) -> Tensor:
        apart = [wasserstein(p, target) for p, target in zip(statistics.projections(x), targets, strict=True)]
        return balanced(apart, [t.square().mean() for t in targets], statistics.backbone)

    return loss


def balanced(apart: Sequence[Tensor], sizes: Sequence[Tensor], backbone: Backbone) -> Tensor:
    """One number for all layers, from each one's square distance [B] and the size [] of its target."""
    if backbone.architecture.equal:
        return torch.stack(list(apart)).sum(0) / torch.stack(list(sizes)).sum()
    return torch.stack([a / s for a, s in zip(apart, sizes, strict=True)]).mean(0)


def _checked(
    x0: Tensor, n: int, size: int | tuple[int, int] | None, seed: int, iterations: int
) -> tuple[Tensor, tuple[int, int]]:
    checked_count("iterations", iterations)
    return checked_common(x0, n, size, seed)


def _textures(
    loss: Loss,
    gaussian: GaussianTexture,
    n: int,
    shape: tuple[int, int],
    seed: int,
    tileable: bool,
    iterations: int,
) -> Iterator[Step]:
    """Lower a loss from samples of the Gaussian texture."""
    noise = white_noise(n, *canvas(*shape, tileable), seed)
    starts = torch.cat([colouring(gaussian, *noise.shape[-2:])(z[None]) for z in noise])
    yield from cut(descend_through(gaussian, loss, starts, iterations), *shape)


def descend_through(
    gaussian: GaussianTexture, loss: Loss, starts: Tensor, iterations: int, outside: float = OUTSIDE
) -> Iterator[Step]:
    """Lower a loss from images [n,3,H,W] through w, where x = m + S^(1/4) w has the Gaussian's mean and spectrum."""
    of = spectral(gaussian, *starts.shape[-2:])
    filtered, size = of(POWER), unit(gaussian)
    mean = gaussian.mean.float()[:, :, None, None]
    w = torch.cat([of(-POWER)(x[None] - mean) for x in starts]) / size
    return descend(loss, w, iterations, lambda w: mean + size * filtered(w), outside)
