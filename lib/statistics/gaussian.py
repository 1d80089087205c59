"""The Gaussian texture: maximum entropy given the mean and the autocovariance, the case with closed form.

Among all densities with mean m and (cross-channel) autocovariance C(tau), the one of largest entropy is the
stationary Gaussian. On a torus it decouples into frequencies: with the spectrum S(w) = sum_tau C(tau) exp(-i w.tau),
a 3x3 Hermitian matrix for each w, and y = x + sigma eps of spectrum S + sigma^2,

    energy          E(y) = sigma/2 (y - m)' (S + sigma^2)^-1 (y - m)      (Eq. 2, with Eq. 4's factor sigma)
    noise estimate  eps_hat = sigma (S + sigma^2)^-1 (y - m)              (Eq. 4; exactly E[eps | y])
    denoised image  y - sigma eps_hat                                     (Wiener's filter)
    score           -eps_hat / sigma                                      (Eq. 3)
    a sample        m + S^(1/2) white noise                               (exact, no iterations)

With the whole autocovariance of a spot u / sqrt(N) the sample is the asymptotic discrete spot noise, white noise
convolved with the exemplar (Galerne, Gousseau & Morel 2011). An autocovariance of finite support is a spectral
density at every w, so that one fitted texture lives on tori of all sizes: "the infinite texture".
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.errors import TextureError

CHANNELS = 3
CROSS_PAIRS = ((0, 1), (0, 2), (1, 2))


def autocovariance(x: Tensor, lag: int | None = None) -> tuple[Tensor, Tensor]:
    """Mean and cross-channel autocovariance of each image, x [B,3,H,W] -> [B,3], [B,3,3,2L+1,2M+1] (float64).

    Entry [b, i, j, L + s, M + t] is (1/N) sum_k u_i(k + (s, t)) u_j(k) with u = x - mean and N pixels. Outside the
    image u counts as zero, so opposite edges are never multiplied, and the estimate is positive definite.
    `lag=None`: all lags, L = H - 1 and M = W - 1. `lag=L`: M = L, times Bartlett's window
    (1 - |s| / (L+1)) (1 - |t| / (L+1)), whose transform (Fejer's kernel) is positive, so that the windowed
    autocovariance, too, is positive definite; a plain cut would not be.
    """
    if x.ndim != 4 or x.shape[1] != CHANNELS:
        raise TextureError(f"images must be [B,3,H,W], not {list(x.shape)}: add or permute dimensions")
    height, width = x.shape[-2:]
    if lag is not None and not 0 <= lag < min(height, width):
        raise TextureError(f"lag {lag} must lie between 0 and {min(height, width) - 1} for {height}x{width} images")
    x = x.double()
    mean = x.mean((2, 3))
    down, right = (height - 1, width - 1) if lag is None else (lag, lag)
    # zeros beside the image keep lags up to (down, right) free of wrap-around
    U = torch.fft.rfft2(x - mean[:, :, None, None], s=(height + down, width + right))
    cross = torch.einsum("bihw,bjhw->bijhw", U, U.conj())
    full = torch.fft.irfft2(cross, s=(height + down, width + right)) / (height * width)
    covariance = full.roll((down, right), (-2, -1))[..., : 2 * down + 1, : 2 * right + 1]
    if lag is not None:
        ramp = 1 - torch.arange(-lag, lag + 1, device=x.device, dtype=x.dtype).abs() / (lag + 1)
        covariance = covariance * ramp[:, None] * ramp
    return mean, covariance


@dataclass(frozen=True)
class GaussianTexture:
    """A batch of stationary Gaussian textures: mean [B,3], autocovariance [B,3,3,2L+1,2M+1], float64.

    Methods take images y [B,3,H,W] of any size (as a torus), in [0,1] units, and sigma, a number or [B], in the same
    units. One texture (B = 1) serves any number of images.
    """

    mean: Tensor
    covariance: Tensor

    @classmethod
    def fit(cls, x: Tensor, lag: int | None = None) -> "GaussianTexture":
        """The textures of exemplars x [B,3,H,W]; `lag` as in `autocovariance`."""
        return cls(*autocovariance(x, lag))

    def spectrum(self, height: int, width: int) -> Tensor:
        """S(w) on the half-plane of rfft2: [B,H,W//2+1,3,3], Hermitian, non-negative, complex128."""
        down, right = (n // 2 for n in self.covariance.shape[-2:])
        rows = 2 * math.pi * torch.fft.fftfreq(height, device=self.mean.device, dtype=torch.float64)
        columns = 2 * math.pi * torch.fft.rfftfreq(width, device=self.mean.device, dtype=torch.float64)
        s = torch.arange(-down, down + 1, device=self.mean.device)
        t = torch.arange(-right, right + 1, device=self.mean.device)
        by_row = torch.exp(-1j * rows[:, None] * s)
        by_column = torch.exp(-1j * columns[:, None] * t)
        spectrum = torch.einsum("hs,bijst,wt->bhwij", by_row, self.covariance + 0j, by_column)
        return (spectrum + spectrum.mH) / 2

    def sample(self, height: int, width: int, n: int = 1, seed: int = 0) -> Tensor:
        """n independent textures [n,3,H,W] (float32, not clipped); sample i depends on (seed, i) alone."""
        if len(self.mean) not in (1, n):
            raise TextureError(f"{len(self.mean)} textures cannot make {n} samples: ask for n={len(self.mean)}")
        values, vectors = torch.linalg.eigh(self.spectrum(height, width))
        # the Hermitian root is unique, so its values at w and -w are conjugate and the sample is real
        root = (vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.mH
        noise = torch.stack([_white(height, width, seed, i) for i in range(n)]).to(self.mean)
        return (self._filter(root, noise) + self.mean[:, :, None, None]).float()

    def predicted_noise(self, y: Tensor, sigma: Tensor | float) -> Tensor:
        """E[eps | y] = sigma (S + sigma^2)^-1 (y - m): [B,3,H,W]."""
        level = _per_texture(sigma, self.mean)
        return (level[:, None, None, None] * self._precise(y, level)).to(y.dtype)

    def energy(self, y: Tensor, sigma: Tensor | float) -> Tensor:
        """sigma/2 (y - m)' (S + sigma^2)^-1 (y - m) -> [B] (float64); its gradient is `predicted_noise`."""
        level = _per_texture(sigma, self.mean)
        u = y.double() - self.mean[:, :, None, None]
        return level / 2 * (u * self._precise(y, level)).sum((1, 2, 3))

    def denoised(self, y: Tensor, sigma: Tensor | float) -> Tensor:
        """E[x | y] = y - sigma eps_hat, Wiener's filter: [B,3,H,W]."""
        return y - _per_texture(sigma, y)[:, None, None, None] * self.predicted_noise(y, sigma)

    def score(self, y: Tensor, sigma: Tensor | float) -> Tensor:
        """grad_y log p(y) = -eps_hat / sigma: [B,3,H,W]; sigma > 0."""
        return -self.predicted_noise(y, sigma) / _per_texture(sigma, y)[:, None, None, None]

    def entropy(self, height: int, width: int, sigma: float) -> Tensor:
        """Differential entropy of y in nats, 1/2 log det 2 pi e (S + sigma^2), of an HxW torus -> [B]."""
        values = torch.linalg.eigvalsh(self.spectrum(height, width)).clamp_min(0) + sigma**2
        twice = _multiplicity(width).to(values.device)
        return 0.5 * ((2 * math.pi * math.e * values).log().sum(-1) * twice).sum((1, 2))

    def multipliers(self, height: int, width: int, sigma: Tensor | float) -> Tensor:
        """lam [B,dim] of `Autocovariance(height, width)` such that N lam.f(y) is the energy, up to a constant.

        With P = (S + sigma^2)^-1 as a kernel, y' P y is N sum_tau P_ij(tau) r_ij(tau): the multipliers of the products
        are sigma/2 P, those of the means take the linear term -sigma m' P y.
        """
        level = _per_texture(sigma, self.mean)
        identity = torch.eye(CHANNELS, dtype=torch.float64, device=self.mean.device)
        spectrum = self.spectrum(height, width) + level[:, None, None, None, None] ** 2 * identity
        inverse = torch.linalg.inv(spectrum)
        kernel = torch.fft.irfft2(inverse.permute(0, 3, 4, 1, 2), s=(height, width))
        linear = -level[:, None] * torch.einsum("bij,bj->bi", inverse[:, 0, 0].real, self.mean)
        f = Autocovariance(height, width)
        quadratic = f.gather(kernel) * f.multiplicity.to(kernel) * level[:, None] / 2
        return torch.cat([linear.expand(len(quadratic), -1), quadratic], 1)

    def _precise(self, y: Tensor, level: Tensor) -> Tensor:
        """(S + sigma^2)^-1 (y - m) in float64: [B,3,H,W]."""
        height, width = y.shape[-2:]
        u = y.double() - self.mean[:, :, None, None]
        identity = torch.eye(CHANNELS, dtype=torch.float64, device=u.device)
        spectrum = self.spectrum(height, width) + level[:, None, None, None, None] ** 2 * identity
        U = torch.fft.rfft2(u).permute(0, 2, 3, 1)[..., None]
        solved = torch.linalg.solve(spectrum, U)[..., 0]
        return torch.fft.irfft2(solved.permute(0, 3, 1, 2), s=(height, width))

    def _filter(self, gain: Tensor, u: Tensor) -> Tensor:
        U = torch.einsum("bhwij,bjhw->bihw", gain, torch.fft.rfft2(u)) if len(gain) == len(u) else torch.einsum(
            "hwij,bjhw->bihw", gain[0], torch.fft.rfft2(u))
        return torch.fft.irfft2(U, s=u.shape[-2:])


class Autocovariance:
    """Means and circular products at every lag of an HxW torus: the statistics whose maximum entropy is Gaussian.

    f(y) = [mean of y_i], then r_ij(tau) = (1/N) sum_k y_i(k + tau) y_j(k), once for each lag up to sign (i = j) or for
    each lag (i < j). They are statistics of y alone (not centred), as Eq. 2 asks. `dim` is 3 + 3 about (H W / 2) +
    3 H W: as many numbers as pixels and more, which is why the learned 512 are worth having.
    """

    name = "mean and autocovariance"

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        lags = torch.arange(height * width).reshape(height, width)
        opposite = lags.flip((0, 1)).roll((1, 1), (0, 1)).flatten()
        self._half = lags.flatten()[lags.flatten() <= opposite]
        paired = (self._half != opposite[self._half]).double() + 1
        # the sum over all i, j and tau counts each statistic that stands for two equal ones twice
        self.multiplicity = torch.cat([paired] * CHANNELS + [torch.full((height * width,), 2.0)] * len(CROSS_PAIRS))
        self.dim = CHANNELS + len(self.multiplicity)

    def __call__(self, y: Tensor) -> Tensor:
        """[B,3,H,W] -> [B,dim], differentiable."""
        if y.shape[-2:] != (self.height, self.width):
            raise TextureError(f"{self.name} was made for {self.height}x{self.width} images, not {list(y.shape)}")
        Y = torch.fft.rfft2(y)
        cross = torch.einsum("bihw,bjhw->bijhw", Y, Y.conj())
        products = torch.fft.irfft2(cross, s=(self.height, self.width)) / (self.height * self.width)
        return torch.cat([y.mean((2, 3)), self.gather(products)], 1)

    def gather(self, table: Tensor) -> Tensor:
        """The distinct entries of a table [B,3,3,H,W] of cross-channel lags -> [B,dim - 3]."""
        flat = table.flatten(3)
        half = self._half.to(table.device)
        same = [flat[:, i, i, half] for i in range(CHANNELS)]
        return torch.cat(same + [flat[:, i, j] for i, j in CROSS_PAIRS], 1)


def _per_texture(sigma: Tensor | float, like: Tensor) -> Tensor:
    return torch.as_tensor(sigma, dtype=like.dtype, device=like.device).reshape(-1)


def _white(height: int, width: int, seed: int, i: int) -> Tensor:
    generator = torch.Generator().manual_seed(hash((seed, i)) % 2**63)
    return torch.randn(CHANNELS, height, width, generator=generator)


def _multiplicity(width: int) -> Tensor:
    """How often each column of rfft2 stands in the full transform: [W//2+1]."""
    twice = torch.full((width // 2 + 1,), 2.0, dtype=torch.float64)
    twice[0] = 1
    if width % 2 == 0:
        twice[-1] = 1
    return twice
