"""Two layers of waves: what the potentials of the `waves` configuration see before any training.

At each octave s (the image halved s times) learned filters w read the image, and learned filters of a second layer
read the moduli of the first at all finer octaves, so that they see where contrast of one kind lies:

    u_s,j = w_s,j * y_s                          first layer: waves, as pairs (even, odd)
    m_s,j = (|u_s,j|^2 + c^2)^(1/2)              local contrast, brought down to the coarser octaves
    U_s,k = W_s,k * (m_0, ..., m_(s-1))          second layer: waves of contrast
    b_s,l = w_s,l * y_s - offset                 ridges and grey levels against an offset: they know bright from dark
    M_s,i = local mean of |u_s,j|^2              over all angles j of a colour i and a neighbourhood

Means of such moduli are a scattering transform (Bruna & Mallat 2013; the second layer is also the idea behind the
magnitude correlations of Portilla & Simoncelli 2000). Potentials of M at several thresholds c are those of a Gaussian
whose variance changes from place to place (Portilla, Strela, Wainwright & Simoncelli 2003).
All filters start as Gabor functions and all are trained.
"""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from lib.statistics.periodic import around, by_hand, convolve, halved, known_signature
from lib.statistics.quadratic import opponent

ANGLES = 4
SIDE = 5  # pixels, of a filter
CYCLES, WINDOW = 0.27, 1.2  # of a Gabor function at first: cycles a pixel, standard deviation in pixels
LEAST_MODULUS = 1e-3  # pixel units
RIDGE_OFFSET = 0.1
LEVEL_OFFSETS = (-0.3, -0.1, 0.1, 0.3)  # of opponent colours, luminance counting double
FINEST_LEVELS = (-0.9, -0.6, 0.6, 0.9)  # of luminance, at the finest octave alone
C_RANGE = (0.02, 0.2)  # pixel units: where potentials of responses turn from quadratic to logarithmic, at first
POOLED_C = (0.02, 0.05, 0.1, 0.2, 0.4)  # the same for local energies, each at all of these
POOL = 3  # pixels
FIRST = 3 * ANGLES  # waves of the first layer: luminance, then two chromas


def contrast_waves(octave: int) -> int:
    """Waves of the second layer at an octave, as many as `_sources`."""
    return ANGLES * len(_sources(octave))


def _sources(octave: int) -> list[list[int]]:
    """Moduli that each wave of the second layer reads at first, among those of all finer octaves, at four angles each.

    Luminance at every angle of the three next finer octaves, and chroma of the next finer, all angles together.
    """
    near = range(max(0, octave - 3), octave)
    luminance = [[FIRST * finer + angle] for finer in near for angle in range(ANGLES)]
    return luminance + [[FIRST * (octave - 1) + k for k in range(ANGLES, FIRST)]] * (octave > 0)


class Waves(nn.Module):
    """y [B,3,H,W] -> responses and moduli by octave; `readouts` potentials and `responses` channels at each."""

    def __init__(self, octaves: int, singles: bool = True, tints: bool = True) -> None:
        """Without `singles` there are no ridges and no levels: what comes alone; without `tints` none of chroma."""
        super().__init__()
        self.octaves, self.singles, self.tints = octaves, singles, tints
        ridges = ANGLES if singles else 0
        self.first = nn.ModuleList(nn.Conv2d(3, 2 * FIRST + ridges, SIDE, bias=singles) for _ in range(octaves))
        self.levels = nn.ModuleList(
            nn.Conv2d(3, len(Waves.levels_of(s, tints)), 1) for s in range(octaves if singles else 0)
        )
        self.second = nn.ModuleList(
            nn.Conv2d(FIRST * s, 2 * contrast_waves(s), SIDE, bias=False) for s in range(1, octaves)
        )
        with torch.no_grad():
            for s in range(octaves):
                self._start(s)

    @staticmethod
    def levels_of(octave: int, tints: bool = True) -> list[int]:
        """Which levels there are at an octave of all that there could be: indices."""
        return [k for k, (colour, _) in enumerate(_levels(octave)) if tints or colour == 0]

    @staticmethod
    def potentials(octave: int, singles: bool = True, tints: bool = True) -> list[int]:
        """Which potentials there are at an octave of all that there could be: indices, of pairs, of singles, pooled."""
        ridges = _pairs(octave)
        levels = ridges + ANGLES
        pooled = levels + len(_levels(octave))
        alone = [*range(ridges, levels), *(levels + k for k in Waves.levels_of(octave, tints))]
        return [*range(ridges), *(alone if singles else []), *range(pooled, pooled + 3 * len(POOLED_C))]

    @staticmethod
    def readouts(octaves: int, singles: bool = True, tints: bool = True) -> tuple[int, ...]:
        """Number of potentials at each octave."""
        return tuple(len(Waves.potentials(s, singles, tints)) for s in range(octaves))

    @staticmethod
    def responses(octave: int) -> int:
        """Number of channels at an octave: two of each pair, one of each single."""
        return 2 * _pairs(octave) + _singles(octave)

    def forward(self, y: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Responses [B,responses(s),H/2^s,W/2^s] (pairs first) and moduli up to that octave [B,12(s+1),...]."""
        responses, contrasts = [], []
        finer: Tensor | None = None
        y = y - 0.5
        for s in range(self.octaves):
            if s:
                y = halved(y)
            first = convolve(y, _conv(self.first, s))
            waves, ridges = first.tensor_split([2 * FIRST], 1)
            parts = [waves]
            moduli = (pair_energy(waves) + LEAST_MODULUS**2).sqrt()
            if finer is not None:
                finer = halved(finer)
                parts.append(convolve(finer, _conv(self.second, s - 1)))
                moduli = torch.cat([finer, moduli], 1)
            if self.singles:
                parts += [ridges, convolve(y, _conv(self.levels, s))]
            responses.append(torch.cat(parts, 1))
            contrasts.append(moduli)
            finer = moduli
        return responses, contrasts

    def energies(self, responses: Tensor, octave: int) -> Tensor:
        """|v|^2 of each potential: [B,responses(s),...] -> [B,readouts[s],...]: of pairs, of singles, pooled."""
        pairs, singles = responses.tensor_split([2 * _pairs(octave)], 1)
        energy = pair_energy(pairs)
        pooled = around(energy[:, :FIRST].unflatten(1, (3, ANGLES)).mean(2), POOL)
        return torch.cat([energy, singles.square(), pooled.repeat(1, len(POOLED_C), 1, 1)], 1)

    @staticmethod
    def log_c(octave: int, singles: bool = True, tints: bool = True) -> Tensor:
        """ln c of each potential log(|v|^2 + c^2) at first: [readouts[s]]."""
        least, most = (math.log(c) for c in C_RANGE)
        pooled = torch.tensor(POOLED_C).log().repeat_interleave(3)
        alone = torch.empty(len(Waves.potentials(octave, singles, tints)) - len(pooled)).uniform_(least, most)
        return torch.cat([alone, pooled])

    def _start(self, s: int) -> None:
        colours, gabors = opponent(), _gabors()  # [3,3], [2 ANGLES,SIDE,SIDE] (even, odd, even, ...)
        first = _conv(self.first, s)
        filters = [colour[:, None, None] * g for colour in colours for g in gabors]
        if self.singles:
            filters += [colours[0][:, None, None] * gabors[2 * angle] for angle in range(ANGLES)]
            cast(Tensor, first.bias).copy_(torch.tensor([0.0] * 2 * FIRST + [-RIDGE_OFFSET] * ANGLES))
            levels = _conv(self.levels, s)
            starts = [_levels(s)[k] for k in Waves.levels_of(s, self.tints)]
            levels.weight.copy_(torch.stack([colours[c] for c, _ in starts])[:, :, None, None])
            cast(Tensor, levels.bias).copy_(torch.tensor([-offset for _, offset in starts]))
        first.weight.copy_(torch.stack(filters))
        if s:
            second = _conv(self.second, s - 1).weight
            second.zero_()
            for k, source in enumerate(_sources(s)):
                for channel in source:
                    second[2 * ANGLES * k : 2 * ANGLES * (k + 1), channel] = gabors / len(source) ** 0.5


def _conv(modules: nn.ModuleList, s: int) -> nn.Conv2d:
    return cast(nn.Conv2d, modules[s])


def pair_energy(v: Tensor) -> Tensor:
    """even^2 + odd^2 of neighbouring channels: [B,2n,H,W] -> [B,n,H,W]."""
    return _PairEnergy.apply(v) if by_hand(v) else _pair_energy(v)


def _pair_energy(v: Tensor) -> Tensor:
    return v.unflatten(1, (-1, 2)).square().sum(2)


@known_signature
class _PairEnergy(torch.autograd.Function):
    @staticmethod
    def forward(v: Tensor) -> Tensor:
        return _pair_energy(v)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (v,) = ctx.saved_tensors
        return (v.unflatten(1, (-1, 2)) * (2 * g)[:, :, None]).flatten(1, 2)


def _pairs(octave: int) -> int:
    return FIRST + contrast_waves(octave)


def _singles(octave: int) -> int:
    return ANGLES + len(_levels(octave))


def _levels(octave: int) -> list[tuple[int, float]]:
    """(opponent colour, offset) of each grey-level detector."""
    levels = [(c, (2.0, 1.0, 1.0)[c] * offset) for c in range(3) for offset in LEVEL_OFFSETS]
    return levels + [(0, offset) for offset in FINEST_LEVELS] * (octave == 0)


def _gabors() -> Tensor:
    """Even and odd waves of zero mean and unit norm by angle: [2 ANGLES,SIDE,SIDE]."""
    grid = torch.arange(SIDE) - SIDE // 2
    window = torch.exp(-(grid[:, None] ** 2 + grid**2) / (2 * WINDOW**2))
    filters = []
    for k in range(ANGLES):
        angle = math.pi * k / ANGLES
        phase = 2 * math.pi * CYCLES * (grid[:, None] * math.sin(angle) + grid * math.cos(angle))
        even = window * torch.cos(phase)
        filters += [even - window * even.sum() / window.sum(), window * torch.sin(phase)]
    return torch.stack([g / g.norm() for g in filters])
