"""Tones: how often each grey and each colour occurs at every octave, measured against the whole picture.

With u the opponent colours of the image halved s times, each less its mean over the picture and at variance one:

    log(1 + (u_c - o)^2 / c^2)          one colour, around OFFSETS o
    log(1 + (u_1^2 + u_2^2) / c^2)      both chromas together, of WIDTHS c

They are what a histogram is to Heeger & Bergen (1995), smooth, few, and of pictures instead of filtered ones. Stones of
which few are red have a narrow peak of grey and long tails. How strong the colours of an octave are does not tell them
from stones that all have a tint, and a wave does not respond to a tint that is even: without tones, samples have clouds
of faint colours.
"""

import torch
from torch import Tensor, nn

from lib.statistics.periodic import halved
from lib.statistics.quadratic import opponent
from lib.statistics.unet import normalised

OFFSETS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # standard deviations
OFFSET_WIDTH = 0.25
WIDTHS = (0.1, 0.2, 0.4, 0.8)
NUMBER = 3 * len(OFFSETS) + len(WIDTHS)
GAIN = 3.0  # so that what `normalised` takes for no contrast is a standard deviation of 1/300


class Tones(nn.Module):
    """y [B,3,H,W] in [0,1] -> squared differences from each tone, [B,NUMBER,H/2^s,W/2^s] by octave s."""

    def __init__(self, octaves: int) -> None:
        super().__init__()
        self.octaves = octaves
        self.offsets = nn.ParameterList(torch.tensor(OFFSETS).repeat(3, 1) for _ in range(octaves))

    def forward(self, y: Tensor, window: Tensor | None = None) -> list[Tensor]:
        """Means and variances are those under a window [H,W] of any resolution, not negative, if there is one."""
        u = GAIN * torch.einsum("ci,bihw->bchw", opponent().to(y), y - 0.5)
        found = []
        for s, offsets in enumerate(self.offsets):
            if s:
                u = halved(u)
            unit = normalised(u.flatten(0, 1)[:, None], window).reshape(u.shape)  # each colour is a group of its own
            apart = (unit[:, :, None] - offsets[:, :, None, None]).square().flatten(1, 2)
            chroma = unit[:, 1:].square().sum(1, keepdim=True)
            found.append(torch.cat([apart, chroma.expand(-1, len(WIDTHS), -1, -1)], 1))
        return found

    @staticmethod
    def log_c() -> Tensor:
        """ln c of the potentials log(1 + d / c^2) of an octave at first: [NUMBER]."""
        return torch.tensor([OFFSET_WIDTH] * 3 * len(OFFSETS) + [*WIDTHS]).log()
