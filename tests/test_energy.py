"""Energy, noise estimate, denoised image and score: against derivatives by hand, finite differences, and each other."""

import pytest
import torch
from torch import Tensor

import lib
from lib.energy import denoised, energy, predicted_noise, score
from lib.model import Model
from lib.statistics.quadratic import Quadratic, periodic_component

HEIGHT, WIDTH = 32, 48
PIXELS = HEIGHT * WIDTH


def powers(y: Tensor) -> Tensor:
    """[B,3,H,W] -> [B,2]: the means over pixels and channels of y^2 / 2 and of y^4 / 4."""
    return torch.stack([y.square().mean((1, 2, 3)) / 2, y.pow(4).mean((1, 2, 3)) / 4], 1)


@pytest.fixture
def y() -> Tensor:
    return torch.rand(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(1)
    return Model().eval().requires_grad_(False)


def test_the_noise_estimate_is_the_gradient_worked_out_by_hand(y: Tensor) -> None:
    lam = torch.tensor([[0.7, -0.2], [-1.0, 3.0]])
    expected = (lam[:, 0, None, None, None] * y + lam[:, 1, None, None, None] * y**3) / 3
    torch.testing.assert_close(predicted_noise(powers, lam, y), expected)


def test_one_lam_serves_a_batch(y: Tensor) -> None:
    lam = torch.tensor([0.7, -0.2])
    torch.testing.assert_close(energy(powers, lam, y), energy(powers, lam.expand(2, -1), y))


def test_finite_differences_of_the_built_in_statistics_are_exact(y: Tensor) -> None:
    """They are quadratic, so a central difference has no error but rounding, whatever the step."""
    generator = torch.Generator().manual_seed(2)
    f, lam = Quadratic(), torch.randn(2, Quadratic.dim, generator=generator)
    direction = torch.randn(y.shape, generator=generator)
    slope = (energy(f, lam, y + direction) - energy(f, lam, y - direction)) / 2
    torch.testing.assert_close((predicted_noise(f, lam, y) * direction).sum((1, 2, 3)), slope, rtol=1e-3, atol=0.1)


@pytest.mark.parametrize("configuration", ["waves", "paper"])
def test_finite_differences_of_the_learned_statistics(y: Tensor, configuration: str) -> None:
    from lib.training.loop import CONFIGURATIONS

    torch.manual_seed(1)
    f = Model(CONFIGURATIONS[configuration]).statistics.requires_grad_(False)
    for parameter in f.parameters():
        if not parameter.any():
            parameter.normal_(std=0.1)  # what training starts from zero is to speak here
    lam = torch.randn(2, f.dim, generator=torch.Generator().manual_seed(3))
    gradient = predicted_noise(f, lam, y)
    step = 5e-4 * gradient / gradient.square().mean((1, 2, 3), keepdim=True).sqrt()  # uphill
    slope = (energy(f, lam, y + step) - energy(f, lam, y - step)) / 2
    torch.testing.assert_close((gradient * step).sum((1, 2, 3)), slope, rtol=0.02, atol=0)
    assert (slope > 0).all()


def test_four_names_for_one_gradient(model: Model, y: Tensor) -> None:
    sigma = torch.tensor([0.1, 0.6])
    each = sigma[:, None, None, None]
    lam = torch.randn(2, 512, generator=torch.Generator().manual_seed(4))
    eps = predicted_noise(model.statistics, lam, y)
    torch.testing.assert_close(score(model.statistics, lam, y, sigma), -eps / each)
    torch.testing.assert_close(denoised(model.statistics, lam, y, sigma), y - each * eps)
    tweedie = y + each**2 * score(model.statistics, lam, y, sigma)
    torch.testing.assert_close(denoised(model.statistics, lam, y, sigma), tweedie)


@pytest.mark.parametrize("sigma", [0.05, 0.3, 2.0])
def test_the_sign(sigma: float) -> None:
    """Noise costs energy; the estimate points along the noise; taking it away brings the image nearer."""
    x = periodic_component(lib.exemplar("grass")[None, :, :64, :64])
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
    f = Quadratic()
    lam, y = f.multipliers(x, torch.tensor([sigma])), x + sigma * eps
    estimate = predicted_noise(f, lam, y)
    assert torch.cosine_similarity(estimate.flatten(), eps.flatten(), 0) > 0.2
    assert (energy(f, lam, y) > energy(f, lam, x)).all()
    assert (energy(f, lam, y - sigma * estimate) < energy(f, lam, y)).all()
    assert (denoised(f, lam, y, sigma) - x).square().mean() < 0.9 * (y - x).square().mean()
    assert torch.cosine_similarity(score(f, lam, y, sigma).flatten(), (x - y).flatten(), 0) > 0.2


def test_energy_is_extensive(model: Model) -> None:
    """A tiling of four copies has four times the energy and, at each pixel, the same gradient."""
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(6))
    lam = torch.randn(1, 512, generator=torch.Generator().manual_seed(7))
    four = x.repeat(1, 1, 2, 2)
    whole, one = energy(model.statistics, lam, four), energy(model.statistics, lam, x)
    torch.testing.assert_close(whole, 4 * one, rtol=1e-3, atol=0.05)
    gradient = predicted_noise(model.statistics, lam, x)
    torch.testing.assert_close(
        predicted_noise(model.statistics, lam, four), gradient.repeat(1, 1, 2, 2), rtol=1e-3, atol=1e-3
    )


def test_training_can_differentiate_the_estimate(model: Model, y: Tensor) -> None:
    """With create_graph the estimate is linear in lam, and its derivative with respect to lam is itself."""
    lam = torch.randn(2, 512, generator=torch.Generator().manual_seed(8)).requires_grad_()
    eps = predicted_noise(model.statistics, lam, y, create_graph=True)
    probe = torch.randn(y.shape, generator=torch.Generator().manual_seed(9))
    (slope,) = torch.autograd.grad((eps * probe).sum(), lam)
    torch.testing.assert_close((slope * lam).sum().detach(), (eps * probe).sum().detach(), rtol=1e-3, atol=1e-3)
    assert not predicted_noise(model.statistics, lam.detach(), y).requires_grad
