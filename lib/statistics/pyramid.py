"""The steerable pyramid (Simoncelli & Freeman 1995): an image as a high-pass, oriented bands over octaves, a low-pass.

The bands are the image under filters that in frequency are products of a raised-cosine ring, an octave wide, and a
cosine power of the angle. The squares of all filters add up to one: the pyramid is a tight frame, whose bands have the
image's energy, and the same filters put it together again. Boundaries are periodic.

plenoptic's `SteerablePyramidFreq` does the work. Two things are settled here, so that every size is served:

- a coefficient is the filtered image at its place, whatever the size: histograms of one texture agree between sizes;
- plenoptic's pyramids of odd sides do not reconstruct. A torus with an odd side is the same torus gone round twice,
  whose side is even; its bands are not subsampled, as their samples would not come round with the image.
"""

import math

from plenoptic.process import SteerablePyramidFreq
from torch import Tensor

from lib.errors import TextureError
from lib.samplers.step import checked_count

MOST = 16  # orientations; plenoptic's highest derivative, and one


def deepest(height: int, width: int) -> int:
    """How many octaves fit: what the last one leaves still has four samples along the short side."""
    return int(math.log2(min(height, width))) - 2


class SteerablePyramid:
    """The pyramid of height x width tori, with `scales` octaves: those asked for, or as many as fit (`deepest`).

    Subsampled, octave k has every 2^k-th sample along each side; otherwise, and where a side is odd, all.

    Raises TextureError for fewer than one scale or orientation, more than 16 orientations, or a side under 8 pixels.
    """

    def __init__(
        self, height: int, width: int, scales: int = 4, orientations: int = 4, subsampled: bool = True
    ) -> None:
        checked_count("scales", scales), checked_count("orientations", orientations)
        if orientations > MOST:
            raise TextureError(f"orientations is {orientations}; give at most {MOST}")
        if min(height, width) < 8:
            raise TextureError(f"a pyramid of {height}x{width} pixels has no octave; give at least 8 on each side")
        self.height, self.width = height, width
        self.scales, self.orientations = min(scales, deepest(height, width)), orientations
        self._turns = (1 + height % 2, 1 + width % 2)
        subsampled = subsampled and self._turns == (1, 1)
        self._pixels = height * width * math.prod(self._turns)
        self._filters = SteerablePyramidFreq(
            (height * self._turns[0], width * self._turns[1]),
            height=self.scales,
            order=orientations - 1,
            downsample=subsampled,
            tight_frame=True,
        )

    def analyse(self, x: Tensor) -> list[Tensor]:
        """x [B,C,H,W] -> high-pass [B,C,1,H,W], octaves, fine first, [B,C,orientations,h,w], low-pass [B,C,1,h,w].

        Differentiable. A level that is not subsampled has h x w = H x W.
        """
        levels = self._filters(x.repeat(1, 1, *self._turns)).values()
        stacks = [level if level.ndim == 5 else level[:, :, None] for level in levels]
        # the transforms are orthonormal on grids of different sizes: undo that
        stacks = [level * (level.shape[-2] * level.shape[-1] / self._pixels) ** 0.5 for level in stacks]
        return [level[..., : self.height, : self.width] for level in stacks]

    def collapse(self, levels: list[Tensor]) -> Tensor:
        """Levels as `analyse` gives them -> [B,C,H,W]: its inverse, and from other levels the image nearest to them."""
        levels = [level.repeat(1, 1, 1, *self._turns) for level in levels]
        levels = [level * (self._pixels / (level.shape[-2] * level.shape[-1])) ** 0.5 for level in levels]
        named = dict(zip(["residual_highpass", *range(self.scales), "residual_lowpass"], levels, strict=True))
        named |= {key: level[:, :, 0] for key, level in named.items() if isinstance(key, str)}
        return self._filters.recon_pyr(named)[..., : self.height, : self.width]
