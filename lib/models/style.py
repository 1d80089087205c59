"""Style transfer: the content of one image, the texture statistics of another.

Gatys, Ecker & Bethge (2016): x lowers  |F(x) - F(content)|^2 + weight |G(x) - G(style)|^2,  with F the features of one
deep layer of a recogniser and G its Gram matrices at five.

The maximum entropy view (De Bortoli et al. 2021; Desolneux's lecture): style is a texture model p(x) = exp[-U(x)] mu(x)
whose reference measure mu is no longer white noise, but an image near the content,

    -log mu(x) = |L (x - content')|^2 / (2 epsilon^2) + constant,

L a Gaussian blur and content' the content in the colours of the style. So the statistics of the texture are asked for
with the content as an anchor, and where the two leave x free, nothing is. Any statistics will do: Gram matrices
(`anchored_style_steps`), the 512 learned ones (`learned_style_steps`).

Departures: images are minima of the sum, not samples. All searches start from the content in the colours of the style,
where Gatys et al. start from white noise, and go through w in x = m + S^(1/4) w with the style's mean and spectrum (see
gatys.py): in pixels, the first steps drive a few of them far outside [0,1], where they stay. The content is taken to go
round a torus. Features and Gram matrices are in units of their own size, so that weights compare across networks.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.images import check_image
from lib.model import Model
from lib.models.gatys import Loss, descend_through, gram_mismatch
from lib.samplers.match import Targets, gaussian_of, mismatch
from lib.samplers.step import Step, checked_count, white_noise
from lib.statistics.backbone import Backbone, load_backbone
from lib.statistics.gram import Gram
from lib.statistics.quadratic import frequencies
from lib.views import least_move

ITERATIONS = 100
WEIGHT = 10.0  # of the Gram matrices against the content's features
ANCHORED = 1.0  # of a recogniser's statistics against the anchor
LEARNED = 1.0  # of the learned statistics against the anchor
EPSILON = 0.1  # pixel units: how far from its anchor a blurred image may be
BLUR = 5.0  # pixels, standard deviation
OUTSIDE = 100.0  # of the weight: what pixels outside [0,1] cost, so that no early step throws any far away
NOISE = 0.05  # pixel units, on the start: what the seed decides


def style_transfer_steps(
    content: Tensor,
    style: Tensor,
    seed: int = 0,
    weight: float = WEIGHT,
    iterations: int = ITERATIONS,
    backbone: str | Path | Backbone | None = None,
) -> Iterator[Step]:
    """An image [1,3,H,W] with the features of the content [3,H,W] and the Gram matrices of the style [3,h,w].

    Gatys et al. (2016). Errors of features and of Gram matrices are in units of their own size; `weight` is that of the
    latter. `iterations` of L-BFGS; `backbone` as in `load_backbone`.

    Raises TextureError for what is no image, a number out of range, or a backbone that cannot be had.
    """
    content, style = _checked(content, style, seed, weight, iterations)
    network = load_backbone(backbone)
    layer = [network.architecture.content]
    with torch.no_grad():
        (wanted,) = network.features(content, layer)
    of_style = gram_mismatch(Gram(network, network.architecture.style), style)

    def loss(x: Tensor) -> Tensor:
        (h,) = network.features(x, layer)
        return (h - wanted).square().mean((1, 2, 3)) / wanted.square().mean() + weight * of_style(x)

    return descend_through(
        gaussian_of(style), loss, _noisy(recoloured(content, style), seed), iterations, OUTSIDE * weight
    )


def anchored_style_steps(
    content: Tensor,
    style: Tensor,
    seed: int = 0,
    weight: float = ANCHORED,
    iterations: int = ITERATIONS,
    backbone: str | Path | Backbone | None = None,
) -> Iterator[Step]:
    """An image [1,3,H,W] with the Gram matrices of the style near the blurred content; the rest as above."""
    content, style = _checked(content, style, seed, weight, iterations)
    return _anchored(gram_mismatch(Gram(backbone), style), content, style, seed, weight, iterations)


def learned_style_steps(
    model: Model,
    content: Tensor,
    style: Tensor,
    seed: int = 0,
    weight: float = LEARNED,
    iterations: int = ITERATIONS,
) -> Iterator[Step]:
    """An image [1,3,H,W] with the learned statistics of the style near the blurred content; the rest as above.

    A mismatch of 1 is that between two pieces of the style (see match.py).
    """
    content, style = _checked(content, style, seed, weight, iterations)
    targets = Targets.of(model, style)
    return _anchored(lambda x: mismatch(model, targets, x), content, style, seed, weight, iterations)


def _anchored(
    of_style: Loss, content: Tensor, style: Tensor, seed: int, weight: float, iterations: int
) -> Iterator[Step]:
    """Lower weight * mismatch - log mu, from the content in the colours of the style."""
    content = recoloured(content, style)
    anchor = blurred(content)

    def loss(x: Tensor) -> Tensor:
        return weight * of_style(x) + (blurred(x) - anchor).square().mean((1, 2, 3)) / (2 * EPSILON**2)

    return descend_through(gaussian_of(style), loss, _noisy(content, seed), iterations, OUTSIDE * weight)


def recoloured(content: Tensor, style: Tensor) -> Tensor:
    """The content with the mean and covariance of the style's colours, [1,3,H,W] in [0,1].

    By the linear map that moves colours least (`lib.views.least_move`).
    """
    mean, target = (x.mean((0, 2, 3)) for x in (content, style))
    c, s = (torch.cov(x[0].flatten(1).double()) + torch.eye(3) / 255**2 for x in (content, style))
    transport = least_move(c, s).float()
    moved = torch.einsum("ij,bjhw->bihw", transport, content - mean[:, None, None]) + target[:, None, None]
    return moved.clamp(0, 1)


def blurred(x: Tensor) -> Tensor:
    """A periodic Gaussian blur: [B,3,H,W] -> [B,3,H,W]."""
    height, width = x.shape[-2:]
    rows, columns = frequencies(height, width, x)
    gain = torch.exp(-(BLUR**2) / 2 * (rows**2 + columns**2))
    return torch.fft.irfft2(torch.fft.rfft2(x) * gain, s=(height, width))


def _noisy(content: Tensor, seed: int) -> Tensor:
    height, width = content.shape[-2:]
    return (content + NOISE * white_noise(1, height, width, seed)).clamp(0, 1)


def _checked(content: Tensor, style: Tensor, seed: int, weight: float, iterations: int) -> tuple[Tensor, Tensor]:
    checked_count("seed", seed, 0), checked_count("iterations", iterations)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < float("inf"):
        raise TextureError(f"weight is {weight!r}; give a number above 0")
    return check_image(content, "content"), check_image(style, "style")
