"""The best lambda for one texture: conjugate gradients against dense least squares."""

import pytest
import torch

import lib
from lib.energy import predicted_noise
from lib.evaluation.amortisation import inside, loss_of, solve_multipliers
from lib.model import Model
from lib.statistics.quadratic import Quadratic

SIGMA = 0.2


def draw(count: int, size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = lib.exemplar("pebble")
    crops = torch.stack([x[:, 40 * i : 40 * i + size, 30 * i : 30 * i + size] for i in range(count)])
    eps = torch.randn(crops.shape, generator=torch.Generator().manual_seed(seed))
    return crops + SIGMA * eps, eps


def test_it_finds_the_least_squares_solution() -> None:
    f, (y, eps) = Quadratic(), draw(3, 32, 0)
    columns = [inside(predicted_noise(f, unit, y)).flatten() for unit in torch.eye(f.dim)]
    J, target = torch.stack(columns, 1).double(), inside(eps).flatten().double()
    best = torch.linalg.lstsq(J, target[:, None], driver="gelsd").solution
    least = (J @ best - target[:, None]).square().mean().item()
    iterates = list(solve_multipliers(f, torch.zeros(f.dim), y, eps, 100))
    losses = [i.loss for i in iterates]
    assert losses == sorted(losses, reverse=True)
    assert least < losses[-1] < least + 0.01 * (losses[0] - least)
    assert losses[-1] == pytest.approx(loss_of(f, iterates[-1].lam, y, eps), rel=1e-3)


def test_it_starts_from_the_lambda_given_and_improves_on_it_for_new_noise() -> None:
    torch.manual_seed(0)
    model = Model().eval().requires_grad_(False)
    (y, eps), (fresh, fresh_eps) = draw(3, 48, 0), draw(3, 48, 1)
    lam = 0.8 * model.multipliers(lib.exemplar("pebble")[None, :, :128, :128], SIGMA)[0]
    iterates = list(solve_multipliers(model.statistics, lam, y, eps, 6))
    assert torch.equal(iterates[0].lam, lam)
    assert len(iterates) == 7
    before, after = (loss_of(model.statistics, i.lam, fresh, fresh_eps) for i in (iterates[0], iterates[-1]))
    assert after < before
