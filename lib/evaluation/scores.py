"""Scores of methods against one reference, and which of them is best beyond doubt."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from lib.errors import TextureError
from lib.evaluation.frechet import RESAMPLES, Interval, bootstrap
from lib.evaluation.kernel import kernel_distance

FLOOR = "floor"


@dataclass(frozen=True)
class Score:
    """One method on one exemplar: both distances of n samples from n crops, and whether it is the best."""

    n: int
    frechet: Interval
    kernel: float
    kernel_error: float
    best: bool = False

    @property
    def kernel_interval(self) -> Interval:
        """95% by the standard error."""
        return Interval(self.kernel, self.kernel - 1.96 * self.kernel_error, self.kernel + 1.96 * self.kernel_error)


def scores(
    samples: Mapping[str, Tensor], crops: Tensor, reference: Tensor, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Score]:
    """For each method, and for "floor", which is `crops` in the place of samples: all features, [n,dim].

    The best is the one whose interval of the Fréchet distance lies wholly below that of every other method; often
    there is none. The floor is no method.

    Raises:
        TextureError: sets of different n, since the distance depends on it.
    """
    sets = {**samples, FLOOR: crops}
    for name, x in sets.items():
        if len(x) != len(reference):
            raise TextureError(f"{name} has {len(x)} samples and the reference {len(reference)}; make them equal")
    found = {name: bootstrap(x, reference, resamples, seed) for name, x in sets.items()}
    best = {
        name
        for name in samples
        if len(samples) > 1 and all(found[name].below(found[other]) for other in samples if other != name)
    }
    return {
        name: Score(len(x), found[name], *kernel_distance(x, reference), best=name in best) for name, x in sets.items()
    }
