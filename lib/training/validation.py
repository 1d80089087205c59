"""Denoising loss by noise level, beside references that are exact: predict-zero and Gaussian denoisers.

Every row sees the same patches and the same noise. The model is used as `lib.denoise` uses it.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from lib.evaluation.reference import noise, reference_table
from lib.model import Model
from lib.samplers.denoise import denoise

SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
LAGS = (4, 8, 16)
CHUNK = 8  # patches at a time


def model_losses(model: Model, patches: Tensor, sigmas: tuple[float, ...] = SIGMAS, seed: int = 0) -> list[float]:
    """Mean of |eps_hat - eps|^2 over pixels, one number a noise level: patches [N,3,H,W] in [0,1]."""
    device = next(model.parameters()).device

    def by_model(y: Tensor, x: Tensor, sigma: float) -> Tensor:
        return denoise(model, y.to(device), x.to(device), sigma).cpu()

    return losses_of(by_model, patches, sigmas, seed)


def losses_of(
    denoiser: Callable[[Tensor, Tensor, float], Tensor],
    patches: Tensor,
    sigmas: tuple[float, ...] = SIGMAS,
    seed: int = 0,
) -> list[float]:
    """`model_losses` of any denoiser of (y, x, sigma), y and x [B,3,H,W]."""
    losses = []
    for sigma in sigmas:
        eps = noise(patches, sigma, seed)
        total = 0.0
        for x, e in zip(patches.split(CHUNK), eps.split(CHUNK), strict=True):
            y = x + sigma * e
            total += ((y - denoiser(y, x, sigma)) / sigma - e).square().mean().item() * len(x)
        losses.append(total / len(patches))
    return losses


def loss_table(model: Model, patches: Tensor, seed: int = 0) -> dict[str, list[float]]:
    """Rows "model", "zero" and "gaussian-L" of losses at SIGMAS."""
    with torch.no_grad():
        references = reference_table(patches, SIGMAS, LAGS, seed)
    return {"model": model_losses(model, patches, SIGMAS, seed), **references}


def log_losses(path: Path, model: Model, patches: Tensor, step: int, seconds: float) -> None:
    """Add a row to a table of the model's losses while it is trained (.csv): step, seconds trained, loss at SIGMAS."""
    losses = model_losses(model, patches)
    with path.open("a", encoding="utf-8") as file:
        if not file.tell():
            file.write(",".join(["step", "seconds", *(f"{sigma:g}" for sigma in SIGMAS)]) + "\n")
        file.write(",".join([str(step), f"{seconds:.0f}", *(f"{loss:.4g}" for loss in losses)]) + "\n")
