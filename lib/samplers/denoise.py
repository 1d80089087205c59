"""Denoising: Miyasawa's estimate with the multipliers of a clean exemplar."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.energy import denoised
from lib.errors import TextureError
from lib.images import check_image
from lib.model import Model
from lib.samplers.diffuse import LEAST, tiled

# Pixels of mirror image around a photograph, so that the periodic f does not join its opposite edges. A small image
# goes without: mirrored noise is no fresh noise, and would be half of what f sees.
MARGIN = 16


def denoise(model: Model, y: Tensor, x0: Tensor, sigma: Tensor | float) -> Tensor:
    """E[x | y] = y - sigma grad_y[N lambda(x0, sigma).f(y)] (Eq. 3; Miyasawa 1961).

    y [B,3,H,W] or [3,H,W], noisy, any range; x0 the clean exemplars [B,3,H',W'], or one of them for all; sigma a
    number or [B], in the units of pixels in [0,1]. Returns [B,3,H,W], not clipped.
    Raises TextureError for shapes that do not fit, pixels that are not finite, or a sigma that is not positive.
    """
    for name, image in (("y", y), ("x0", x0)):
        if not isinstance(image, Tensor):
            raise TextureError(f"{name} is a {type(image).__name__}, not a tensor; read a file with lib.read_image")
    if not isinstance(sigma, (Tensor, float, int)):
        raise TextureError(f"sigma is {sigma!r}; it is a positive number, or a tensor of one an image")
    y = y[None] if y.dim() == 3 else y
    x0 = x0[None] if x0.dim() == 3 else x0
    sigmas = torch.as_tensor(sigma, dtype=torch.float32).reshape(-1)
    if y.dim() != 4 or y.shape[1] != 3 or min(y.shape[-2:]) < 32:
        raise TextureError(f"y has shape {list(y.shape)}; a noisy image is [B,3,H,W], at least 32x32")
    if not torch.isfinite(y).all():
        raise TextureError("y has pixels that are not finite (NaN or infinity); look at what made it")
    if not (torch.isfinite(sigmas).all() and (sigmas > 0).all()):
        raise TextureError(f"sigma is {sigma}; it is a positive number in the units of pixels in [0,1]")
    if len(x0) not in (1, len(y)) or len(sigmas) not in (1, len(y)):
        raise TextureError(f"{len(y)} images, {len(x0)} exemplars and {len(sigmas)} sigmas; give one, or one an image")
    x0 = torch.cat([check_image(x, "x0") for x in x0])
    sigmas = sigmas.expand(len(y))
    with torch.no_grad():
        lam = model.multipliers(tiled(x0).expand(len(y), -1, -1, -1), sigmas)
    margin = MARGIN if min(y.shape[-2:]) >= LEAST else 0
    mirrored = F.pad(y.float(), (margin,) * 4, mode="reflect")
    height, width = y.shape[-2:]
    return denoised(model.statistics, lam, mirrored, sigmas)[..., margin:, margin:][..., :height, :width]
