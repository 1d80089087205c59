"""The ordinary denoiser: the Gaussian's before training, and a teacher that is followed."""

import numpy as np
import pytest
import torch

from lib.model import Model
from lib.statistics.quadratic import Quadratic
from lib.training.batches import Crops
from lib.training.loop import Recipe
from lib.training.loss import FRAME, LEAST_LOSS, draw_sigma, loss
from lib.training.ordinary import OrdinaryDenoiser, distilling, train


def noisy(count: int = 3, size: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """(x, y, sigma, eps)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(count, 3, size, size, generator=generator)
    sigma, eps = torch.tensor([0.05, 0.2, 1.0])[:count], torch.randn(x.shape, generator=generator)
    return x, x + sigma[:, None, None, None] * eps, sigma, eps


def test_before_training_it_is_the_gaussian() -> None:
    x, y, sigma, _ = noisy()
    gaussian = Quadratic()
    known = gaussian.predicted_noise(gaussian.multipliers(x, sigma), y)
    torch.testing.assert_close(OrdinaryDenoiser()(x, y, sigma), known)


def test_training_begins_with_the_gaussians_loss_and_ends_with_the_average_of_weights() -> None:
    rng = np.random.default_rng(0)
    crops = Crops({"a": [rng.integers(0, 256, (40, 40, 3), dtype=np.uint8) for _ in range(3)]})
    net, taken = OrdinaryDenoiser(), iter((0.0, 0.5, 1.0))
    recipe = Recipe("trial", steps=2, grow=2, batch=2, size=32)
    last: dict[str, torch.Tensor] = {}
    losses = []
    for _, value in train(net, recipe, crops, lambda: next(taken)):
        losses.append(value)
        last = {key: weight.clone() for key, weight in net.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    x, sigma = crops.batch(0, 2, 32), draw_sigma(2, generator)
    eps, gaussian = torch.randn(x.shape, generator=generator), Quadratic()
    lam = gaussian.multipliers(x, sigma)
    error = (gaussian.predicted_noise(lam, x + sigma[:, None, None, None] * eps) - eps)[..., FRAME:-FRAME, FRAME:-FRAME]
    expected = gaussian.expected_loss(lam, sigma, 32, 32).clamp_min(LEAST_LOSS)
    assert losses[0] == pytest.approx((error.square().mean((1, 2, 3)) / expected).mean().item(), rel=1e-4)
    assert len(losses) == 2
    assert any(not torch.equal(weight, net.state_dict()[key]) for key, weight in last.items())


def test_denoise_has_the_shape_of_the_image_and_takes_noise_away() -> None:
    x = torch.zeros(2, 3, 64, 64) + 0.5
    y = x + 0.2 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    found = OrdinaryDenoiser().denoise(y, x, 0.2)
    assert found.shape == x.shape
    assert (found - x).square().mean() < 0.01 * (y - x).square().mean()


def test_a_teacher_that_knows_the_noise_is_the_noise() -> None:
    x, _, sigma, eps = noisy(2)
    model, teacher = Model(), OrdinaryDenoiser()
    teacher.forward = lambda *_: eps  # type: ignore[method-assign]
    torch.testing.assert_close(distilling(teacher)(model, x, sigma, eps), loss(model, x, sigma, eps))
