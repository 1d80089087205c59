"""f_theta: the learned statistics, spatial averages of what a U-Net reads in an image (Ronneberger et al. 2015).

f_k(y) = mean over pixels of phi_k(y), phi_k a read-out of the U-Net's decoder. Two configurations:

    paper      512 linear read-outs of the last layer, nothing built in (Zhao & Simoncelli);
    default    133 fixed autocovariances (see quadratic.py) and 379 potentials log(v^2 + c^2) at every scale of the
               decoder, with c learned and v = b * y_s + r W h: a learned linear filter on the image at scale s,
               and what the decoder's features h add to it, in units of the local contrast r.

Logarithmic potentials are those of filters whose responses have heavy tails, as in FRAME (Zhu, Wu & Mumford 1998).
Even with random filters they explain some of what a Gaussian leaves, which the read-outs of an untrained U-Net do
not; so training starts with the filters, and the network adds what filters cannot see.

The network sees y alone, not sigma. Every convolution is periodic, so that f knows no border: shift the image
round by a multiple of the coarsest pixel and f does not change. It is smooth (SiLU), since training needs its
second derivative, and needs no image size in particular.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.statistics.quadratic import Quadratic

LEAST_ENERGY = 1e-5  # pixel units squared: contrast under a grey level is none
LOG_C = (-4.6, -1.2)  # ln of 0.01 and 0.3, pixel units: between which response is a potential quadratic or flat
LINEAR_GRADIENT_INVERSE = 1e-2  # linear read-outs of normalised features have gradients in the hundreds
DETAIL = 0.1  # pixel units: contrast at which the input's detail channels turn from linear to logarithmic


@dataclass(frozen=True)
class Architecture:
    """Widths and depths by scale, finest first; `readouts` says how many statistics each decoder scale gives."""

    channels: tuple[int, ...] = (16, 32, 48, 64, 96)
    blocks: tuple[int, ...] = (1, 1, 1, 1, 2)
    readouts: tuple[int, ...] = (96, 112, 96, 51, 24)
    quadratic: bool = True  # logarithmic potentials and the built-in autocovariances; False: linear read-outs alone

    @property
    def dim(self) -> int:
        """Number of statistics."""
        return sum(self.readouts) + self.known

    @property
    def known(self) -> int:
        """Number of statistics whose multipliers have a closed form: the built-in ones, which come first."""
        return Quadratic.dim if self.quadratic else 0


DEFAULT = Architecture()
PAPER = Architecture(readouts=(512, 0, 0, 0, 0), quadratic=False)


def convolve(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """A periodic convolution: x [B,C,H,W] -> [B,C',H,W], the kernel's margin taken from the opposite edge."""
    margin = conv.kernel_size[0] // 2
    return F.conv2d(F.pad(x, (margin,) * 4, mode="circular") if margin else x, conv.weight, conv.bias)


def normalise(h: Tensor) -> Tensor:
    """Divide each pixel's features by their root mean square: contrast leaves, shape stays. [B,C,H,W]"""
    return h * torch.rsqrt(h.square().mean(1, keepdim=True) + 1e-3)


class Block(nn.Module):
    """h + W2 silu(W1 normalise(h)), W1 3x3 periodic, W2 1x1 and small at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, channels, 3)
        self.mix = nn.Conv2d(channels, channels, 1)
        nn.init.normal_(self.mix.weight, std=0.5 / channels**0.5)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.mix(F.silu(convolve(normalise(h), self.spatial)))


class UNet(nn.Module):
    """From y [B,3,H,W] to the densities phi_k, one tensor a scale [B,readouts[s],H/2^s,W/2^s]."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a, channels = architecture, architecture.channels
        self.architecture = a
        # while silent, only the linear filters speak: equal to the whole as long as `read` is zero, and far quicker
        self.silent = False
        self.stem = nn.Conv2d(6, channels[0], 5)
        scales = range(len(channels))
        self.encoder = nn.ModuleList(nn.Sequential(*(Block(channels[s]) for _ in range(a.blocks[s]))) for s in scales)
        self.decoder = nn.ModuleList(
            nn.Sequential(*(Block(channels[s]) for _ in range(a.blocks[s]))) for s in scales[:-1]
        )
        self.down = nn.ModuleList(nn.Conv2d(channels[s], channels[s + 1], 2, stride=2) for s in scales[:-1])
        self.up = nn.ModuleList(nn.Conv2d(channels[s + 1], channels[s], 1) for s in scales[:-1])
        read = [s for s in scales if a.readouts[s]]
        self.read = nn.ModuleDict({str(s): nn.Conv2d(channels[s], a.readouts[s], 1) for s in read})
        if a.quadratic:
            self.filters = nn.ModuleDict({str(s): nn.Conv2d(3, a.readouts[s], 5, bias=False) for s in read})
            self.log_c = nn.ParameterDict({str(s): torch.empty(a.readouts[s]).uniform_(*LOG_C) for s in read})
            for s in map(str, read):
                for parameter in self.read[s].parameters():  # the filters come first, see `silent`
                    nn.init.zeros_(parameter)
                _band_pass(cast(Tensor, self.filters[s].weight))

    def forward(self, y: Tensor) -> list[Tensor]:
        return self._densities(y, [None] * len(self.encoder) if self.silent else self._features(y))

    def _features(self, y: Tensor) -> list[Tensor]:
        """What the decoder sees at each scale, finest first: [B,channels[s],H/2^s,W/2^s]."""
        h = convolve(conditioned(y), self.stem)
        skips: list[Tensor] = []
        for s, blocks in enumerate(self.encoder):
            h = blocks(h)
            if s < len(self.down):
                skips.append(h)
                h = self.down[s](_even(h))
        features = [h]
        for s in reversed(range(len(self.decoder))):
            skip = skips[s]
            wide = self.up[s](h).repeat_interleave(2, 2).repeat_interleave(2, 3)
            h = self.decoder[s](skip + wide[..., : skip.shape[-2], : skip.shape[-1]])
            features.append(h)
        return features[::-1]

    def _densities(self, y: Tensor, features: Sequence[Tensor | None]) -> list[Tensor]:
        """Read the decoder's features, finest first, and add them to the filtered image in the potentials."""
        densities: list[Tensor] = []
        for s, h in enumerate(features):
            if s:
                y = F.avg_pool2d(_even(y), 2)
            if str(s) not in self.read:
                continue
            added = self.read[str(s)](normalise(h)) if h is not None else torch.zeros((), device=y.device)
            if self.architecture.quadratic:
                detail = y - around(y)
                size = (around(detail.square().mean(1, keepdim=True)) + LEAST_ENERGY).sqrt()
                v = convolve(detail, cast(nn.Conv2d, self.filters[str(s)])) + size * added
                added = torch.log(v.square() + torch.exp(2 * self.log_c[str(s)])[:, None, None])
            densities.append(added)
        return densities


def around(y: Tensor, width: int = 5) -> Tensor:
    """The periodic mean over width x width pixels: [B,C,H,W]."""
    return F.avg_pool2d(F.pad(y, (width // 2,) * 4, mode="circular"), width, stride=1)


def _band_pass(weight: Tensor) -> None:
    """Random filters [n,3,5,5] of unit norm at first: oriented waves, mostly of luminance, under a window."""
    n, _, side, _ = weight.shape
    grid = torch.arange(side) - side // 2
    angle, cycles, phase = (torch.rand(n, 1, 1) * scale for scale in (torch.pi, 1.5, 2 * torch.pi))
    wave = torch.cos((grid[:, None] * angle.sin() + grid * angle.cos()) * (cycles + 0.7) + phase)
    window = torch.exp(-(grid[:, None] ** 2 + grid**2) / (2 * 1.2**2))
    colour = 1 + 0.7 * torch.randn(n, 3)
    with torch.no_grad():
        filters = colour[:, :, None, None] * (window * wave)[:, None]
        filters -= filters.mean((2, 3), keepdim=True)
        weight.copy_(filters / filters.flatten(1).norm(dim=1)[:, None, None, None])


def conditioned(y: Tensor) -> Tensor:
    """y alone, made fit for a network at every noise level: [B,3,H,W] -> [B,6,H,W].

    Three channels carry the colour, softly clipped; three the detail (y less its neighbours' mean) on a scale
    that is linear for small contrasts and logarithmic for large ones.
    """
    return torch.cat([torch.asinh(2 * (y - 0.5)), torch.asinh((y - around(y)) / DETAIL)], 1)


def _even(h: Tensor) -> Tensor:
    """Continue odd heights and widths by one pixel from the opposite edge, so that halving loses none."""
    odd = (0, h.shape[-1] % 2, 0, h.shape[-2] % 2)
    return F.pad(h, odd, mode="circular") if any(odd) else h


class LearnedStatistics(nn.Module):
    """f_theta: [B,3,H,W] in [0,1] -> [B,512]; `dim`, `name` and `densities` beside it."""

    def __init__(self, architecture: Architecture = DEFAULT) -> None:
        super().__init__()
        self.architecture, self.name, self.dim = architecture, "learned", architecture.dim
        self.unet = UNet(architecture)
        self.quadratic = Quadratic() if architecture.quadratic else None

    def forward(self, y: Tensor) -> Tensor:
        deep = self.deep(y)
        return deep if self.quadratic is None else torch.cat([self.quadratic(y), deep], 1)

    def deep(self, y: Tensor) -> Tensor:
        """The statistics of the network alone, the last `sum(readouts)` of f: [B,3,H,W] -> [B,n]."""
        return torch.cat([phi.float().mean((2, 3)) for phi in self.unet(y)], 1)

    def densities(self, y: Tensor) -> list[Tensor]:
        """phi_k, the maps whose spatial averages are the network's statistics, finest scale first."""
        return self.unet(y)

    def gradient_inverse(self, scale: int, variance: Tensor) -> Tensor:
        """One over the typical slope of the potentials of a scale for responses of this variance: [B,1] -> [B,n].

        For Gaussian v the slope 2v / (v^2 + c^2) has a root mean square of about (c sd)^(-1/2).
        """
        if not self.architecture.quadratic:
            return LINEAR_GRADIENT_INVERSE * torch.ones_like(variance)
        c = torch.exp(self.unet.log_c[str(scale)].detach())
        return (c * (variance + c**2).sqrt()).sqrt()
