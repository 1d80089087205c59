"""f_theta: the learned statistics, spatial averages of what a U-Net reads in an image (Ronneberger et al. 2015).

f_k(y) = mean over pixels of phi_k(y), phi_k a read-out of the U-Net's decoder, and, but for the paper's, potentials of
waves (see waves.py), of hues (see hues.py), and fixed autocovariances (see quadratic.py). How many of each there are is
said by an `Architecture` (see architecture.py).

The network sees y alone, not sigma. Every convolution is periodic, so that f knows no border: shift the image
round by a multiple of the coarsest pixel and f does not change. It is smooth (SiLU), since training needs its
second derivative, and needs no image size in particular.
"""

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.statistics.architecture import WAVES, Architecture
from lib.statistics.hues import Hues
from lib.statistics.periodic import around, convolve, doubled, even, halved
from lib.statistics.quadratic import Quadratic
from lib.statistics.unet import GroupedUNet, along
from lib.statistics.waves import FIRST, Waves

LEAST_ENERGY = 1e-5  # pixel units squared: contrast under a grey level is none
LINEAR_GRADIENT_INVERSE = 1e-2  # linear read-outs of normalised features have gradients in the hundreds
DETAIL = 0.1  # pixel units: contrast at which the input's detail channels turn from linear to logarithmic


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
    """From y [B,3,H,W] to what the decoder sees at each scale s, finest first: [B,channels[s],H/2^s,W/2^s]."""

    def __init__(self, channels: tuple[int, ...], blocks: tuple[int, ...], contrasts: tuple[int, ...]) -> None:
        """`contrasts` counts the channels that join the encoder at each scale beside what comes from the finer one."""
        super().__init__()
        self.stem = nn.Conv2d(6, channels[0], 5)
        levels = [nn.Sequential(*(Block(c) for _ in range(n))) for c, n in zip(channels, blocks, strict=True)]
        self.encoder = nn.ModuleList(levels)
        levels = [nn.Sequential(*(Block(c) for _ in range(n))) for c, n in zip(channels[:-1], blocks[:-1], strict=True)]
        self.decoder = nn.ModuleList(levels)
        self.join = nn.ModuleList(nn.Conv2d(n, c, 1) for n, c in zip(contrasts, channels, strict=False))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(channels))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(channels))

    def forward(self, y: Tensor, contrasts: list[Tensor]) -> list[Tensor]:
        h = convolve(conditioned(y), self.stem)
        skips: list[Tensor] = []
        for s, blocks in enumerate(self.encoder):
            if s:
                skips.append(h)
                h = self.down[s - 1](even(h))
            if contrasts:
                h = h + self.join[s](normalise(contrasts[s]))
            h = blocks(h)
        features = [h]
        for s in reversed(range(len(self.decoder))):
            skip = skips[s]
            wide = doubled(self.up[s](h))
            h = self.decoder[s](skip + wide[..., : skip.shape[-2], : skip.shape[-1]])
            features.append(h)
        return features[::-1]


def conditioned(y: Tensor) -> Tensor:
    """y alone, made fit for a network at every noise level: [B,3,H,W] -> [B,6,H,W].

    Three channels carry the colour, softly clipped; three the detail (y less its neighbours' mean) on a scale
    that is linear for small contrasts and logarithmic for large ones.
    """
    return torch.cat([torch.asinh(2 * (y - 0.5)), torch.asinh((y - around(y)) / DETAIL)], 1)


class LearnedStatistics(nn.Module):
    """f_theta: [B,3,H,W] in [0,1] -> [B,512]; `dim`, `name` and `densities` beside it."""

    def __init__(self, architecture: Architecture = WAVES) -> None:
        super().__init__()
        a = architecture
        self.architecture, self.name, self.dim = a, "learned", a.dim
        # while silent, only what learns first speaks: the waves, or where they are apart, the U-Net
        self.silent = False
        if a.apart:
            self.quadratic: Quadratic | None = Quadratic()
            self.waves: Waves | None = Waves(a.octaves, a.singles, a.tints)
            of_waves = [Waves.log_c(s, a.singles, a.tints) for s in range(a.octaves)]
            network = slice(a.octaves, a.before_hues)
            of_network = [nn.Parameter(torch.zeros(n), a.thresholds) for n in a.readouts[network]]
            self.log_c = nn.ParameterList([*of_waves, *of_network, *(Hues.log_c() for _ in range(a.hues))])
            self.hues = Hues(a.hues) if a.hues else None
            self.unet: UNet | GroupedUNet = GroupedUNet(a.channels, a.blocks, a.dilations, a.early > 0)
            self.read = nn.ModuleList(
                nn.Conv2d(a.channels[s - 1], n, 1, bias=False)
                for s, n in zip(a.scales[network], a.readouts[network], strict=True)
            )
            return
        octaves = len(a.channels)
        self.unet = UNet(a.channels, a.blocks, tuple(FIRST * (s + 1) for s in range(octaves)) if a.waves else ())
        self.quadratic = Quadratic() if a.waves else None
        self.waves = Waves(octaves) if a.waves else None
        if self.waves is None:
            self.read = nn.ModuleList(nn.Conv2d(a.channels[s], n, 1) for s, n in enumerate(a.readouts))
            return
        self.read = nn.ModuleList(nn.Conv2d(c, self.waves.responses(s), 1) for s, c in enumerate(a.channels))
        self.log_c = nn.ParameterList(Waves.log_c(s) for s in range(octaves))
        for parameter in self.read.parameters():  # the waves come first, see `silent`
            nn.init.zeros_(parameter)

    def forward(self, y: Tensor) -> Tensor:
        deep = self.deep(y)
        return deep if self.quadratic is None else torch.cat([self.quadratic(y), deep], 1)

    def deep(self, y: Tensor, silenced: bool = True) -> Tensor:
        """The statistics of the network, the last of f, after those that are built in: [B,3,H,W] -> [B,n].

        Those of waves apart are zero while they are `silent`, if they are to be `silenced`.
        """
        # a mean as a sum divided: autograd would divide an image of gradients
        found = [(phi.float().sum((2, 3)) / (phi.shape[-2] * phi.shape[-1])) for phi in self.densities(y, silenced)]
        return torch.cat(found, 1)

    def maps(self, y: Tensor, region: Tensor | None = None) -> list[Tensor]:
        """All maps whose spatial averages are f, in f's order: [B,n,h,w] each, of the resolutions that they have.

        A U-Net of its own measures its features under `region` [H,W], if there is one.
        """
        return ([] if self.quadratic is None else [self.quadratic.maps(y)]) + self.densities(y, region=region)

    def densities(self, y: Tensor, silenced: bool = True, region: Tensor | None = None) -> list[Tensor]:
        """phi_k, the maps whose spatial averages are the network's statistics, in the order of `readouts`."""
        if self.waves is None:
            return [read(normalise(h)) for read, h in zip(self.read, self.unet(y, []), strict=False)]
        if self.architecture.apart:
            return self._waves_apart(y, self.silent and silenced) + self._network_apart(y, region)
        responses, contrasts = self.waves(y)
        features = [None] * len(responses) if self.silent else self.unet(y, contrasts)
        densities = []
        for s, (v, h) in enumerate(zip(responses, features, strict=True)):
            if h is not None:
                y = halved(y) if s else y
                v = v + contrast(y) * self.read[s](normalise(h))
            densities.append(torch.log(self.waves.energies(v, s) + torch.exp(2 * self.log_c[s])[:, None, None]))
        return densities

    def _waves_apart(self, y: Tensor, silent: bool) -> list[Tensor]:
        waves = cast(Waves, self.waves)
        if silent:
            return [y.new_zeros(len(y), n, 1, 1) for n in self.architecture.readouts[: waves.octaves]]
        energies = [waves.energies(v, s) for s, v in enumerate(waves(y)[0])]
        return [torch.log(e + torch.exp(2 * c)[:, None, None]) for e, c in zip(energies, self.log_c, strict=False)]

    def _network_apart(self, y: Tensor, region: Tensor | None) -> list[Tensor]:
        features = cast(GroupedUNet, self.unet)(conditioned(y), region)
        responses = [along(h, cast(nn.Conv2d, read)) for h, read in zip(features, self.read, strict=True)]
        squares = [v.float().square() for v in responses] + (self.hues(y, region) if self.hues else [])
        log_c = list(self.log_c)[self.architecture.octaves :]
        return [torch.log1p(e * torch.exp(-2 * c)[:, None, None]) for e, c in zip(squares, log_c, strict=True)]

    def gradient_inverse(self, group: int, variance: Tensor) -> Tensor:
        """One over the typical slope of a group of potentials (of `readouts`): [B,1] -> [B,n].

        For Gaussian v of the variance that is given, the slope 2v / (v^2 + c^2) has a root mean square of about
        (c sd)^(-1/2). What a U-Net of its own reads is measured against the whole picture: by its contrast.
        """
        count = self.architecture.readouts[group]
        if self.waves is None:
            return LINEAR_GRADIENT_INVERSE * torch.ones_like(variance).expand(-1, count)
        c = torch.exp(self.log_c[group].detach())
        if self.architecture.apart and group >= self.architecture.octaves:
            return c * variance.sqrt()
        return (c * (variance + c**2).sqrt()).sqrt()


def contrast(y: Tensor) -> Tensor:
    """Local contrast r, the root mean square of y less its neighbours' mean: [B,3,H,W] -> [B,1,H,W]."""
    return (around((y - around(y)).square().mean(1, keepdim=True)) + LEAST_ENERGY).sqrt()
