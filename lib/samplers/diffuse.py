"""Diffusion sampling with lambda = lambda(x0, sigma) at each noise level (Ho et al. 2020, in Eq. 3's terms).

From sigma_max down to zero, y -> x_hat + noise, where x_hat = y - sigma eps_hat is Miyasawa's estimate. Part of the
noise of the next level is the estimated one and part is fresh (an ancestral step), which lets later steps
correct earlier ones. Two things keep the contrast of a sample from fading with the number of steps (on a Gaussian
texture both can be checked exactly):

- x_hat is carried half a step ahead, along the line through the estimate before (Lu et al. 2022, DPM-Solver++ 2M),
  unless lambda is corrected: that keeps the contrast, and a correction must not be made one and a half times;
- the top level is the Gaussian texture of the exemplar's mean and spectrum plus noise, not noise alone: at low
  frequencies the spectrum of a texture exceeds sigma_max^2.

And one thing corrects lambda, which lambda_phi only guesses: each step asks also that statistics be what they should
be under noise (see `correct.py`), and looks several times whether they are: notebook 8 compares looks with levels.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from lib.energy import predicted_noise
from lib.model import Model
from lib.multipliers import multipliers
from lib.samplers.correct import Correction, corrected, correction
from lib.samplers.lbfgs import Pair
from lib.samplers.match import canvas, colouring, gaussian_of
from lib.samplers.step import APART, Step, at_once, checked_common, checked_count, cut, last, white_noise
from lib.statistics.gaussian import GaussianTexture
from lib.statistics.local import local
from lib.statistics.quadratic import periodic_component

STEPS = 7  # noise levels of `diffuse`,
ROUNDS = 3  # at each of which lambda is corrected so many times on average
LEVELS = 18  # noise levels where it is corrected once, or not at all
SIGMA_MAX = 0.5  # pixel units: twice the contrast of most textures; samples from 1.0 on came no nearer
SIGMA_MIN = 0.01
RHO = 5.0  # Karras et al. 2022, eq. 5: how much denser the levels lie at the small end
LEAST = 128  # pixels a side for which multipliers are computed
FEEDBACK = 1.0  # share of Newton's step that is made
SETTLERS = 2  # images whose corrections are averaged
FRESH = 0.7  # share of the noise's freedom that is renewed: 0 is deterministic, 1 the full ancestral step


def noise_levels(steps: int) -> Tensor:
    """sigma_max > ... > sigma_min, then 0: [steps + 1] (Karras et al. 2022, eq. 5)."""
    ramp = torch.linspace(0, 1, steps)
    ends = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return torch.cat([(ends[0] + ramp * (ends[1] - ends[0])) ** RHO, torch.zeros(1)])


@dataclass(frozen=True)
class Schedule:
    """Multipliers `lam` [K,d] at each of K noise levels, and what corrects them on the way."""

    lam: Tensor
    correction: Correction | None = None


def schedule(
    model: Model, x0: Tensor, steps: int, feedback: float = FEEDBACK, factor: float = 1, rounds: int = 1
) -> Schedule:
    """lambda(x0, factor sigma) at all noise levels, and mu if it is to be corrected: x0 [1,3,H,W]."""
    sigmas = factor * noise_levels(steps)[:-1]
    x, f = tiled(x0), model.statistics
    with torch.no_grad():
        clean = f(x)
        lam = torch.cat([
            multipliers(model.lambda_phi, f, x, clean, some) for some in sigmas.split(at_once(x))
        ])
    if not feedback:
        return Schedule(lam)
    return Schedule(lam, correction(model, x, sigmas, gaussian_of(x0).variance, feedback, rounds))


def settle(model: Model, x0: Tensor, steps: int) -> Generator[Step, None, Schedule]:
    """One record a step, then returns the multipliers that a corrected run comes to: x0 [1,3,H,W].

    They are for use without correction. What remains of the run's noise in them is the same for every sample.
    """
    given = schedule(model, x0, steps)
    height, width = canvas(max(LEAST, x0.shape[-2]), max(LEAST, x0.shape[-1]), tileable=False)
    lam = []

    def noise(k: int) -> Tensor:
        return white_noise(SETTLERS, height, width, 0, APART + 1 + k)

    for record, used in _walk(model, given, gaussian_of(x0), noise, steps):
        lam.append(used.mean(0))
        yield record
    return Schedule(torch.stack(lam))


def diffuse_multipliers(
    model: Model,
    known: Schedule,
    gaussian: GaussianTexture,
    noise: Callable[[int], Tensor],
    steps: int,
) -> Iterator[Step]:
    """Sample the densities whose multipliers at each noise level are `known`.

    `gaussian` is the texture at the top noise level; `noise(k)` [n,3,H,W] is the k-th draw of white noise. Each
    record holds the estimate x_hat; its `loss` is the noise level, sigma.
    """
    for record, _ in _walk(model, known, gaussian, noise, steps):
        yield record


def _walk(
    model: Model, known: Schedule, gaussian: GaussianTexture, noise: Callable[[int], Tensor], steps: int
) -> Iterator[tuple[Step, Tensor]]:
    """The records, each with the multipliers [n,d] that were used."""
    z = noise(0)
    used, told = list[Tensor](), list[Pair]()

    def look(k: int, sigma: Tensor, y: Tensor) -> Tensor:
        x_hat, lam = estimated(model, known, k, sigma, y, told=told)
        used.append(lam)
        return x_hat

    start = colouring(gaussian, z.shape[-2], z.shape[-1], SIGMA_MAX)(z)
    for record in walk(look, start, noise, steps, ahead=known.correction is None):
        yield record, used.pop()


def estimated(
    model: Model,
    known: Schedule,
    k: int,
    sigma: Tensor,
    y: Tensor,
    window: Tensor | None = None,
    told: list[Pair] | None = None,
) -> tuple[Tensor, Tensor]:
    """x_hat = y - sigma eps_hat at level k, y [n,3,H,W], and the multipliers [n,d] that it took.

    They are corrected by what the statistics of y lack, or those under a window [H,W] if there is one. `told` is what
    was learned on the way to y of how statistics respond; it is added to.
    """
    lam = known.lam[k].expand(len(y), -1)
    if known.correction is None:
        return y - sigma * predicted_noise(model.statistics, lam, y), lam
    c, so_far = known.correction, [] if told is None else told

    def look(seen: Tensor) -> tuple[Tensor, Tensor]:
        f = model.statistics(seen)
        return f, f.detach() if window is None else local(model.statistics, seen.detach(), window[None])[:, 0].detach()

    def tell(step: Tensor, change: Tensor) -> None:
        so_far.append(c.told(k, step, change))

    eps, lam = corrected(y, lam, look, lambda found: c.at(k, found, so_far), sigma, c.rounds[k], tell)
    return y - sigma * eps, lam


def walk(
    estimate: Callable[[int, Tensor, Tensor], Tensor],
    y: Tensor,
    noise: Callable[[int], Tensor],
    steps: int,
    ahead: bool,
) -> Iterator[Step]:
    """From y [n,3,H,W] at sigma_max down to no noise, whatever the density: `estimate(k, sigma, y)` is its x_hat.

    `ahead` carries x_hat half a step on, see the head of this file.
    """
    sigmas = noise_levels(steps)
    before: tuple[Tensor, Tensor] | None = None  # the last estimate, and the width of the step from it, in log sigma
    for k, (sigma, following) in enumerate(pairwise(sigmas)):
        x_hat = estimate(k, sigma, y)
        yield Step(x_hat.clamp(0, 1), sigma.item(), k + 1, steps)
        if following == 0:
            return
        width, x = (sigma / following).log(), x_hat
        if ahead and before is not None:
            x = x_hat + (x_hat - before[0]) * width / (2 * before[1])
        before = x_hat, width
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
    feedback: float = FEEDBACK,
    rounds: int = ROUNDS,
) -> Iterator[Step]:
    """`diffuse`, one record a noise level; arguments as there.

    lambda is corrected in so many `rounds` a level on average (`correct.rising`); `feedback` 0 takes lambda_phi at its
    word, by default at more levels.
    """
    x0, shape = checked_common(x0, n, size, seed)
    usual = STEPS if feedback else LEVELS
    steps = checked_count("steps", usual if steps is None else steps, 2)
    checked_count("rounds", rounds)
    h, w = canvas(*shape, tileable)
    known = schedule(model, x0, steps, feedback, rounds=rounds)
    records = diffuse_multipliers(model, known, gaussian_of(x0), lambda k: white_noise(n, h, w, seed, k), steps)
    yield from cut(records, *shape)


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
    """n new textures [n,3,H,W] by way of exp[-N lambda(x0, sigma).f(y)] / Z as sigma falls; x0 [3,H,W] in [0,1].

    lambda is corrected on the way (see the head of this file); `diffuse_steps(..., feedback=0)` does without.
    `steps` is the number of noise levels (default 7, in three rounds each on average); the other arguments and the
    errors are those of `match`.
    """
    return last(diffuse_steps(model, x0, n, size, seed, steps, tileable))
