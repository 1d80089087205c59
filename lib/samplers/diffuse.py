"""Diffusion sampling with lambda = lambda(x0, sigma) at each noise level (Ho et al. 2020, in Eq. 3's terms).

From sigma_max down to zero, y -> x_hat + noise, where x_hat = y - sigma eps_hat is Miyasawa's estimate. Part of the
noise of the next level is the estimated one and part is fresh (an ancestral step), which lets later steps
correct earlier ones. Two things keep the contrast of a sample from fading with the number of steps (on a Gaussian
texture both can be checked exactly):

- x_hat is carried half a step ahead, along the line through the estimate before (Lu et al. 2022, DPM-Solver++ 2M);
- the top level is the Gaussian texture of the exemplar's mean and spectrum plus noise, not noise alone: at low
  frequencies the spectrum of a texture exceeds sigma_max^2.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from lib.energy import predicted_noise
from lib.images import check_image
from lib.model import Model
from lib.samplers.match import canvas, colouring, gaussian_of
from lib.samplers.step import Step, checked_count, checked_size, last, white_noise
from lib.statistics.gaussian import GaussianTexture
from lib.statistics.quadratic import periodic_component

STEPS = 40
SIGMA_MAX = 2.0  # pixel units: ten times a texture's contrast; above it a texture is as good as Gaussian
SIGMA_MIN = 0.01
RHO = 5.0  # Karras et al. 2022, eq. 5: how much denser the levels lie at the small end
LEAST = 128  # pixels a side for which multipliers are computed
FRESH = 0.7  # share of the noise's freedom that is renewed: 0 is deterministic, 1 the full ancestral step


def noise_levels(steps: int) -> Tensor:
    """sigma_max > ... > sigma_min, then 0: [steps + 1] (Karras et al. 2022, eq. 5)."""
    ramp = torch.linspace(0, 1, steps)
    ends = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return torch.cat([(ends[0] + ramp * (ends[1] - ends[0])) ** RHO, torch.zeros(1)])


def diffuse_multipliers(
    model: Model,
    lam: Callable[[Tensor], Tensor],
    gaussian: GaussianTexture,
    noise: Callable[[int], Tensor],
    steps: int,
) -> Iterator[Step]:
    """Sample the densities whose multipliers at noise level sigma (a scalar) are lam(sigma) [1,d] or [n,d].

    `gaussian` is the texture at the top noise level; `noise(k)` [n,3,H,W] is the k-th draw of white noise. Each
    record holds the estimate x_hat; its `loss` is the noise level, sigma.
    """
    sigmas = noise_levels(steps)
    z = noise(0)
    y = colouring(gaussian, z.shape[-2], z.shape[-1], sigmas[0].item())(z)
    before: tuple[Tensor, Tensor] | None = None  # the last estimate, and the width of the step from it, in log sigma
    for k, (sigma, following) in enumerate(pairwise(sigmas)):
        estimate = y - sigma * predicted_noise(model.statistics, lam(sigma), y)
        yield Step(estimate.clamp(0, 1), sigma.item(), k + 1, steps)
        if following == 0:
            return
        width, x = (sigma / following).log(), estimate
        if before is not None:
            x = estimate + (estimate - before[0]) * width / (2 * before[1])
        before = estimate, width
        fresh = FRESH * (following**2 * (sigma**2 - following**2)).sqrt() / sigma
        kept = (following**2 - fresh**2).clamp_min(0).sqrt()
        y = x + kept / sigma * (y - x) + fresh * noise(k + 1)


def diffuse_steps(
    model: Model,
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    steps: int | None = None,
    tileable: bool = False,
) -> Iterator[Step]:
    """`diffuse`, one record a noise level; arguments as there."""
    x0 = check_image(x0, "x0")
    steps = STEPS if steps is None else steps
    checked_count("n", n), checked_count("seed", seed, 0), checked_count("steps", steps, 2)
    height, width = checked_size(size, x0)
    h, w = canvas(height, width, tileable)
    with torch.no_grad():
        lam = schedule(model, x0, steps)
    for record in diffuse_multipliers(
        model, lam, gaussian_of(x0), lambda k: white_noise(n, h, w, seed, k), steps
    ):
        yield Step(record.image[..., :height, :width], record.loss, record.step, record.steps)


def schedule(model: Model, x0: Tensor, steps: int) -> Callable[[Tensor], Tensor]:
    """sigma -> lambda(x0, sigma) [1,d], computed for all noise levels at once."""
    sigmas = noise_levels(steps)[:-1]
    x = tiled(x0)
    lam = torch.cat([model.multipliers(x, sigma) for sigma in sigmas])
    return lambda sigma: lam[(sigmas - sigma).abs().argmin()][None]


def tiled(x0: Tensor) -> Tensor:
    """The periodic component of x0 [B,3,H,W], repeated to at least 128 pixels a side: what lambda is asked about.

    Lags of 32 pixels cannot be told apart on a small torus: multipliers that are best there may cancel on it and
    diverge on any other.
    """
    return periodic_component(x0).repeat(1, 1, *(-(-LEAST // side) for side in x0.shape[-2:]))


def diffuse(
    model: Model,
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    steps: int | None = None,
    tileable: bool = False,
) -> Tensor:
    """n new textures [n,3,H,W] drawn from exp[-N lambda(x0, sigma).f(y)] / Z as sigma falls; x0 [3,H,W] in [0,1].

    `steps` is the number of noise levels (default 40); the other arguments and the errors are those of `match`.
    """
    return last(diffuse_steps(model, x0, n, size, seed, steps, tileable))
