"""From statistics f and multipliers lam to energy, noise estimate, denoised image and score.

Four names for one gradient. With N the number of pixels and f a spatial average,

    energy           E(y)     = N lam.f(y)                          (Eq. 2: p(y) = exp[-E(y) / sigma] / Z)
    predicted noise  eps_hat  = grad_y E(y)                         (Eq. 4; lam includes the factor sigma)
    denoised image   x_hat    = y - sigma eps_hat                   (Miyasawa 1961: E[x | y])
    score            s(y)     = -eps_hat / sigma                    (Eq. 3: grad log p(y))

The factor N makes lam independent of the size of the image: an energy is a sum over pixels.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Statistics = Callable[[Tensor], Tensor]


def energy(f: Statistics, lam: Tensor, y: Tensor) -> Tensor:
    """N lam.f(y) for each image: y [B,3,H,W] in [0,1] units, lam [B,d] or [d] -> [B] (float32)."""
    pixels = y.shape[-2] * y.shape[-1]
    return pixels * (lam.float() * f(y).float()).sum(-1)


def predicted_noise(f: Statistics, lam: Tensor, y: Tensor, create_graph: bool = False) -> Tensor:
    """eps_hat = grad_y[N lam.f(y)] (inside the norm of Eq. 4): y [B,3,H,W] -> [B,3,H,W].

    `create_graph=True` keeps the result differentiable, with respect to lam and to f's parameters too.
    """
    with torch.enable_grad():
        y = y if y.requires_grad else y.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(energy(f, lam, y).sum(), y, create_graph=create_graph)
    return gradient


def denoised(f: Statistics, lam: Tensor, y: Tensor, sigma: Tensor | float) -> Tensor:
    """Miyasawa's estimate of the clean image, y - sigma eps_hat: [B,3,H,W]; sigma [B] or a number."""
    return y - _per_image(sigma, y) * predicted_noise(f, lam, y)


def score(f: Statistics, lam: Tensor, y: Tensor, sigma: Tensor | float) -> Tensor:
    """grad_y log p(y) = -eps_hat / sigma (Eq. 3): [B,3,H,W]; sigma [B] or a number, in pixel units."""
    return -predicted_noise(f, lam, y) / _per_image(sigma, y)


def _per_image(sigma: Tensor | float, y: Tensor) -> Tensor:
    return torch.as_tensor(sigma, dtype=y.dtype, device=y.device).reshape(-1, 1, 1, 1)
