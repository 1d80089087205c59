"""Coordinates in which a search knows fine from coarse and grey from coloured: Hartley's transform, by octaves.

How fast a loss of statistics curves differs between octaves, and between luminance and colours, and by how much depends
on the texture. L-BFGS with one scale for all coordinates spends iterations on finding that out. With one for each
octave of each opponent colour it needs a tenth to a fifth fewer on most textures (see `lbfgs.py`; notebook 7).

The transform is orthonormal, real, and its own inverse: H(w) = Re W - Im W, W being Fourier's (Bracewell 1983).
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lib.samplers.descend import Loss, descend
from lib.samplers.step import Step
from lib.statistics.quadratic import opponent


def hartley(w: Tensor) -> Tensor:
    """[...,H,W] -> [...,H,W], of the same length; twice, it is w again."""
    W = torch.fft.fft2(w, norm="ortho")
    return W.real - W.imag


def coefficients(w: Tensor) -> Tensor:
    """Images [B,3,H,W] -> Hartley's coefficients of their opponent colours [B,3,H,W]; the same length."""
    return hartley(torch.einsum("cd,bdhw->bchw", opponent().to(w), w))


def images(u: Tensor) -> Tensor:
    """The inverse of `coefficients`."""
    return torch.einsum("cd,bchw->bdhw", opponent().to(u), hartley(u))


def parts(height: int, width: int) -> Tensor:
    """To which part each coefficient belongs, numbered from 0, an octave of a colour each: [3,H,W]."""
    side = max(height, width)
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None])
    # the mean counts with the coarsest; the last digits must not decide which side of a border a frequency is on
    octave = torch.log2((side * frequency).clamp_min(1) + 1e-4).long()
    return torch.stack([3 * octave + colour for colour in range(3)])


def descend_by_octaves(
    loss: Loss, starts: Tensor, steps: int, image: Callable[[Tensor], Tensor]
) -> Iterator[Step]:
    """`descend` from w [n,3,H,W], `image` mapping w to x as there, every octave of each colour having its own scale."""
    apart = parts(*starts.shape[-2:])
    return descend(loss, coefficients(starts), steps, lambda u: image(images(u)), parts=apart)
