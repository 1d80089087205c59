"""Half-way between two Gaussian textures: the shortest way that carries the one to the other.

Among Gaussian densities, moving probability at the least mean square distance is linear, and what it passes through is
Gaussian again. For textures it falls apart into frequencies (Xia, Ferradans, Peyre & Aujol 2014, "Synthesizing and
mixing stationary Gaussian texture models"). With m and S the means and spectra of a and b (see gaussian.py),

    T = S_a^(-1/2) (S_a^(1/2) S_b S_a^(1/2))^(1/2) S_a^(-1/2)      at each w, the map that carries S_a to S_b = T S_a T
    m_t = (1-t) m_a + t m_b
    S_t = ((1-t) I + t T) S_a ((1-t) I + t T)

so that standard deviations are mixed, where they commute. The straight line between second moments E[y y'] is another
one: it mixes variances, and adds to them, at all lags, t (1-t) (m_a - m_b)(m_a - m_b)'. That is what a picture has of
which one part is a and the other b, and no single texture without light and dark clouds.
"""

import torch
from torch import Tensor

from lib.statistics.gaussian import GaussianTexture

LEAST = 1e-9  # eigenvalue of a spectrum, far below a grey level squared (1.5e-5): nothing is carried from zero


def transported(a: GaussianTexture, b: GaussianTexture, t: float) -> GaussianTexture:
    """The Gaussian texture at t, 0 being a and 1 being b, one texture each: lags twice as far as the longer table's.

    Spectra are those of the torus that holds the lags; between its frequencies they are interpolated.
    """
    reach = max(n // 2 for g in (a, b) for n in g.covariance.shape[-2:])
    side = 4 * reach + 1
    spectrum = between(a.spectrum(side, side), b.spectrum(side, side), t)
    covariance = torch.fft.irfft2(spectrum.permute(0, 3, 4, 1, 2), s=(side, side))
    return GaussianTexture(torch.lerp(a.mean, b.mean, t), covariance.roll((2 * reach, 2 * reach), (-2, -1)))


def between(Sa: Tensor, Sb: Tensor, t: float) -> Tensor:
    """S_t of Hermitian, non-negative matrices [...,n,n]."""
    values, vectors = torch.linalg.eigh(Sa)
    values = values.clamp_min(LEAST)
    half, inverse = (_of(values**power, vectors) for power in (0.5, -0.5))
    inner, frame = torch.linalg.eigh(half @ Sb @ half)
    T = inverse @ _of(inner.clamp_min(0).sqrt(), frame) @ inverse
    mixed = torch.lerp(torch.eye(Sa.shape[-1]).to(T), T, t)
    return mixed @ _of(values, vectors) @ mixed


def _of(values: Tensor, vectors: Tensor) -> Tensor:
    return (vectors * values[..., None, :]) @ vectors.mH
