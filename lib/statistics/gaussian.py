"""The Gaussian texture: maximum entropy given the mean and the autocovariance, the case with closed form.

Among all densities with mean m and cross-channel autocovariance C(tau), that of largest entropy is the
stationary Gaussian. On a torus it falls apart into frequencies. With the spectrum S(w) = sum_tau C(tau)
exp(-i w.tau), a 3x3 Hermitian matrix at each w, the noisy y = x + sigma eps has the spectrum S + sigma^2,
and

    energy          E(y) = sigma/2 (y - m)' (S + sigma^2)^-1 (y - m)    (Eq. 2, with Eq. 4's factor sigma)
    noise estimate  eps_hat = sigma (S + sigma^2)^-1 (y - m)            (Eq. 4; exactly E[eps | y])
    denoised image  y - sigma eps_hat                                   (Wiener's filter)
    score           -eps_hat / sigma                                    (Eq. 3)
    a sample        m + S^(1/2) white noise                             (exact, in one step)

With the autocovariance whole, the sample has the law of the asymptotic discrete spot noise, the exemplar
convolved with white noise (Galerne, Gousseau & Morel 2011). An autocovariance of finite support gives a
spectral density at every w, so one fitted texture lives on tori of all sizes.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.errors import TextureError

CHANNELS = 3
CROSS_PAIRS = ((0, 1), (0, 2), (1, 2))


def autocovariance(x: Tensor, lag: int | None = None) -> tuple[Tensor, Tensor]:
    """Mean and cross-channel autocovariance of each image: x [B,3,H,W] -> [B,3], [B,3,3,2L+1,2M+1] (float64).

    Entry [b, i, j, L + s, M + t] is (1/N) sum_k u_i(k + (s, t)) u_j(k), with u = x - mean and N pixels.
    Outside the image u counts as zero: no product joins opposite edges, and the estimate is non-negative
    definite.

    Args:
        lag: None for every lag, L = H - 1 and M = W - 1. A number L for the square |s|, |t| <= L under
            Bartlett's window (1 - |s| / (L+1)) (1 - |t| / (L+1)). Its transform, Fejer's kernel, is
            non-negative, so the windowed autocovariance is still one; plainly cut off it might not be.

    Raises:
        TextureError: x is no batch of colour images, or the lag does not fit into it.
    """
    if x.ndim != 4 or x.shape[1] != CHANNELS:
        raise TextureError(f"images must be [B,3,H,W], not {list(x.shape)}; add or permute dimensions")
    height, width = x.shape[-2:]
    if lag is not None and not 0 <= lag < min(height, width):
        raise TextureError(f"lag {lag} does not fit into {height}x{width} images; make it smaller")
    x = x.double()
    mean = x.mean((2, 3))
    down, right = (height - 1, width - 1) if lag is None else (lag, lag)
    size = (height + down, width + right)  # room for the lags asked for without wrapping around
    U = torch.fft.rfft2(x - mean[:, :, None, None], s=size)
    products = torch.fft.irfft2(torch.einsum("bihw,bjhw->bijhw", U, U.conj()), s=size) / (height * width)
    covariance = products.roll((down, right), (-2, -1))[..., : 2 * down + 1, : 2 * right + 1]
    if lag is not None:
        ramp = 1 - torch.arange(-lag, lag + 1, device=x.device, dtype=x.dtype).abs() / (lag + 1)
        covariance = covariance * ramp[:, None] * ramp
    return mean, covariance


def smooth_autocovariance(x: Tensor, lag: int) -> tuple[Tensor, Tensor]:
    """Mean and autocovariance of each torus x [B,3,H,W], for a spectrum without leaks: [B,3], [B,3,3,2L+1,2L+1].

    Products go round the torus, under Parzen's window to the lag L. Its transform is non-negative and falls as w^-4;
    under Bartlett's (w^-2) the lowest frequencies of a photograph outweigh its highest by leaking into them.
    """
    x = x.double()
    mean = x.mean((2, 3))
    U = torch.fft.rfft2(x - mean[:, :, None, None])
    products = torch.fft.irfft2(torch.einsum("bihw,bjhw->bijhw", U, U.conj()), s=x.shape[-2:])
    covariance = products.roll((lag, lag), (-2, -1))[..., : 2 * lag + 1, : 2 * lag + 1] / (x.shape[-2] * x.shape[-1])
    u = torch.arange(-lag, lag + 1, device=x.device, dtype=x.dtype).abs() / (lag + 1)
    window = torch.where(u <= 0.5, 1 - 6 * u**2 + 6 * u**3, 2 * (1 - u) ** 3)
    return mean, covariance * window[:, None] * window


@dataclass(frozen=True)
class GaussianTexture:
    """Stationary Gaussian textures: mean [B,3] and autocovariance [B,3,3,2L+1,2M+1], both float64.

    Methods take images y [B,3,H,W] in [0,1] units, of any size (a torus), and sigma, a number or [B], in
    the same units. One texture (B = 1) serves any number of images. With sigma = 0 and a singular S, as the
    whole autocovariance of a single image is, (S + sigma^2)^-1 does not exist; samples do.
    """

    mean: Tensor
    covariance: Tensor

    @classmethod
    def fit(cls, x: Tensor, lag: int | None = None) -> "GaussianTexture":
        """The texture of each exemplar x [B,3,H,W]; `lag` as in `autocovariance`."""
        return cls(*autocovariance(x, lag))

    @property
    def variance(self) -> float:
        """Of a pixel, mean over textures and channels."""
        down, right = (n // 2 for n in self.covariance.shape[-2:])
        return self.covariance[..., down, right].diagonal(dim1=1, dim2=2).mean().item()

    def spectrum(self, height: int, width: int) -> Tensor:
        """S(w) at the frequencies of rfft2: [B,H,W//2+1,3,3], Hermitian, non-negative, complex128."""
        covariance = self.covariance
        down, right = (n // 2 for n in covariance.shape[-2:])
        s = torch.arange(-down, down + 1, device=covariance.device) % height
        t = torch.arange(-right, right + 1, device=covariance.device) % width
        # lags beyond the torus fold back onto it: that samples the same spectral density, more coarsely
        rows = covariance.new_zeros(*covariance.shape[:3], height, len(t)).index_add(3, s, covariance)
        torus = rows.new_zeros(*covariance.shape[:3], height, width).index_add(4, t, rows)
        spectrum = torch.fft.rfft2(torus).permute(0, 3, 4, 1, 2)
        return (spectrum + spectrum.mH) / 2

    def sample(self, height: int, width: int, n: int = 1, seed: int = 0) -> Tensor:
        """n independent images [n,3,H,W], float32, not clipped; sample i depends on (seed, i) alone.

        Raises:
            TextureError: there are several textures, and n is not their number.
        """
        if len(self.mean) not in (1, n):
            raise TextureError(f"{len(self.mean)} textures cannot give {n} samples; ask for {len(self.mean)}")
        values, vectors = torch.linalg.eigh(self.spectrum(height, width))
        # the Hermitian root is unique, hence conjugate at w and -w, and the sample real
        root = (vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.mH
        noise = torch.stack([_white_noise(height, width, seed, i) for i in range(n)]).to(self.mean)
        return (_filter(root, noise) + self.mean[:, :, None, None]).float()

    def predicted_noise(self, y: Tensor, sigma: Tensor | float) -> Tensor:
        """E[eps | y] = sigma (S + sigma^2)^-1 (y - m): [B,3,H,W]."""
        level = _levels(sigma, self.mean)[:, None, None, None]
        return (level * self._whitened(y, sigma)).to(y.dtype)

    def energy(self, y: Tensor, sigma: Tensor | float) -> Tensor:
        """sigma/2 (y - m)' (S + sigma^2)^-1 (y - m), whose gradient is `predicted_noise`: [B], float64."""
        u = y.double() - self.mean[:, :, None, None]
        return _levels(sigma, self.mean) / 2 * (u * self._whitened(y, sigma)).sum((1, 2, 3))

    def denoised(self, y: Tensor, sigma: Tensor | float) -> Tensor:
        """E[x | y] = y - sigma eps_hat, Wiener's filter: [B,3,H,W]."""
        return y - _levels(sigma, y)[:, None, None, None] * self.predicted_noise(y, sigma)

    def score(self, y: Tensor, sigma: Tensor | float) -> Tensor:
        """grad_y log p(y) = -eps_hat / sigma: [B,3,H,W]."""
        return -self.predicted_noise(y, sigma) / _levels(sigma, y)[:, None, None, None]

    def entropy(self, height: int, width: int, sigma: Tensor | float) -> Tensor:
        """Differential entropy of y on an HxW torus, in nats: 1/2 log det[2 pi e (S + sigma^2)] -> [B]."""
        variances = torch.linalg.eigvalsh(self._noisy_spectrum(height, width, sigma))
        often = torch.full((width // 2 + 1,), 2.0, dtype=torch.float64, device=variances.device)
        often[0] = 1  # rfft2 leaves out mirror images; the first column and, if W is even, the last have none
        if width % 2 == 0:
            often[-1] = 1
        return 0.5 * (often * (2 * math.pi * math.e * variances).log().sum(-1)).sum((1, 2))

    def expected_loss(self, height: int, width: int, sigma: Tensor | float) -> Tensor:
        """E|eps_hat - eps|^2 a pixel and channel (Eq. 4) over this texture's own images and the noise -> [B].

        With P = (S + sigma^2)^-1 as a kernel it is 1 - sigma^2 mean P_ii(0), or 1 - 2 sigma mean lam_ii(0).
        """
        inverse = torch.linalg.inv(self._noisy_spectrum(height, width, sigma))
        kernel = torch.fft.irfft2(inverse.diagonal(dim1=3, dim2=4).mean(-1), s=(height, width))
        return 1 - _levels(sigma, self.mean) ** 2 * kernel[:, 0, 0]

    def multipliers(self, height: int, width: int, sigma: Tensor | float) -> Tensor:
        """lam [B,dim] for f = `Autocovariance(height, width)`: N lam.f(y) is the energy, but for a constant.

        With (S + sigma^2)^-1 written as a kernel P, y'Py = N sum_tau P_ij(tau) r_ij(tau). So the
        multipliers of the products are sigma/2 P, and those of the means hold the linear term -sigma m'Py.
        """
        inverse = torch.linalg.inv(self._noisy_spectrum(height, width, sigma))
        kernel = torch.fft.irfft2(inverse.permute(0, 3, 4, 1, 2), s=(height, width))
        f = Autocovariance(height, width)
        level = _levels(sigma, self.mean)[:, None]
        quadratic = level / 2 * f.distinct(kernel) * f.multiplicity.to(kernel)
        linear = -level * torch.einsum("bij,bj->bi", inverse[:, 0, 0].real, self.mean)
        return torch.cat([linear, quadratic], 1)

    def _noisy_spectrum(self, height: int, width: int, sigma: Tensor | float) -> Tensor:
        variance = _levels(sigma, self.mean)[:, None, None, None, None] ** 2
        identity = torch.eye(CHANNELS, dtype=torch.float64, device=self.mean.device)
        return self.spectrum(height, width) + variance * identity

    def _whitened(self, y: Tensor, sigma: Tensor | float) -> Tensor:
        """(S + sigma^2)^-1 (y - m): [B,3,H,W], float64."""
        u = y.double() - self.mean[:, :, None, None]
        return _filter(torch.linalg.inv(self._noisy_spectrum(y.shape[-2], y.shape[-1], sigma)), u)


class Autocovariance:
    """Means and circular products at every lag of an HxW torus: their maximum entropy is Gaussian.

    f(y) = [means of y_i, then r_ij(tau) = (1/N) sum_k y_i(k + tau) y_j(k)], with one of each pair of lags
    +-tau where i = j, and every lag where i < j. They are statistics of y alone, as Eq. 2 asks: not
    centred. There are more of them (`dim`, about 4.5 H W) than numbers in the image; a description of a
    texture should be shorter.
    """

    name = "mean and autocovariance"

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        lags = torch.arange(height * width)
        opposite = lags.reshape(height, width).flip((0, 1)).roll((1, 1), (0, 1)).flatten()
        self._half = lags[lags <= opposite]
        both = (self._half != opposite[self._half]).double() + 1
        #: how many of the terms (i, j, tau) of y'Py each entry after the means stands for: [dim - 3]
        self.multiplicity = torch.cat([both] * 3 + [both.new_full(lags.shape, 2)] * 3)
        self.dim = CHANNELS + len(self.multiplicity)

    def __call__(self, y: Tensor) -> Tensor:
        """f(y): [B,3,H,W] -> [B,dim], differentiable. Raises TextureError for any other size."""
        if y.shape[-2:] != (self.height, self.width):
            size = f"{y.shape[-2]}x{y.shape[-1]}"
            made = f"{self.height}x{self.width}"
            raise TextureError(f"these statistics are of {made} images; make new ones for {size}")
        Y = torch.fft.rfft2(y)
        cross = torch.einsum("bihw,bjhw->bijhw", Y, Y.conj())
        products = torch.fft.irfft2(cross, s=(self.height, self.width)) / (self.height * self.width)
        return torch.cat([y.mean((2, 3)), self.distinct(products)], 1)

    def distinct(self, table: Tensor) -> Tensor:
        """The entries of a symmetric table [B,3,3,H,W] (channels and lags) in f's order: [B,dim - 3]."""
        flat = table.flatten(3)
        half = self._half.to(table.device)
        same = [flat[:, i, i, half] for i in range(CHANNELS)]
        return torch.cat(same + [flat[:, i, j] for i, j in CROSS_PAIRS], 1)


def _filter(gain: Tensor, u: Tensor) -> Tensor:
    """Convolve u [B,3,H,W] with the circular kernels of spectra gain [B or 1,H,W//2+1,3,3]: [B,3,H,W]."""
    U = torch.fft.rfft2(u).permute(0, 2, 3, 1)[..., None]
    return torch.fft.irfft2((gain @ U)[..., 0].permute(0, 3, 1, 2), s=u.shape[-2:])


def _levels(sigma: Tensor | float, like: Tensor) -> Tensor:
    """sigma as [1] or [B]."""
    return torch.as_tensor(sigma, dtype=like.dtype, device=like.device).reshape(-1)


def _white_noise(height: int, width: int, seed: int, i: int) -> Tensor:
    generator = torch.Generator().manual_seed(((seed << 20) + i + 1_000_003 * (seed >> 12)) % 2**32)
    return torch.randn(CHANNELS, height, width, generator=generator)
