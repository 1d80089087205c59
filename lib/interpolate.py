"""Between two textures: straight lines in mu or in lambda (Eq. 5).

    mu_i = (N - i)/N f(x_a) + i/N f(x_b), i = 0..N,   and lambda_i(sigma) likewise.

Matching draws from mu_i, diffusion from lambda_i. Every image of a line starts from the same noise, so that what
changes along the line is the texture.

mu_a and mu_b were measured on textures, and the mu between them on none: how nearly it can be met, no one knows, in any
direction. The covariance that matching measures differences with (`Model.whitening`) therefore has a variance
of t (1 - t) |mu_a - mu_b|^2 / d, in spreads, added in all directions, which is that of a draw of one of the two.
Without it the search seeks agreement where no texture has it, and finds it in spots of false colours.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from lib.errors import TextureError
from lib.images import check_image
from lib.model import Model
from lib.samplers.diffuse import LEVELS, Schedule, diffuse_multipliers, settle
from lib.samplers.match import STEPS as MATCH_STEPS
from lib.samplers.match import (
    HasStatistics,
    Measure,
    Targets,
    blend,
    blend_gaussians,
    canvas,
    gaussian_of,
    match_targets,
)
from lib.samplers.step import Step, checked_count, checked_size, cut, white_noise

SPACES = ("mu", "lambda")


class Line:
    """The straight line between two textures in one space, with what does not depend on the place on it."""

    def __init__(self, model: Model, xa: Tensor, xb: Tensor, space: str = "mu", iterations: int | None = None) -> None:
        """xa, xb [3,H,W] in [0,1]; `iterations` of each image's search or sampling, None for the usual number."""
        xa, xb = check_image(xa, "xa"), check_image(xb, "xb")
        if space not in SPACES:
            raise TextureError(f"no space {space!r}; known are {', '.join(SPACES)}")
        default, least = {"mu": (MATCH_STEPS, 1), "lambda": (LEVELS, 2)}[space]
        self.model, self.space, self.size = model, space, tuple(xa.shape[-2:])
        self.iterations = checked_count("iterations", default if iterations is None else iterations, least)
        if space == "mu":
            self.targets = Targets.of(model, xa), Targets.of(model, xb)
        else:
            self.ends = xa, xb
            self.gaussians = gaussian_of(xa), gaussian_of(xb)
        self.schedules: list[Schedule] = []

    def prepare(self) -> Iterator[Step]:
        """Find lambda at both ends, one record a step; `at` does so itself, unheard. Nothing to do in mu, or twice."""
        if self.space == "mu":
            return
        for x in self.ends[len(self.schedules) :]:
            self.schedules.append((yield from settle(self.model, x, self.iterations)))

    def at(self, t: float, seed: int = 0, size: int | tuple[int, int] | None = None) -> Iterator[Step]:
        """The image at t, 0 at xa and 1 at xb, one record a step: images [1,3,H,W], xa's size by default."""
        if not 0 <= t <= 1:
            raise TextureError(f"t is {t}; it runs from 0 (xa) to 1 (xb)")
        checked_count("seed", seed, 0)
        height, width = checked_size(size, torch.empty(1, 3, *self.size))
        h, w = canvas(height, width, False)
        for _ in self.prepare():
            pass
        yield from cut(self._mu(t, seed, h, w) if self.space == "mu" else self._lambda(t, seed, h, w), height, width)

    def _mu(self, t: float, seed: int, height: int, width: int) -> Iterator[Step]:
        targets = blend(*self.targets, t)
        measure = loosened(self.model, *self.targets, t)
        return match_targets(measure, targets, white_noise(1, height, width, seed), self.iterations)

    def _lambda(self, t: float, seed: int, height: int, width: int) -> Iterator[Step]:
        a, b = self.schedules
        return diffuse_multipliers(
            self.model,
            Schedule(torch.lerp(a.lam, b.lam, t)),
            blend_gaussians(*self.gaussians, t),
            lambda k: white_noise(1, height, width, seed, k),
            self.iterations,
        )


def loosened(model: HasStatistics, a: Targets, b: Targets, t: float) -> Measure:
    """f and the whitening for the mu between a and b: (C + delta I)^(-1/2), C being the model's covariance of f.

    delta is t (1 - t) times the mean square of what mu_a and mu_b differ by, in spreads; residuals of covariance C keep
    their length.
    """
    apart = ((b.mu - a.mu) / torch.lerp(a.spread, b.spread, t)).square().mean().double()
    values, vectors = torch.linalg.eigh(model.whitening.double())
    variances = values**-2
    values = (variances + t * (1 - t) * apart).rsqrt()
    values = values / (values.square() * variances).mean().sqrt()
    return Measure(model.statistics, ((vectors * values) @ vectors.T).float())


def between_steps(
    model: Model,
    xa: Tensor,
    xb: Tensor,
    t: float,
    space: str = "mu",
    seed: int = 0,
    size: int | tuple[int, int] | None = None,
    iterations: int | None = None,
) -> Iterator[Step]:
    """One point of the line, t = 0 at xa and 1 at xb, one record a step: images [1,3,H,W], xa's size by default."""
    yield from Line(model, xa, xb, space, iterations).at(t, seed, size)


def interpolate_steps(
    model: Model,
    xa: Tensor,
    xb: Tensor,
    steps: int = 6,
    space: str = "mu",
    seed: int = 0,
    iterations: int | None = None,
) -> Iterator[Step]:
    """`interpolate`, one record a finished image: `image` [1,3,H,W], `step` of `steps` + 1."""
    checked_count("steps", steps)
    line = Line(model, xa, xb, space, iterations)
    for i in range(steps + 1):
        *_, record = line.at(i / steps, seed)
        yield Step(record.image, record.loss, i + 1, steps + 1)


def interpolate(
    model: Model,
    xa: Tensor,
    xb: Tensor,
    steps: int = 6,
    space: str = "mu",
    seed: int = 0,
    iterations: int | None = None,
) -> Tensor:
    """steps + 1 textures from xa's to xb's [steps+1,3,H,W], of xa's size.

    `space` is "mu" (drawn by matching) or "lambda" (by diffusion); `iterations` of each image's search or sampling,
    None for the usual number.

    xa, xb [3,H,W] in [0,1]. Raises TextureError for images that are none, another space, or a number out of range.
    """
    return torch.cat([record.image for record in interpolate_steps(model, xa, xb, steps, space, seed, iterations)])
