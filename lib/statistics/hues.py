"""Hues: how often each colour occurs at every octave, measured against the whole picture.

With u the two chromas of the image halved s times, each less its mean over the picture and at variance one:

    log(1 + |u - p|^2 / c^2)        around points p of the plane: its middle, and as far apart as can be, five round it

They are what a histogram is to Heeger & Bergen (1995), smooth, few, of pictures instead of filtered ones, and of both
chromas together. Of stones of which few are red or blue and none is purple, most lie near the middle, and two of the
points are far from all. How strong the colours of an octave are does not tell them from stones that all have a tint, a
wave does not respond to a tint that is even, and one level of chroma, the same for all pictures, lies far outside what
a grey one has: without hues, samples have clouds of faint colours.
"""

import math

import torch
from torch import Tensor, nn

from lib.statistics.periodic import halved
from lib.statistics.quadratic import opponent
from lib.statistics.unet import normalised

ROUND, DISTANCE = 5, 2.0  # points round the middle, and how far from it, in standard deviations
WIDTHS = (0.3, *(0.8,) * ROUND)
NUMBER = len(WIDTHS)
GAIN = 3.0  # so that what `normalised` takes for no contrast is a standard deviation of 1/300


class Hues(nn.Module):
    """y [B,3,H,W] in [0,1] -> squared distances from each point, [B,NUMBER,H/2^s,W/2^s] by octave s."""

    def __init__(self, octaves: int) -> None:
        super().__init__()
        self.points = nn.ParameterList(_points() for _ in range(octaves))

    def forward(self, y: Tensor, window: Tensor | None = None) -> list[Tensor]:
        """Means and variances are those under a window [H,W] of any resolution, not negative, if there is one."""
        u, squares = GAIN * torch.einsum("ci,bihw->bchw", opponent().to(y)[1:], y - 0.5), list[Tensor]()
        for s, p in enumerate(self.points):
            if s:
                u = halved(u)
            chromas = normalised(u.flatten(0, 1)[:, None], window).reshape(u.shape)  # each chroma is a group of its own
            squares.append((chromas[:, None] - p[:, :, None, None]).square().sum(2))
        return squares

    @staticmethod
    def log_c() -> Tensor:
        """ln c of the potentials log(1 + d / c^2) of an octave at first: [NUMBER]."""
        return torch.tensor(WIDTHS).log()


def _points() -> Tensor:
    """[NUMBER,2]."""
    angles = [2 * math.pi * k / ROUND for k in range(ROUND)]
    return torch.tensor([(0.0, 0.0), *((DISTANCE * math.cos(a), DISTANCE * math.sin(a)) for a in angles)])
