"""The learned model in the field's frame: Zhao & Simoncelli's statistics, drawn from in their two ways.

`lib.match` and `lib.diffuse` take a model that is loaded; here it is a setting, a checkpoint's name or path. Beside it
stand as many statistics that were learned otherwise (lib/statistics/principal.py), matched in the same way.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from lib.samplers.diffuse import diffuse_steps
from lib.samplers.match import STEPS, Measure, match_steps
from lib.samplers.step import Step, checked_count
from lib.statistics import principal
from lib.training.checkpoint import load


def matching_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    checkpoint: str = "default",
    iterations: int = STEPS,
) -> Iterator[Step]:
    """min |f(x) - f(x0)|^2: see `lib.samplers.match`."""
    checked_count("iterations", iterations)
    yield from match_steps(load(checkpoint), x0, n, size, seed, tileable, iterations)


def principal_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    iterations: int = STEPS,
) -> Iterator[Step]:
    """min |f(x) - f(x0)|^2 as above, f the 512 principal directions of Gram matrices."""
    checked_count("iterations", iterations)
    f = principal.load()
    yield from match_steps(Measure(f, torch.eye(f.dim)), x0, n, size, seed, tileable, iterations)


def diffusion_steps(
    x0: Tensor,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    tileable: bool = False,
    checkpoint: str = "default",
    levels: int | None = None,
) -> Iterator[Step]:
    """exp[-N lambda(x0, sigma).f(y)] / Z as sigma falls through `levels` noise levels: see `lib.samplers.diffuse`."""
    if levels is not None:
        checked_count("levels", levels, 2)
    yield from diffuse_steps(load(checkpoint), x0, n, size, seed, levels, tileable)
