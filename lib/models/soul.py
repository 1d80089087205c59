"""Macrocanonical textures by SOUL: channel means of a network in expectation (De Bortoli et al. 2021).

The density is p(x) = exp[-N theta.(f(x) - f(x0)) - J(x)] / Z. lib/samplers/soul.py learns theta in one chain an image,
which starts at the exemplar's Gaussian texture (as theirs do) and is the result. They run 10,000 iterations.

Departures, which make some hundred iterations enough:

- steps are measured by the exemplar's spectrum S (P = S) and the statistics by their response to such steps, so that
  one delta and gamma, without unit, serve all statistics;
- f is that of the image as it is shown, clipped to [0,1]: so f is bounded, and theta can be no way out of [0,1];
- the exemplar is measured, as everywhere here, on its periodic component.

J is a white Gaussian about the exemplar's mean colour, as wide as [0,1]: it decides only what f leaves open.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from lib.energy import Statistics, denoised
from lib.samplers.diffuse import tiled
from lib.samplers.langevin import Filter, checked_positive
from lib.samplers.match import canvas, gaussian_of, spectral
from lib.samplers.soul import SoulStep, largest, rates, soul
from lib.samplers.step import APART, checked_common, checked_count, checked_size, white_noise
from lib.statistics.backbone import Backbone
from lib.statistics.channels import ChannelMeans, chosen, smooth
from lib.statistics.gaussian import GaussianTexture
from lib.statistics.quadratic import periodic_component
from lib.training.checkpoint import load

ITERATIONS = 400
DELTA, GAMMA, ONSET = 100.0, 0.002, 300
WHITE = 0.5  # pixel units
SIGMA = 0.05  # the noise level of `soul_learned_steps`, pixel units
LEARNED_ITERATIONS, LEARNED_DELTA = 150, 30.0  # theta starts near its place
LEARNED_LEAST = 1e-3  # `LEAST` of the learned statistics, which never sleep and differ more in their units
PROBES = 16  # moves by which the statistics' responses are measured, at each of two images
LEAST = 0.1  # of the median response: what sleeps where it is measured may wake, and then answers far more


def soul_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    iterations: int = ITERATIONS,
    delta: float = DELTA,
    gamma: float = GAMMA,
    layers: str = "full",
    backbone: str | Path | Backbone | None = None,
) -> Iterator[SoulStep]:
    """n textures [n,3,H,W] with the channel means of x0 ([3,H,W] in [0,1]) in expectation; one record an iteration.

    Args:
        delta, gamma: step sizes of theta and of the image, at first; their product is best well below 4 (see
            lib/samplers/soul.py, where this delta is delta rho).
        layers: "shallow", "deep" or "full" (see lib/statistics/channels.py).
        backbone: as in `load_backbone`.

    `theta` and `average` of the records are [n,d], a row an image. Sample i depends on (seed, i) alone. `tileable`
    makes opposite edges meet.

    Raises TextureError for an x0 that is no image in [0,1] of at least 32x32, another argument out of range, or a
    backbone that cannot be had.
    """
    x0 = checked(x0, n, size, seed, iterations, delta, gamma)
    network = smooth(backbone)
    f = ChannelMeans(network, chosen(network, layers))
    return macrocanonical_steps(f, x0, n, size, seed, tileable, iterations, delta, gamma)


def macrocanonical_steps(
    f: Statistics,
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    iterations: int = ITERATIONS,
    delta: float = DELTA,
    gamma: float = GAMMA,
) -> Iterator[SoulStep]:
    """SOUL for any statistics f [B,3,H,W] -> [B,d] and the targets mu = f(x0); the rest as in `soul_steps`."""
    x0 = checked(x0, n, size, seed, iterations, delta, gamma)
    height, width = checked_size(size, x0)
    gaussian, x = gaussian_of(x0), periodic_component(x0)

    def shown(x: Tensor) -> Tensor:
        return f(x.clamp(0, 1))

    with torch.no_grad():
        mu = shown(x)[0]
    mean = gaussian.mean.float()[:, :, None, None]
    unit, rho = typical_responses(shown, x, mean, spectral(gaussian, *x.shape[-2:])(0.5))
    h, w = canvas(height, width, tileable)
    root = spectral(gaussian, h, w)(0.5)
    for record in chains(shown, mu, unit, mean, root, (n, h, w), seed, iterations, delta / rho, gamma):
        yield replace(record, image=record.image[..., :height, :width])


def soul_learned_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    iterations: int = LEARNED_ITERATIONS,
    delta: float = LEARNED_DELTA,
    gamma: float = GAMMA,
    checkpoint: str = "default",
) -> Iterator[SoulStep]:
    """n textures [n,3,H,W] with the learned statistics of x0 in expectation; the rest as in `soul_steps`.

    The density is that of y = x + sigma eps at one small noise level, `SIGMA`. There lambda_phi guesses, at a glance,
    theta = lam / sigma (lib/energy.py: the score is -eps_hat / sigma). SOUL starts from that, with E f(x0 + sigma eps)
    for mu. What is shown is Miyasawa's estimate of x from y, clipped, by the theta learned so far.
    """
    x0 = checked(x0, n, size, seed, iterations, delta, gamma)
    model = load(checkpoint)
    height, width = checked_size(size, x0)
    gaussian, x, f = gaussian_of(x0), periodic_component(x0), model.statistics
    y = x + SIGMA * white_noise(PROBES, x.shape[-2], x.shape[-1], 0, APART)
    with torch.no_grad():
        mu = f(y).mean(0)
        guess = model.multipliers(tiled(x0), SIGMA)[0] / SIGMA
    mean = gaussian.mean.float()[:, :, None, None]
    unit, rho = typical_responses(f, y[:1], mean, noisy_root(gaussian, *x.shape[-2:]), LEARNED_LEAST)
    h, w = canvas(height, width, tileable)
    root = noisy_root(gaussian, h, w)
    for record in chains(f, mu, unit, mean, root, (n, h, w), seed, iterations, delta / rho, gamma, guess):
        # one by one: in a batch, rounding would depend on how many there are
        pairs = zip(record.theta, record.image, strict=True)
        estimate = torch.cat([denoised(f, SIGMA * theta, y[None], SIGMA) for theta, y in pairs])
        yield replace(record, image=estimate.clamp(0, 1)[..., :height, :width])


def checked(
    x0: Tensor, n: int, size: int | tuple[int, int] | None, seed: int, iterations: int, delta: float, gamma: float
) -> Tensor:
    """x0 as [1,3,H,W], and the first argument out of range told."""
    x0, _ = checked_common(x0, n, size, seed)
    checked_count("iterations", iterations), checked_positive("delta", delta), checked_positive("gamma", gamma)
    return x0


def white(mean: Tensor) -> Callable[[Tensor], Tensor]:
    """J(x) = |x - mean|^2 / (2 WHITE^2), the reference: [n,3,H,W] -> [n]."""
    return lambda x: (x - mean).square().sum((1, 2, 3)) / (2 * WHITE**2)


def noisy_root(gaussian: GaussianTexture, height: int, width: int) -> Filter:
    """(S + sigma^2)^(1/2) with S(0) = 0: the energy of the learned statistics holds a texture's mean to be known."""
    root = spectral(gaussian, height, width, SIGMA)(0.5)

    def apply(z: Tensor) -> Tensor:
        constant = z.mean((2, 3), keepdim=True)
        return root(z - constant) + SIGMA * constant

    return apply


def typical_responses(
    f: Statistics, x: Tensor, mean: Tensor, root: Filter, least: float = LEAST
) -> tuple[Tensor, float]:
    """v [d] and rho for `soul`, from rates at the exemplar x [1,3,H,W] and at a Gaussian texture mean + root(z).

    Where a run ends, and where it starts: a channel that sees edges is asleep in the one and not in the other.
    """
    noise = white_noise(PROBES + 1, x.shape[-2], x.shape[-1], 0, APART)
    both = [rates(f, at, root, noise[:PROBES]) for at in (x, mean + root(noise[PROBES:]))]
    v = torch.cat(both).square().mean(0)
    v = v.clamp_min(least * v.median() + 1e-12)
    return v, max(largest(found, v) for found in both)


def chains(
    f: Statistics,
    mu: Tensor,
    unit: Tensor,
    mean: Tensor,
    root: Filter,
    shape: tuple[int, int, int],
    seed: int,
    steps: int,
    delta: float,
    gamma: float,
    theta: Tensor | None = None,
) -> Iterator[SoulStep]:
    """`soul` for each of n images of `shape` (n, height, width) from mean + P^(1/2) z, with root = P^(1/2).

    Each has a theta of its own, so that their number decides nothing.
    """
    n, h, w = shape

    @lru_cache(maxsize=8)  # the runs take turns, and each asks for the same few draws
    def noise(k: int) -> Tensor:
        return white_noise(n, h, w, seed, k)

    def run(i: int) -> Iterator[SoulStep]:
        def own(k: int) -> Tensor:
            return noise(k)[i : i + 1]

        return soul(f, mu, mean + root(own(0)), own, steps, delta, gamma, white(mean), unit, root, theta, ONSET)

    for records in zip(*(run(i) for i in range(n)), strict=True):
        images, thetas, averages = ([getattr(r, name) for r in records] for name in ("image", "theta", "average"))
        loss = sum(r.loss for r in records) / n
        first = records[0]
        yield SoulStep(torch.cat(images), loss, first.step, steps, torch.stack(thetas), torch.stack(averages))
