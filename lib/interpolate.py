"""Between two textures: straight lines in mu or in lambda (Eq. 5), and a bent one in mu.

    mu_i = (N - i)/N f(x_a) + i/N f(x_b), i = 0..N,   and lambda_i(sigma) likewise.

Matching draws from mu_i, diffusion from lambda_i. Every image of a line starts from the same noise, so that what
changes along the line is the texture.

mu_a and mu_b were measured on textures, and the mu between them on none: how nearly it can be met, no one knows, in any
direction. The covariance that matching measures differences with (`Model.whitening`) therefore has a variance
of t (1 - t) |mu_a - mu_b|^2 / d, in spreads, added in all directions, which is that of a draw of one of the two.
Without it the search seeks agreement where no texture has it, and finds it in spots of false colours.

Which line is straight is a matter of coordinates, and averages are coordinates in which a picture of two parts, one of
each texture, lies between. "transport" is the line in others, in which it does not. With G_t the Gaussian texture that
optimal transport carries from a's to b's (see transport.py),

    mu(t) = E f(G_t) + (1 - t) (mu_a - E f(G_0)) + t (mu_b - E f(G_1))

so that what is mixed are means and contrasts, and what a texture has beyond its Gaussian goes straight. Straight lines
of second moments and of potentials ask for what no texture has: between two greys for more variance than there is at
either, and between two contrasts for the mean of their squares and the mean of their logarithms, which only a picture
has whose contrast is strong in some places and weak in others.
"""

from collections.abc import Iterator
from dataclasses import replace

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
from lib.statistics.gaussian import GaussianTexture
from lib.statistics.transport import transported

SPACES = ("transport", "mu", "lambda")
DRAWS = 4  # textures that E f is a mean over


class Line:
    """The line between two textures in one of SPACES, with what does not depend on the place on it."""

    def __init__(
        self, model: Model, xa: Tensor, xb: Tensor, space: str = SPACES[0], iterations: int | None = None
    ) -> None:
        """xa, xb [3,H,W] in [0,1]; `iterations` of each image's search or sampling, None for the usual number."""
        xa, xb = check_image(xa, "xa"), check_image(xb, "xb")
        if space not in SPACES:
            raise TextureError(f"no space {space!r}; known are {', '.join(SPACES)}")
        default, least = (LEVELS, 2) if space == "lambda" else (MATCH_STEPS, 1)
        self.model, self.space, self.size = model, space, tuple(xa.shape[-2:])
        self.iterations = checked_count("iterations", default if iterations is None else iterations, least)
        if space == "lambda":
            self.ends = xa, xb
            self.gaussians = gaussian_of(xa), gaussian_of(xb)
        else:
            self.targets = Targets.of(model, xa), Targets.of(model, xb)
        self.schedules: list[Schedule] = []

    def prepare(self) -> Iterator[Step]:
        """Find lambda at both ends, one record a step; `at` does so itself, unheard. Nothing to do in mu, or twice."""
        if self.space != "lambda":
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
        walk = self._lambda if self.space == "lambda" else self._mu
        yield from cut(walk(t, seed, h, w), height, width)

    def _mu(self, t: float, seed: int, height: int, width: int) -> Iterator[Step]:
        targets = targets_between(self.model, *self.targets, t, self.space)
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


def targets_between(model: Model, a: Targets, b: Targets, t: float, space: str) -> Targets:
    """What an image at t should have: on the line that transport bends, else on the straight one of Eq. 5."""
    return carried(model, a, b, t) if space == "transport" else blend(a, b, t)


def carried(model: Model, a: Targets, b: Targets, t: float) -> Targets:
    """As `blend`, but on the line that transport bends: off the straight one by as much as Gaussian textures are."""
    straight, *ways = blend(a, b, t), *(transported(a.gaussian, b.gaussian, place) for place in (t, 0, 1))
    way, first, last = (of_gaussian(model, texture) for texture in ways)
    return replace(straight, mu=straight.mu + way - torch.lerp(first, last, t), gaussian=ways[0])


@torch.no_grad()
def of_gaussian(model: Model, texture: GaussianTexture) -> Tensor:
    """E f of a Gaussian texture [1,d]: exact where f is built in, else a mean over `DRAWS`, all of one noise."""
    side = texture.covariance.shape[-1] // 16 * 16
    found = model.statistics(texture.sample(side, side, DRAWS)).mean(0, keepdim=True)
    if model.statistics.quadratic is not None:
        found[:, : model.architecture.known] = model.statistics.quadratic.expected(texture).to(found)
    return found


def loosened(model: HasStatistics, a: Targets, b: Targets, t: float) -> Measure:
    """f and the whitening for the mu between a and b: (C + delta I)^(-1/2), C being the model's covariance of f.

    delta is t (1 - t) times the mean square of what mu_a and mu_b differ by, in spreads; residuals of covariance C keep
    their length.
    """
    apart = ((b.mu - a.mu) / torch.lerp(a.spread, b.spread, t)).square().mean().double()
    W = model.whitening.double()
    C = torch.linalg.inv(W @ W)
    values, vectors = torch.linalg.eigh(C)
    W = (vectors * (values + t * (1 - t) * apart).rsqrt()) @ vectors.T
    return Measure(model.statistics, (W / ((W @ C @ W).trace() / len(C)).sqrt()).float())


def between_steps(
    model: Model,
    xa: Tensor,
    xb: Tensor,
    t: float,
    space: str = SPACES[0],
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
    space: str = SPACES[0],
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
    space: str = SPACES[0],
    seed: int = 0,
    iterations: int | None = None,
) -> Tensor:
    """steps + 1 textures from xa's to xb's [steps+1,3,H,W], of xa's size.

    `space` is "transport" (bent, drawn by matching), "mu" (straight, by matching) or "lambda" (straight, by diffusion);
    `iterations` of each image's search or sampling, None for the usual number.

    xa, xb [3,H,W] in [0,1]. Raises TextureError for images that are none, another space, or a number out of range.
    """
    return torch.cat([record.image for record in interpolate_steps(model, xa, xb, steps, space, seed, iterations)])
