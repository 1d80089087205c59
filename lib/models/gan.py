"""The spatial GAN (Jetchev, Bergmann & Vollgraf 2016), and with waves the periodic one (Bergmann et al. 2017).

A generator in place of a search: all the work is in learning one exemplar (lib/training/gan.py), and each texture after
that, of any size, is one pass through a network (lib/samplers/generator.py). Nobody chooses statistics, and nobody can
ask which hold: what is matched is whatever a discriminator found to look at, and may be less than the variety of the
exemplar (lib/evaluation/diversity.py). The default is a few minutes of learning.
"""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from lib.samplers.generator import generated, load
from lib.samplers.step import Step, checked_common, checked_count
from lib.training.gan import ITERATIONS, train

LOOKS = 20  # records of a run that have a picture of their own


def gan_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    iterations: int = ITERATIONS,
    waves: int = 0,
    generator: str | Path | None = None,
) -> Iterator[Step]:
    """n textures [n,3,H,W] by a generator that learns x0 ([3,H,W] in [0,1]); one record an iteration.

    Args:
        size: (height, width), one number for both, or None for x0's own.
        seed: of the learning and of the textures: sample i depends on (seed, i) alone.
        tileable: opposite edges meet.
        iterations: steps of the discriminator and the generator.
        waves: sine waves given to the generator, for regular textures.
        generator: None to learn; else "pebble", which comes with the library, or a file of lib/training/gan.py: it has
            its own waves, and makes its own texture in one step; nothing is learned, and x0 gives the size alone.

    `loss` is what the discriminator can tell of real and made: 1 if all, 0 if it guesses. Pictures of the records are
    renewed every so often, as each costs a pass.

    Raises TextureError for an x0 that is no image in [0,1] of at least 32x32, a number out of range, or a generator
    that there is not.
    """
    x0, (height, width) = checked_common(x0, n, size, seed)
    checked_count("iterations", iterations), checked_count("waves", waves, 0)
    if generator is not None:
        yield Step(generated(load(generator), n, height, width, seed, tileable), 0.0, 1, 1)
        return
    every = max(1, iterations // LOOKS)
    for duel in train(x0, iterations, waves, seed):
        if duel.step == 1 or duel.step % every == 0 or duel.step == iterations:
            image = generated(duel.generator, n, height, width, seed, tileable)
        yield Step(image, duel.loss, duel.step, iterations)
