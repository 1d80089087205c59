"""Losses to hold a denoiser against: predicting no noise, and Gaussian denoisers that know x's autocovariance.

Each reference is granted the clean patch's own mean and cross-channel autocovariance, Bartlett-windowed to a lag L, and
uses them as well as they can be used: in the exact posterior mean of the Gaussian texture (`GaussianTexture`). They
are what L^2-many hand-made statistics a patch are worth; a learned model with 512 must do better. The full periodogram
would be no reference but an oracle: it knows the very sample.

Convention: autocovariance about the patch's mean, zero outside the patch, divided by the number of pixels; window
(1 - |s|/(L+1)) (1 - |t|/(L+1)); the filter circular, as one FFT. A circular autocovariance changes the losses by less
than 0.1 %, no more than another draw of the noise does; a window 1 - |s|/L raises them by up to 4 %.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.statistics.gaussian import GaussianTexture

SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
LAGS = (4, 8, 16)


def n_statistics(lag: int) -> int:
    """Independent numbers in a mean and a cross-channel autocovariance to a square lag: 3 + 3 n + 3 (n + 1) / 2."""
    n = (2 * lag + 1) ** 2
    return 3 + 3 * n + 3 * (n + 1) // 2


def noise_like(patches: Tensor, sigma: float, seed: int) -> Tensor:
    """The noise that every denoiser is tried on at this sigma, from (seed, sigma) alone: [N,3,H,W]."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + round(sigma * 100_000))
    return torch.randn(patches.shape, generator=generator).to(patches.device)


def reference_table(
    patches: Tensor, sigmas: Sequence[float] = SIGMAS, lags: Sequence[int] = LAGS, seed: int = 0, batch: int = 16
) -> dict[str, list[float]]:
    """Mean over pixels of |eps_hat - eps|^2, a row a reference: {"zero": [...], "gaussian-4": [...], ...}.

    patches: [N,3,H,W] in [0,1]; one draw of noise a sigma (`noise_like`), the same for all rows. Each list is in the
    order of `sigmas`.
    """
    if patches.ndim != 4 or patches.shape[1] != 3 or not len(patches):
        raise TextureError(f"patches must be [N,3,H,W] with N > 0, not {list(patches.shape)}")
    noises = {sigma: noise_like(patches, sigma, seed) for sigma in sigmas}
    table = {"zero": [noises[sigma].square().mean().item() for sigma in sigmas]}
    for lag in lags:
        sums = [0.0] * len(sigmas)
        for start in range(0, len(patches), batch):
            x = patches[start : start + batch]
            texture = GaussianTexture.fit(x, lag)
            for k, sigma in enumerate(sigmas):
                epsilon = noises[sigma][start : start + batch]
                error = texture.predicted_noise(x + sigma * epsilon, sigma) - epsilon
                sums[k] += error.double().square().mean().item() * len(x)
        table[f"gaussian-{lag}"] = [total / len(patches) for total in sums]
    return table
