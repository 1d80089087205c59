"""Noise to image, watched: the forward and the backward process of diffusion sampling, level by level.

Forward, at noise level sigma, is the exemplar under noise, y = x0 + sigma eps with one eps for all levels. Backward is
the state of the sampler at that level (`lib.samplers.diffuse`), which knows lambda(x0, sigma) and never x0, and its
estimate x_hat = y - sigma eps_hat, Miyasawa's. A maximum-entropy density keeps E f(y) = mu(sigma) at each level: the
two have nothing in common but their statistics, and these should agree all the way.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.images import check_image
from lib.model import Model
from lib.samplers.diffuse import ROUNDS, SIGMA_MAX, STEPS, estimated, schedule, walk
from lib.samplers.lbfgs import Pair
from lib.samplers.match import Targets, colouring, mismatch
from lib.samplers.step import APART, checked_count, white_noise
from lib.statistics.quadratic import periodic_component


@dataclass(frozen=True)
class State:
    """Both processes at one noise level.

    `forward`, `backward` [1,3,H,W] have noise sigma and are not clipped, `estimate` [1,3,H,W] is, to [0,1]; `f_forward`
    and `f_backward` [n] are the network's statistics of the first two; `left` is the mismatch of the estimate's
    statistics with the exemplar's (`lib.samplers.match`).
    """

    sigma: float
    forward: Tensor
    backward: Tensor
    estimate: Tensor
    f_forward: Tensor
    f_backward: Tensor
    left: float


def processes(model: Model, x0: Tensor, steps: int = STEPS, seed: int = 0) -> Iterator[State]:
    """States from sigma_max down to no noise, `steps` + 1 of them: x0 [3,H,W] in [0,1], whose size is the sample's.

    The last has sigma = 0: the exemplar's periodic component, and the sample. Raises TextureError for an x0 that is no
    image in [0,1] of at least 32x32, or a number out of range.
    """
    x0 = check_image(x0, "x0")
    checked_count("steps", steps, 2), checked_count("seed", seed, 0)
    height, width = x0.shape[-2:]
    known, targets, x = schedule(model, x0, steps, rounds=ROUNDS), Targets.of(model, x0), periodic_component(x0)
    eps = white_noise(1, height, width, seed, APART)
    states, told = list[Tensor](), list[Pair]()

    def look(k: int, sigma: Tensor, y: Tensor) -> Tensor:
        states.append(y.detach())
        return estimated(model, known, k, sigma, y, told=told)[0]

    def state(sigma: float, y: Tensor, x_hat: Tensor) -> State:
        forward = x + sigma * eps
        with torch.no_grad():
            f, left = model.statistics.deep(torch.cat([forward, y])), mismatch(model, targets, x_hat)
        return State(sigma, forward, y, x_hat, f[0], f[1], left.item())

    start = colouring(targets.gaussian, height, width, SIGMA_MAX)(white_noise(1, height, width, seed))
    record = None
    for record in walk(look, start, lambda k: white_noise(1, height, width, seed, k), steps, ahead=False):
        yield state(record.loss, states.pop(), record.image)
    assert record is not None
    yield state(0.0, record.image, record.image)


def course(states: list[Tensor], noise: Tensor, image: Tensor, least: float = 0.1) -> Tensor:
    """Statistics [n] each on the way from noise (0) to image (1), at each state: -> [len(states), e].

    Those e that have a way to go: at least `least` of what the median one has.
    """
    way = image - noise
    moves = way.abs() >= least * way.abs().median()
    return (torch.stack(states)[:, moves] - noise[moves]) / way[moves]
