"""Losses to hold a denoiser against: predicting no noise, and Gaussians that know the patch's autocovariance.

Each Gaussian reference is given the clean patch's own mean and cross-channel autocovariance, under
Bartlett's window to a lag L, and makes the best of them: the exact posterior mean of that Gaussian texture.
A learned model that knows the patch by 512 numbers should do better. The patch's whole periodogram is no
reference but an oracle, for it describes this very sample and not its texture.

Convention: autocovariance about the patch's mean, zero outside the patch, divided by the number of pixels;
window (1 - |s|/(L+1)) (1 - |t|/(L+1)); the filter circular. On held-out textures, a circular autocovariance
and one without the antisymmetric part of its cross-channel terms give losses within 0.2 %, like another
draw of the noise; the window (1 - |s|/L) (1 - |t|/L) raises them by up to 4 % at L = 4.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.statistics.gaussian import GaussianTexture

SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
LAGS = (4, 8, 16)
BATCH = 16  # patches at a time; 128x128 ones then take about 200 MB


def count(lag: int) -> int:
    """Numbers in a mean and a cross-channel autocovariance to a lag: 3 channels and 3 pairs of them."""
    lags = (2 * lag + 1) ** 2
    return 3 + 3 * (lags + 1) // 2 + 3 * lags


def noise(patches: Tensor, sigma: float, seed: int = 0) -> Tensor:
    """The noise that all denoisers are tried on, of unit variance, from (seed, sigma) alone: like patches."""
    generator = torch.Generator().manual_seed(((seed << 24) + round(10_000 * sigma) + 1_000_003 * (seed >> 8)) % 2**32)
    return torch.randn(patches.shape, generator=generator).to(patches)


def reference_table(
    patches: Tensor, sigmas: Sequence[float] = SIGMAS, lags: Sequence[int] = LAGS, seed: int = 0
) -> dict[str, list[float]]:
    """Mean over patches and pixels of |eps_hat - eps|^2, a list in the order of `sigmas` for each reference.

    Args:
        patches: [N,3,H,W] in [0,1]; each must be larger than the largest lag.
        sigmas: in pixel units.
        seed: of `noise`, drawn once a sigma and shared by all references.

    Returns:
        {"zero": [...], "gaussian-4": [...], "gaussian-8": [...], ...}

    Raises:
        TextureError: patches of another shape, or too small.
    """
    if patches.ndim != 4 or patches.shape[1] != 3 or not len(patches):
        raise TextureError(f"patches must be [N,3,H,W] with N > 0, not {list(patches.shape)}")
    draws = {sigma: noise(patches, sigma, seed) for sigma in sigmas}
    table = {"zero": [draws[sigma].square().mean().item() for sigma in sigmas]}
    for lag in lags:
        totals = [0.0] * len(sigmas)
        for start in range(0, len(patches), BATCH):
            x = patches[start : start + BATCH]
            texture = GaussianTexture.fit(x, lag)
            for k, sigma in enumerate(sigmas):
                epsilon = draws[sigma][start : start + BATCH]
                error = texture.predicted_noise(x + sigma * epsilon, sigma) - epsilon
                totals[k] += error.double().square().sum().item()
        table[f"gaussian-{lag}"] = [total / patches.numel() for total in totals]
    return table
