"""Which statistics there are, how many of each, and the widths and depths of the U-Net that they are read from.

f_k(y) = mean over pixels of phi_k(y), phi_k a read-out of the U-Net's decoder. Seven configurations:

    paper      512 linear read-outs of the last layer, nothing built in (Zhao & Simoncelli);
    waves      133 fixed autocovariances (see quadratic.py) and 379 potentials log(|v|^2 + c^2) at every scale of the
               decoder, with c learned and v = u + r W h: u the response of a learned wave (see waves.py), and what
               the decoder's features h add to it, in units of the local contrast r;
    hybrid     133 fixed autocovariances, 284 potentials of waves, and 95 potentials log(1 + v^2 / c^2) of a U-Net of
               its own (see unet.py), with c learned and v = w.h, w of length one, read at three scales;
    wide       the same, but all that the U-Net has to spend is spent at half the image's resolution, where all of its
               potentials are read: it is no U any more, and sees far by convolutions of pixels that lie apart;
    deep       `wide` and a block more, of pixels that lie further apart, read before each block too: 190 potentials,
               95 of them in the places of the waves of the fourth octave;
    hues       `deep` with 24 potentials of hues (see hues.py) in the places of the waves' levels of chroma;
    pairs      as `hybrid`, but for 216 potentials of pairs of waves alone and 163 of the U-Net, c = 1: the beginning.

Logarithmic potentials are those of filters whose responses have heavy tails, as in FRAME (Zhu, Wu & Mumford 1998).
Even before training, waves explain some of what a Gaussian leaves, which the read-outs of an untrained U-Net do not.
In `waves` training starts with the waves, and the network adds what they cannot see; in `hybrid` and `pairs` with
the network, which would otherwise find little left to learn from, and the waves add what it cannot see.
"""

from dataclasses import dataclass, replace

from lib.statistics.hues import NUMBER as HUES_AN_OCTAVE
from lib.statistics.quadratic import Quadratic
from lib.statistics.waves import Waves


@dataclass(frozen=True)
class Architecture:
    """Widths and depths of the U-Net by scale, finest first."""

    channels: tuple[int, ...] = (16, 32, 48, 64, 96)
    blocks: tuple[int, ...] = (1, 1, 1, 1, 2)
    dilations: tuple[int, ...] = ()  # of a scale's first blocks, where it is apart; of all others 1
    waves: bool = True  # potentials of waves and the built-in autocovariances; False: `linear` read-outs alone
    linear: int = 512
    everywhere: bool = False  # linear read-outs at every scale of the decoder, in equal parts; False: at the finest
    apart: bool = False  # waves and U-Net have potentials of their own; False: the U-Net adds to the waves
    octaves: int = 4  # of the waves, where they are apart
    singles: bool = False  # of the waves, where they are apart: ridges and levels beside the pairs
    tints: bool = True  # of these levels, those of chroma; False: of luminance alone
    potentials: int = 163  # of the U-Net, where it is apart; in equal parts at the scales 1, 2, ...
    early: int = 0  # of these, how many are read before the last block of the finest scale: before each, in equal parts
    thresholds: bool = False  # of these potentials, learned; False: c = 1
    hues: int = 0  # octaves at which hues are read, where the U-Net is apart

    @property
    def looks(self) -> int:
        """How many blocks of the U-Net it is read before."""
        return self.blocks[0] if self.early else 0

    @property
    def of_waves(self) -> int:
        """How many of `readouts` are of waves: the first."""
        return self.octaves if self.apart else len(self.channels) * self.waves

    @property
    def before_hues(self) -> int:
        """How many of `readouts` there are before those of hues."""
        return len(self.scales) - self.hues

    @property
    def readouts(self) -> tuple[int, ...]:
        """How many of the network's statistics are read together, in f's order: at the scales of `scales`."""
        depth = len(self.channels)
        if self.apart:
            early, late = parts(self.early, self.looks), parts(self.potentials - self.early, depth)
            waves = Waves.readouts(self.octaves, self.singles, self.tints)
            return (*waves, *early, *late, *(HUES_AN_OCTAVE,) * self.hues)
        if self.waves:
            return Waves.readouts(depth)
        if self.everywhere:
            return tuple((self.linear + s) // depth for s in range(depth))
        return (self.linear,)

    @property
    def scales(self) -> tuple[int, ...]:
        """At which scale each of `readouts` is read, 0 being the image's."""
        if self.apart:
            network = (*(1,) * self.looks, *range(1, 1 + len(self.channels)))
            return (*range(self.octaves), *network, *range(self.hues))
        return tuple(range(len(self.readouts)))

    @property
    def sources(self) -> tuple[str, ...]:
        """What each of `readouts` is read from: "waves at 1/2", "U-Net at 1/2 before block 1"."""
        names = [f"{'waves' if k < self.of_waves else 'U-Net'} at 1/{2**scale}" for k, scale in enumerate(self.scales)]
        for block in range(self.looks):
            names[self.of_waves + block] += f" before block {block + 1}"
        return (*names[: self.before_hues], *(f"hues at 1/{2**s}" for s in range(self.hues)))

    @property
    def dim(self) -> int:
        """Number of statistics."""
        return sum(self.readouts) + self.known

    @property
    def known(self) -> int:
        """Number of statistics whose multipliers have a closed form: the built-in ones, which come first."""
        return Quadratic.dim if self.waves else 0


WAVES = Architecture()
HYBRID = Architecture((48, 96, 160), (2, 2, 2), apart=True, singles=True, potentials=95, thresholds=True)
WIDE = replace(HYBRID, channels=(96,), blocks=(3,), dilations=(1, 2, 4))
DEEP = replace(WIDE, blocks=(4,), dilations=(1, 2, 4, 8), octaves=3, potentials=190, early=95)
HUES = replace(DEEP, tints=False, hues=4)
PAIRS = replace(HYBRID, singles=False, potentials=163, thresholds=False)
PAPER = Architecture(waves=False)
# For a GPU: some 10 GFLOP a forward pass at 128x128.
LARGE = replace(HUES, channels=(128,))
LARGE_PAPER = replace(PAPER, channels=(80, 128, 160, 192, 256), blocks=(1, 1, 2, 2, 2))


def parts(count: int, of: int) -> tuple[int, ...]:
    """As many as `count` in so many equal parts, or nearly, the larger ones first."""
    return tuple(count // of + (k < count % of) for k in range(of))
