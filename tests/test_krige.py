"""A Gaussian texture given some of its pixels, against linear algebra written out."""

import pytest
import torch
from torch import Tensor

import lib
from lib.samplers.krige import corrected, krige, posterior
from lib.samplers.match import gaussian_of, spectral
from lib.samplers.step import white_noise

SIDE = 12
TEXTURE = gaussian_of(lib.exemplar("pebble")[None, :, :64, :64])


@pytest.fixture(scope="module")
def covariance() -> Tensor:
    """S as a matrix over the 3 * 12 * 12 numbers of an image, column by column."""
    of = spectral(TEXTURE, SIDE, SIDE, dtype=torch.complex128)(1)
    units = torch.eye(3 * SIDE**2, dtype=torch.float64).unflatten(1, (3, SIDE, SIDE))
    return of(units).flatten(1).T


def test_conditional_mean_and_covariance(covariance: Tensor) -> None:
    hole = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    hole[3:8, 4:9] = True
    x = 0.5 + 0.2 * white_noise(1, SIDE, SIDE, 0)
    h = hole.expand(3, -1, -1).flatten()
    mean = TEXTURE.mean[:, :, None, None].expand(1, 3, SIDE, SIDE).flatten()
    gain = covariance[h][:, ~h] @ torch.linalg.inv(covariance[~h][:, ~h])
    wanted = mean[h] + gain @ (x.double().flatten()[~h] - mean[~h])
    left = covariance[h][:, h] - gain @ covariance[~h][:, h]

    zero = krige(TEXTURE, x, hole, torch.zeros(1, 3, SIDE, SIDE))
    assert torch.equal(zero[..., ~hole], x[..., ~hole])
    assert torch.allclose(zero.flatten()[h].double(), wanted, atol=1e-4)

    # drawn from all unit vectors, x_h - mean are the columns of a root of the conditional covariance
    units = torch.eye(3 * SIDE**2).unflatten(1, (3, SIDE, SIDE))
    root = (krige(TEXTURE, x, hole, units) - zero).flatten(1)[:, h].double().T
    assert torch.allclose(root @ root.T, left, atol=1e-3 * left.diagonal().max().item())
    assert left.diagonal().mean() < 0.8 * covariance.diagonal().mean()  # what is known helps


def test_with_nothing_known_it_is_the_texture() -> None:
    hole = torch.ones(40, 48, dtype=torch.bool)
    z = white_noise(2, 40, 48, 1)
    free = krige(TEXTURE, torch.zeros(1, 3, 40, 48), hole, z)
    of = spectral(TEXTURE, 40, 48)(0.5)
    assert torch.allclose(free, TEXTURE.mean[:, :, None, None].float() + of(z), atol=1e-4)


def test_image_i_is_a_function_of_its_own_noise() -> None:
    hole = torch.zeros(40, 48, dtype=torch.bool)
    hole[10:30, 8:40] = True
    x, z = lib.exemplar("pebble")[None, :, :40, :48], white_noise(3, 40, 48, 1)
    assert torch.equal(krige(TEXTURE, x, hole, z)[:1], krige(TEXTURE, x, hole, z[:1]))


def test_the_mean_given_noise_and_pixels(covariance: Tensor) -> None:
    """E[x | y] corrected by what is known is E[x | y, x_k], by linear algebra written out."""
    sigma, hole = 0.3, torch.zeros(SIDE, SIDE, dtype=torch.bool)
    hole[2:7, 3:9] = True
    h = hole.expand(3, -1, -1).flatten()
    x, y = (0.5 + 0.2 * white_noise(1, SIDE, SIDE, seed) for seed in (0, 1))
    mean = TEXTURE.mean[:, :, None, None].expand(1, 3, SIDE, SIDE).flatten()
    precision = torch.linalg.inv(covariance) + torch.eye(len(mean)) / sigma**2
    denoised = mean + torch.linalg.solve(precision, (y.double().flatten() - mean) / sigma**2)
    wrong = x.double().flatten()[~h] - denoised[~h]
    wanted = denoised[h] - torch.linalg.solve(precision[h][:, h], precision[h][:, ~h] @ wrong)
    maps = posterior(TEXTURE, SIDE, SIDE, sigma)
    found = corrected(denoised.view(1, 3, SIDE, SIDE), x, hole, *maps)
    assert torch.allclose(found.flatten()[h], wanted, atol=1e-4)
    assert torch.equal(found[..., ~hole], x[..., ~hole].double())
    z = white_noise(1, SIDE, SIDE, 2).double()
    assert torch.allclose(maps[1](maps[0](z)), z, atol=1e-8)  # one is the other's inverse
