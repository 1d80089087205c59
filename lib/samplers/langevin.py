"""The unadjusted Langevin algorithm: a chain of images whose law tends to p(x) = exp[-U(x)] / Z.

    x <- x - gamma P grad U(x) + (2 gamma P)^(1/2) z,     z white noise

(Durmus & Moulines 2017; De Bortoli et al. 2021, with P = 1). Any constant symmetric P > 0 leaves p as it is; with P
near the covariance of p, all frequencies of an image settle in equally many steps and gamma has no unit. A texture's
spectrum spans decades: with P = 1, the step that its finest detail bears leaves its coarsest where it was.

There is no Metropolis test, and the law at a fixed gamma is a little off. It is known exactly for a Gaussian of
covariance S: the mean is right, and an eigenvalue s of S comes out as s / (1 - gamma / 2s) with P = 1, and as
s / (1 - gamma / 2) with P = S.

Such chains diverge where the energy is too steep for gamma. As in the truncated drift of Roberts & Tweedie (1996), a
gradient whose P^(1/2) grad U has a root mean square above gamma^(-1/2), so that it would carry the image as far as the
noise does, is shortened to that. On the Gaussian above with P = S it is 1, and nothing changes.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.samplers.step import Step, checked_count

Filter = Callable[[Tensor], Tensor]  # [n,3,H,W] -> [n,3,H,W], linear and symmetric
Noise = Callable[[int], Tensor]  # k -> white noise [n,3,H,W], a new draw for each k


def langevin(
    energy: Callable[[Tensor], Tensor],
    starts: Tensor,
    noise: Noise,
    steps: int,
    gamma: float,
    root: Filter = lambda u: u,
) -> Iterator[Step]:
    """One record a step: the chains' images, clipped to [0,1], and their mean energy before the step.

    Args:
        energy: U, [n,3,H,W] -> [n], differentiable.
        starts: [n,3,H,W], where the chains start. Neither they nor the chains are clipped, only what is shown.
        noise: the k-th draw of white noise [n,3,H,W], k from 1.
        gamma: the step size, in units of P.
        root: P^(1/2).

    Raises TextureError for a gamma that is not positive, no steps, and an energy that is not finite.
    """
    checked_count("steps", steps)
    checked_positive("gamma", gamma)
    x = starts
    for k in range(1, steps + 1):
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            value = energy(x)
            (gradient,) = torch.autograd.grad(value.sum(), x)
        x = move(x.detach(), gradient, gamma, noise(k), root)
        yield Step(x.clamp(0, 1), value.detach().mean().item(), k, steps)


def move(x: Tensor, gradient: Tensor, gamma: float, z: Tensor, root: Filter) -> Tensor:
    """One step of the algorithm: x, grad U(x) and white noise z, all [n,3,H,W]."""
    drift = root(gradient)
    size = drift.square().mean((1, 2, 3), keepdim=True).sqrt()
    if not torch.isfinite(size).all():
        raise TextureError("the energy's gradient is not finite; give smaller step sizes")
    drift = drift / (gamma**0.5 * size).clamp_min(1)
    return x - root(gamma * drift - (2 * gamma) ** 0.5 * z)


def checked_positive(name: str, value: float) -> float:
    """A positive, finite number, or an error that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise TextureError(f"{name} is {value!r}; give a positive number")
    return float(value)
