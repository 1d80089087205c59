"""How much a texture holds: its entropy in bits a pixel, from the error of a denoiser (I-MMSE).

Guo, Shamai & Verdú (2005): for y = x + sigma eps, of N pixels and 3 channels, dI(x; y) / d(1/sigma^2) is half the least
mean squared error. With the loss of Eq. 4, L(sigma) = E|eps_hat - eps|^2 a channel, the error is sigma^2 L, and so

    I(x; x + s eps) = 3 N  integral from s to infinity of L(sigma) d log sigma      [nats].

I is what an image of the texture tells through noise of size s: the entropy of the texture at the resolution s. It is
finite, is zero for a constant image, and is h(x + s eps) - h(s eps). So a density is asked for its entropy without its
partition function. A denoiser that is not the best one loses more, which makes the number an upper bound (Verdú 2010:
a cross-entropy, if it is the best one for another density); so long as it has not seen the image that it denoises.

For a Gaussian texture the integral is 1/2 log det(1 + S / s^2) exactly. The difference between its value with the
exemplar's spectrum and that of a better model is what the texture has beyond its spectrum (negentropy).

The integral is that of a cubic spline through levels even in log sigma; above the last L falls as sigma^-2, which adds
L/2 there. s is 0.02, five grey levels, the least noise that models are judged at; photographs hold more, below it.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from scipy.interpolate import CubicSpline
from torch import Tensor

from lib.command import run
from lib.errors import TextureError
from lib.evaluation import rows as rows_of
from lib.evaluation.protocol import halves
from lib.evaluation.reference import noise
from lib.images import EXEMPLARS, exemplar
from lib.model import Model
from lib.samplers.denoise import denoise
from lib.samplers.match import gaussian_of
from lib.statistics.gaussian import GaussianTexture
from lib.training.checkpoint import find, load

SHIPPED = Path(__file__).parent / "shipped"
TABLE = "entropy.csv"
CHANNELS = 3
LEVELS = 10
LEAST, MOST = 0.02, 2.0  # pixel units; above, textures are as good as Gaussian and L is below 0.003
PART = 100  # pixels a side, of the parts between which the standard error is taken
FRAME = 16  # pixels at the border of an image, whose surroundings no denoiser knows, are not counted

Denoiser = Callable[[Tensor, float], Tensor]  # (y [B,3,H,W], sigma) -> E[x | y]


@dataclass(frozen=True)
class Entropy:
    """Bits a pixel, all three channels together, at noise `sigma`, and their standard error over parts of the image."""

    bits: float
    error: float
    sigma: float


def levels(count: int = LEVELS, least: float = LEAST, most: float = MOST) -> list[float]:
    """Noise levels, even in log sigma."""
    return [least * (most / least) ** (k / (count - 1)) for k in range(count)]


def losses(denoiser: Denoiser, x: Tensor, sigmas: Sequence[float], seed: int = 0, frame: int = FRAME) -> Tensor:
    """L at each level of each part, some 100 pixels a side, of images x [B,3,H,W] in [0,1]: [parts,K].

    The noise is that of `reference.py`. `frame` pixels at the border are not counted.
    """
    height, width = (side - 2 * frame for side in x.shape[-2:])
    if min(height, width) < 1:
        raise TextureError(f"{x.shape[-2]}x{x.shape[-1]} pixels less a frame of {frame} leave none; give larger images")
    parts, found = (max(1, height // PART), max(1, width // PART)), []
    for sigma in sigmas:
        epsilon = noise(x, sigma, seed)
        error = (x + sigma * epsilon - denoiser(x + sigma * epsilon, sigma)) / sigma - epsilon
        inside = error[..., frame : frame + height, frame : frame + width].double()
        found.append(F.adaptive_avg_pool2d(inside.square().mean(1), parts).flatten())
    return torch.stack(found, 1)


def information(sigmas: Sequence[float], loss: Tensor) -> Tensor:
    """I(x; x + s eps) in bits a pixel from losses [...,K] at K increasing levels, the first of them s -> [...].

    Raises:
        TextureError: fewer than four levels, or not increasing.
    """
    at = torch.as_tensor(sigmas, dtype=torch.float64).log()
    if len(at) < 4 or not (at.diff() > 0).all() or loss.shape[-1] != len(at):
        raise TextureError(f"{len(at)} levels for {loss.shape[-1]} losses; give four or more, increasing")
    spline = CubicSpline(at.numpy(), loss.double().numpy(), axis=-1)
    nats = torch.as_tensor(spline.integrate(at[0].item(), at[-1].item())) + loss[..., -1] / 2
    return CHANNELS * nats / math.log(2)


def entropy(denoiser: Denoiser, x: Tensor, sigmas: Sequence[float] | None = None, seed: int = 0) -> Entropy:
    """Of images x [B,3,H,W] by a denoiser that has not seen them: an upper bound. One part alone has no error (nan)."""
    sigmas = levels() if sigmas is None else sigmas
    bits = information(sigmas, losses(denoiser, x, sigmas, seed))
    return Entropy(bits.mean().item(), (bits.std() / len(bits) ** 0.5).item(), sigmas[0])


def gaussian_entropy(texture: GaussianTexture, sigma: float, side: int = 128) -> float:
    """Exactly, for the first of some Gaussian textures: bits a pixel on a torus of `side` pixels."""
    noisy = texture.entropy(side, side, sigma)[0].item() / side**2
    return (noisy - CHANNELS / 2 * math.log(2 * math.pi * math.e * sigma**2)) / math.log(2)


def wiener(texture: GaussianTexture) -> Denoiser:
    """The best denoiser of a Gaussian texture."""
    return texture.denoised


def learned(model: Model, x0: Tensor) -> Denoiser:
    """Miyasawa's estimate with the multipliers of x0 [3,H,W]."""
    return lambda y, sigma: denoise(model, y, x0, sigma)


@dataclass(frozen=True)
class Row:
    """Bits a pixel of an exemplar's right half by models of its left half, each with its standard error."""

    exemplar: str
    learned: float
    learned_error: float
    gaussian: float
    gaussian_error: float

    @property
    def negentropy(self) -> float:
        """What the learned model knows beyond the spectrum."""
        return self.gaussian - self.learned


def row(model: Model, name: str) -> Row:
    """Of one exemplar."""
    left, right = halves(exemplar(name))
    ours, gaussian = (entropy(d, right[None]) for d in (learned(model, left), wiener(gaussian_of(left[None]))))
    return Row(name, *(round(v, 4) for found in (ours, gaussian) for v in (found.bits, found.error)))


def shipped(folder: Path = SHIPPED) -> list[Row]:
    """The rows of a run, least entropy first; those that come with the library unless another folder is named.

    Raises TextureError where there are none.
    """
    rows = rows_of.read(folder / TABLE, Row, "lib.evaluation.entropy")
    return sorted(rows, key=lambda r: r.learned)


def report(
    out: Annotated[Path, typer.Argument(help="Folder of the table.")],
    checkpoint: Annotated[str, typer.Option(help="A shipped model or the path of one.")] = "default",
    name: Annotated[list[str] | None, typer.Option("--exemplar", help="May be repeated; default: the nine.")] = None,
) -> None:
    """Bits a pixel of each exemplar's right half, by models of its left half."""
    model = load(checkpoint)
    rows_of.agreed(out, {"checkpoint": hashlib.sha256(find(checkpoint).read_bytes()).hexdigest()})
    rows = shipped(out) if (out / TABLE).exists() else []
    for e in name or EXEMPLARS:
        if e not in [r.exemplar for r in rows]:
            rows.append(found := row(model, e))
            rows_of.write(out / TABLE, rows)
            print(
                f"{e:<8} {found.learned:6.2f} ± {found.learned_error:.2f}   Gaussian {found.gaussian:6.2f}", flush=True
            )


if __name__ == "__main__":
    run(report)
