"""A U-Net whose features are measured against the whole picture: the network of `hybrid`, `wide` and `deep`.

Every feature is normalised over all pixels (group normalisation, Wu & He 2018), with one difference: the mean is each
channel's own, the variance that of its group. What is left of a mean would be the network's undoing: a potential
log(1 + v^2) of v = c + small is linear in what is small, training finds that at once, and c grows until everything
else is lost in rounding. What is read is normalised too, and nothing learned comes after it, so that the statistics
can neither fade nor grow: potentials see v of order one before, during and after training.

Of a picture that holds several textures, one is measured under a window: means and variances are then those of what
is under it, and what is seen beside it is another texture's business.

Coarser scales are means of 2x2 pixels of a smoothed map and finer ones smoothed repetitions, except for the finest,
whose halving is learned. All is periodic.
"""

from itertools import pairwise
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.statistics.periodic import at_rest, convolve, even, grown, halved, known_signature, wrapped

STEM = 32  # channels at full resolution
GROUP = 16  # channels that share a variance
LEAST_VARIANCE = 1e-4  # of features; an image without contrast has none


def normalised(
    h: Tensor, window: Tensor | None = None, scale: Tensor | None = None, offset: Tensor | None = None
) -> Tensor:
    """Each channel less its mean over the picture, each group of channels at variance one: [B,C,H,W].

    Under a window [H,W] of any resolution, not negative and not zero, if there is one. Then each channel is multiplied
    by its `scale` and raised by its `offset`, both [C], if there are any.
    """
    rest = at_rest(*(p for p in (scale, offset) if p is not None))
    scale = h.new_ones(1) if scale is None else scale.to(h.dtype)
    offset = h.new_zeros(1) if offset is None else offset.to(h.dtype)
    scale, offset = scale[:, None, None], offset[:, None, None]
    if rest and window is None and h.dtype == torch.float32:
        return cast(Tensor, _Normalised.apply(h, scale, offset)[0])
    wide = h.float()
    if window is None:
        wide = wide - wide.mean((2, 3), keepdim=True)
        variance = _groups(wide).square().mean((2, 3, 4), keepdim=True)
    else:
        v = F.adaptive_avg_pool2d(window[None], (h.shape[-2], h.shape[-1]))[0]
        v = v / v.sum()
        wide = wide - (v * wide).sum((2, 3), keepdim=True)
        variance = (v * _groups(wide).square()).sum((3, 4), keepdim=True).mean(2, keepdim=True)
    unit = (_groups(wide) * torch.rsqrt(variance + LEAST_VARIANCE)).flatten(1, 2).to(h.dtype)
    return unit * scale + offset


def _groups(h: Tensor) -> Tensor:
    return h.unflatten(1, (-1, min(GROUP, h.shape[1])))


class Normalise(nn.Module):
    """`normalised`, then a scale and an offset for each channel. [B,C,H,W]"""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, h: Tensor, window: Tensor | None = None) -> Tensor:
        return normalised(h, window, self.scale, self.offset)


@known_signature
class _Normalised(torch.autograd.Function):
    """n scale + offset, with n = s (h - mean), one s a group; by q = g scale, its gradient is s (q - <q> - n <n q>)."""

    @staticmethod
    def forward(h: Tensor, scale: Tensor, offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        apart = h - h.mean((2, 3), keepdim=True)
        s = _inverse_deviation(apart)
        return (apart * (s * scale)).add_(offset), apart, s

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)  # there is no gradient of those: no maps of zeros in its place
        ctx.save_for_backward(inputs[0], inputs[1], *output[1:])

    @staticmethod
    def backward(ctx: Any, g: Tensor, *_: Tensor) -> tuple[Tensor, None, None]:
        h, scale, apart, s = ctx.saved_tensors
        if torch.is_grad_enabled():  # this gradient will be differentiated too: h counts wherever it is
            apart = h - h.mean((2, 3), keepdim=True)
            s = _inverse_deviation(apart)
        size = s * scale
        pull = _of_groups(size * (g * apart).mean((2, 3), keepdim=True)) * s.square()
        return (g * size).sub_(size * g.mean((2, 3), keepdim=True)).sub_(apart * pull), None, None


def _inverse_deviation(apart: Tensor) -> Tensor:
    """Of features less their means, the same in all channels of a group: [B,C,1,1]."""
    return torch.rsqrt(_of_groups((apart * apart).mean((2, 3), keepdim=True)) + LEAST_VARIANCE)


def _of_groups(values: Tensor) -> Tensor:
    """The mean of each group, for each of its channels: [B,C,1,1]."""
    found = _groups(values)
    return found.mean(2, keepdim=True).expand_as(found).flatten(1, 2)


class Block(nn.Module):
    """h + W2 silu(n2(W1 silu(n1(h)))), both 3x3 and periodic, n normalising. [B,C,H,W]"""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        """`dilation`: how many pixels apart those are that a convolution reads."""
        super().__init__()
        self.norms = nn.ModuleList(Normalise(channels) for _ in range(2))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, bias=False, dilation=dilation) for _ in range(2)
        )

    def forward(self, h: Tensor, window: Tensor | None = None) -> Tensor:
        r = h
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            r = convolve(F.silu(norm(r, window)), cast(nn.Conv2d, convolution))
        return h + r


class GroupedUNet(nn.Module):
    """From an input [B,6,H,W] to features at 1/2, 1/4, ... of its resolution, finest first, normalised.

    Where it is read `early`, what stands before each block of the finest scale comes before them.
    """

    def __init__(
        self, channels: tuple[int, ...], blocks: tuple[int, ...], dilations: tuple[int, ...] = (), early: bool = False
    ) -> None:
        """`blocks` of each scale on the way down, the first of `dilations` and then of none; one on the way up."""
        super().__init__()
        self.early = early
        self.stem = nn.Conv2d(6, STEM, 5, bias=False)
        self.norm = Normalise(STEM)
        self.enter = nn.Conv2d(STEM, channels[0], 4, stride=2, bias=False)
        self.encoder = nn.ModuleList(
            nn.ModuleList(Block(c, *dilations[k : k + 1]) for k in range(n))
            for c, n in zip(channels, blocks, strict=True)
        )
        self.decoder = nn.ModuleList(Block(c) for c in channels[:-1])
        self.down = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False) for a, b in pairwise(channels))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1, bias=False) for a, b in pairwise(channels))

    def forward(self, h: Tensor, window: Tensor | None = None) -> list[Tensor]:
        if h.device.type == "cpu" and at_rest(self.enter.weight):
            h = h.contiguous(memory_format=torch.channels_last)  # in which a processor's convolutions are quickest
        h = F.silu(self.norm(convolve(h, self.stem), window))
        h = F.conv2d(wrapped(even(h), 1), self.enter.weight, stride=2)
        skips, early = list[Tensor](), list[Tensor]()
        for s, blocks in enumerate(self.encoder):
            h = self.down[s - 1](halved(normalised(h, window))) if s else h
            for block in cast(nn.ModuleList, blocks):
                if self.early and s == 0:
                    early.append(normalised(h, window))
                h = block(h, window)
            skips.append(h)
        found = [normalised(h, window)]
        for s in reversed(range(len(self.decoder))):
            wide = grown(self.up[s](found[-1]))
            skip = skips[s]
            h = normalised(skip, window) + wide[..., : skip.shape[-2], : skip.shape[-1]]
            found.append(normalised(self.decoder[s](h, window), window))
        return early + found[::-1]


def along(h: Tensor, read: nn.Conv2d) -> Tensor:
    """h [B,C,H,W] along directions of unit length: [B,n,H,W]."""
    return F.conv2d(h, F.normalize(read.weight.flatten(1), dim=1)[..., None, None].to(h.dtype))
