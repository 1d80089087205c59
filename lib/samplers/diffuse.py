"""Diffusion sampling with lambda = lambda(x0, sigma) at each noise level (Ho et al. 2020, in Eq. 3's terms).

From sigma_max down to zero, y -> x_hat + noise, where x_hat = y - sigma eps_hat is Miyasawa's estimate. Part of the
noise of the next level is the estimated one and part is fresh (an ancestral step), which lets later steps
correct earlier ones.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from lib.energy import predicted_noise
from lib.images import check_image
from lib.model import Model
from lib.samplers.match import canvas
from lib.samplers.step import Step, checked_count, checked_size, last, white_noise
from lib.statistics.quadratic import periodic_component

STEPS = 40
SIGMA_MAX = 2.0  # pixel units: ten times a texture's contrast; above it the exemplar's mean is all there is
SIGMA_MIN = 0.01
RHO = 5.0  # Karras et al. 2022, eq. 5: how much denser the levels lie at the small end
FRESH = 0.7  # share of the noise's freedom that is renewed: 0 is deterministic, 1 the full ancestral step


def noise_levels(steps: int) -> Tensor:
    """sigma_max > ... > sigma_min, then 0: [steps + 1] (Karras et al. 2022, eq. 5)."""
    ramp = torch.linspace(0, 1, steps)
    ends = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return torch.cat([(ends[0] + ramp * (ends[1] - ends[0])) ** RHO, torch.zeros(1)])


def diffuse_multipliers(
    model: Model, lam: Callable[[Tensor], Tensor], mean: Tensor, noise: Callable[[int], Tensor], steps: int
) -> Iterator[Step]:
    """Sample the densities whose multipliers at noise level sigma (a scalar) are lam(sigma) [1,d] or [n,d].

    `mean` [1 or n,3,1,1] is where the top noise level is centred; `noise(k)` [n,3,H,W] is the k-th draw of white
    noise. Each record holds the estimate x_hat; its `loss` is the noise level, sigma.
    """
    sigmas = noise_levels(steps)
    y = mean + sigmas[0] * noise(0)
    for k, (sigma, following) in enumerate(pairwise(sigmas)):
        eps = predicted_noise(model.statistics, lam(sigma), y)
        estimate = y - sigma * eps
        fresh = FRESH * (following**2 * (sigma**2 - following**2)).sqrt() / sigma
        y = estimate + (following**2 - fresh**2).clamp_min(0).sqrt() * eps
        if following > 0:
            y = y + fresh * noise(k + 1)
        yield Step(estimate.clamp(0, 1), sigma.item(), k + 1, steps)


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
    mean = x0.mean((2, 3), keepdim=True)
    for record in diffuse_multipliers(model, lam, mean, lambda k: white_noise(n, h, w, seed, k), steps):
        yield Step(record.image[..., :height, :width], record.loss, record.step, record.steps)


def schedule(model: Model, x0: Tensor, steps: int) -> Callable[[Tensor], Tensor]:
    """sigma -> lambda(x0, sigma) [1,d], computed for all noise levels at once."""
    sigmas = noise_levels(steps)[:-1]
    x = periodic_component(x0)
    lam = torch.cat([model.multipliers(x, sigma) for sigma in sigmas])
    return lambda sigma: lam[(sigmas - sigma).abs().argmin()][None]


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
