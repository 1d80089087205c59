"""Marginals of filter responses: the statistics of FRAME (Zhu, Wu & Mumford 1998).

The image in decorrelated colours u (principal axes of the exemplar's, each of unit variance) goes through a bank of
filters F, and of each response the histogram over the pixels is taken:

    f_cFb(x) = (1/N) #{k : (F * u_c)(k) in bin b}

The bank is theirs but for the choice of scales, with T the size in pixels:

    intensity       delta(k)
    gradient        u(k) - u(k - 1), along each axis
    LoG             (|k|^2 - T^2) exp(-|k|^2 / T^2), Laplacians of Gaussians
    Gabor           exp[-(4 p^2 + q^2) / 2T^2] exp(i 2 pi p / T), real and imaginary part, (p, q) = k turned

All of it, where they add filters one by one (their "filter pursuit"). So that f is differentiable a pixel counts in two
neighbouring bins, by a smooth step half a bin to either side of each edge; the first and the last bin are open. Edges
lie evenly over the exemplar's responses, up to the fraction `TAIL` beyond which they are few.
"""

import math

import torch
from torch import Tensor

from lib.images import check_image
from lib.statistics.quadratic import periodic_component

LOGS = (2.0, 4.0, 8.0)  # T of the Laplacians of Gaussians
GABORS = (4.0, 8.0, 16.0)  # T of the Gabors
ORIENTATIONS = 4
BINS = 11
TAIL = 0.005
REACH = 2.5  # a filter is cut off at so many of its T


def bank() -> list[Tensor]:
    """The filters, square kernels of odd sides, mean zero (but intensity) and unit norm, by size."""
    kernels = [torch.ones(1, 1)]
    step = torch.zeros(3, 3)
    step[1, 1], step[1, 0] = 1, -1
    kernels += [step, step.T]
    for size in LOGS:
        i, j = _grid(size)
        square = (i**2 + j**2) / size**2
        kernels.append((square - 1) * torch.exp(-square))
    for size in GABORS:
        i, j = _grid(size)
        for o in range(ORIENTATIONS):
            angle = math.pi * o / ORIENTATIONS
            p, q = j * math.cos(angle) + i * math.sin(angle), i * math.cos(angle) - j * math.sin(angle)
            window = torch.exp(-(4 * p**2 + q**2) / (2 * size**2))
            phase = 2 * math.pi * p / size
            kernels += [window * torch.cos(phase), window * torch.sin(phase)]
    for n, kernel in enumerate(kernels[1:], 1):
        kernel = kernel - kernel.mean() * (kernel.shape[0] > 3)
        kernels[n] = kernel / kernel.norm()
    return kernels


def responses(kernels: list[Tensor], u: Tensor) -> Tensor:
    """Circular convolutions of u [B,C,H,W] with each of F kernels: [B,C,F,H,W]."""
    transfer = torch.stack([torch.fft.rfft2(_folded(kernel, *u.shape[-2:])) for kernel in kernels]).to(u.device)
    return torch.fft.irfft2(torch.fft.rfft2(u)[:, :, None] * transfer, s=u.shape[-2:])


class FilterMarginals:
    """Histograms of the bank's responses in the colours of x0 ([3,H,W] in [0,1]), with bins made for x0.

    `dim` is 3 colours x 30 filters x 11 bins = 990. Raises TextureError if x0 is no image in [0,1].
    """

    name = "filter marginals"

    def __init__(self, x0: Tensor) -> None:
        x = periodic_component(check_image(x0, "x0"))
        self.kernels = bank()
        self.mean = x.mean((2, 3))[0]
        u = (x - self.mean[:, None, None]).flatten(2)[0]
        values, axes = torch.linalg.eigh(u @ u.T / u.shape[1])
        # a colour that the exemplar lacks is left in units of a grey level, not blown up
        self.colours = (axes / values.clamp_min(1 / 255**2).sqrt()).T.flip(0)
        seen = responses(self.kernels, self._coloured(x))[0].flatten(2)
        ends = torch.stack([torch.quantile(seen, share, 2) for share in (TAIL, 1 - TAIL)])
        self.width = ((ends[1] - ends[0]) / (BINS - 2)).clamp_min(1e-3)  # [3,F]
        self.first = ends[0]  # [3,F], the first edge
        self.dim = self.width.numel() * BINS

    def __call__(self, x: Tensor) -> Tensor:
        """f(x): [B,3,H,W] -> [B,990], histograms in the order colour, filter, bin."""
        return self.histograms(x).flatten(1)

    def histograms(self, x: Tensor) -> Tensor:
        """[B,3,H,W] -> [B,3,F,BINS], each of sum one."""
        r = responses(self.kernels, self._coloured(x)).flatten(3)
        t = (r - self.first.to(r)[..., None]) / self.width.to(r)[..., None]  # edge b is at t = b
        nearest = t.detach().round().clamp(0, BINS - 2)
        s = _step(t - nearest)  # the share of a pixel that lies above the nearest edge
        below, none = nearest.long(), torch.zeros_like(r[..., :BINS])
        return (none.scatter_add(3, below, 1 - s) + none.scatter_add(3, below + 1, s)) / r.shape[3]

    def _coloured(self, x: Tensor) -> Tensor:
        return torch.einsum("ij,bjhw->bihw", self.colours.to(x), x - self.mean.to(x)[:, None, None])


def _step(t: Tensor) -> Tensor:
    """0 below -1/2, 1 above 1/2, and 3s^2 - 2s^3 between, with s = t + 1/2."""
    s = (t + 0.5).clamp(0, 1)
    return s * s * (3 - 2 * s)


def _grid(size: float) -> tuple[Tensor, Tensor]:
    """Rows [K,1] and columns [1,K] of a kernel for filters of this size, from its middle."""
    reach = math.ceil(REACH * size)
    line = torch.arange(-reach, reach + 1, dtype=torch.float32)
    return line[:, None], line[None]


def _folded(kernel: Tensor, height: int, width: int) -> Tensor:
    """A kernel [K,K] on the torus [H,W], its middle at the origin; what is larger than the torus goes round it."""
    middle = kernel.shape[0] // 2
    k = torch.arange(-middle, middle + 1)
    rows = torch.zeros(height, kernel.shape[1]).index_add(0, k % height, kernel)
    return torch.zeros(height, width).index_add(1, k % width, rows)
