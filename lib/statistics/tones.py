"""Tones: how often each colour occurs at every octave, measured against the whole picture.

With u the two chromas of the image halved s times, each less its mean over the picture and at variance one:

    log(1 + (u_c - o)^2 / c^2)        around OFFSETS o

They are what a histogram is to Heeger & Bergen (1995), smooth, few, and of pictures instead of filtered ones. Of stones
of which few are red, red has a narrow peak and a long tail. How strong the colours of an octave are does not tell them
from stones that all have a tint, a wave does not respond to a tint that is even, and one level of chroma, the same for
all pictures, lies far outside what a grey one has: without tones, samples have clouds of faint colours.
"""

import torch
from torch import Tensor, nn

from lib.statistics.hues import measured_chromas

OFFSETS = (-0.6, 0.0, 0.6)  # standard deviations
WIDTH = 0.25
NUMBER = 2 * len(OFFSETS)


class Tones(nn.Module):
    """y [B,3,H,W] in [0,1] -> squared differences from each tone, [B,NUMBER,H/2^s,W/2^s] by octave s."""

    def __init__(self, octaves: int) -> None:
        super().__init__()
        self.octaves = octaves
        self.offsets = nn.ParameterList(torch.tensor(OFFSETS).repeat(2, 1) for _ in range(octaves))

    def forward(self, y: Tensor, window: Tensor | None = None) -> list[Tensor]:
        """Means and variances are those under a window [H,W] of any resolution, not negative, if there is one."""
        chromas = measured_chromas(y, self.octaves, window)
        return [
            (u[:, :, None] - o[:, :, None, None]).square().flatten(1, 2)
            for u, o in zip(chromas, self.offsets, strict=True)
        ]

    @staticmethod
    def log_c() -> Tensor:
        """ln c of the potentials log(1 + d / c^2) of an octave at first: [NUMBER]."""
        return torch.full((NUMBER,), WIDTH).log()
