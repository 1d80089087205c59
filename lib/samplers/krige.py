"""A Gaussian texture given some of its pixels: exact conditional samples (kriging; Galerne & Leclaire 2017).

With precision P = S^-1, what is unknown (h) given what is known (k) is Gaussian,

    x_h | x_k ~ N(m_h - P_hh^-1 P_hk (x_k - m_k), P_hh^-1),

and a sample s of the whole texture becomes one of these by a correction, x_h = s_h + P_hh^-1 [P (s - x on k)]_h. P is
a convolution; P_hh^-1 is found by conjugate gradients, preconditioned by S_hh, which is its inverse but for the border.

Under noise, y = x + sigma eps, the texture given y is Gaussian too, with precision S^-1 + sigma^-2 (`posterior`), and
the same correction makes E[x_h | y, x_k] out of E[x | y]: what the denoiser got wrong on pixels that are known says
what it got wrong beside them.

Galerne & Leclaire condition on a ring of three pixels around the hole, through S_kk; here on every known pixel.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lib.samplers.match import spectral
from lib.statistics.gaussian import GaussianTexture

ITERATIONS = 300
TOLERANCE = 1e-5  # of the residual's norm

Map = Callable[[Tensor], Tensor]


def krige(gaussian: GaussianTexture, x: Tensor, hole: Tensor, z: Tensor) -> Tensor:
    """x [1,3,H,W] with its pixels in `hole` [H,W] (bool) drawn anew from white noise z [n,3,H,W]: [n,3,H,W].

    H x W is a torus; not clipped. With z zero it is the conditional mean. No eigenvalue of S is taken for less than one
    grey level squared.
    """
    of = spectral(gaussian, hole.shape[0], hole.shape[1], dtype=torch.complex128)
    precision, covariance, root = of(-1), of(1), of(0.5)
    whole = gaussian.mean[:, :, None, None] + torch.cat([root(each[None]) for each in z.double()])
    return corrected(whole, x, hole, precision, covariance).float()


def corrected(whole: Tensor, x: Tensor, hole: Tensor, precision: Map, covariance: Map) -> Tensor:
    """Samples or means [n,3,H,W] of the whole, given x [1,3,H,W] outside the hole: there it is x (float64)."""
    free, known, found = hole.double(), x.double(), []
    for each in whole.double()[:, None]:
        wanted = free * precision((1 - free) * (each - known))
        found.append(each + solve(lambda d: free * precision(d), wanted, lambda r: free * covariance(r)))
    return torch.where(hole, torch.cat(found), known)


def posterior(gaussian: GaussianTexture, height: int, width: int, sigma: float) -> tuple[Map, Map]:
    """Precision S^-1 + sigma^-2 and covariance sigma^2 - sigma^4 (S + sigma^2)^-1 of x given y = x + sigma eps."""
    clean, noisy = (spectral(gaussian, height, width, s, dtype=torch.complex128)(-1) for s in (0.0, sigma))
    return lambda z: clean(z) + z / sigma**2, lambda z: sigma**2 * z - sigma**4 * noisy(z)


def solve(a: Map, b: Tensor, inverse: Map) -> Tensor:
    """a(d) = b by conjugate gradients, a symmetric and positive, `inverse` nearly its inverse."""
    d, r = torch.zeros_like(b), b
    p = q = inverse(r)
    size, least = (r * q).sum(), TOLERANCE * b.norm()
    for _ in range(ITERATIONS):
        if r.norm() <= least:
            break
        ap = a(p)
        alpha = size / (p * ap).sum()
        d, r = d + alpha * p, r - alpha * ap
        q = inverse(r)
        size, before = (r * q).sum(), size
        p = q + size / before * p
    return d
