"""Transport between Gaussian textures: its ends, its shortest way, and what it does to contrasts and means."""

import pytest
import torch
from torch import Tensor

import lib
from lib.samplers.match import gaussian_of
from lib.statistics.gaussian import GaussianTexture
from lib.statistics.transport import between, transported


@pytest.fixture(scope="module")
def ends() -> tuple[GaussianTexture, GaussianTexture]:
    """Of tables of lags that are not equally long."""
    return gaussian_of(lib.exemplar("grass")[None, :, :40, :40]), gaussian_of(lib.exemplar("rubber")[None, :, :32, :48])


def matrices(n: int, seed: int) -> Tensor:
    """[n,3,3], Hermitian and positive."""
    A = torch.randn(n, 3, 3, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))
    return A @ A.mH + 0.01 * torch.eye(3)


def root(A: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(A)
    return (vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.mH


def distance(A: Tensor, B: Tensor) -> Tensor:
    """Wasserstein's between centred Gaussians, |X - Y| at best: [n]."""
    cross = root(root(A) @ B @ root(A))
    traces = (M.diagonal(dim1=-2, dim2=-1).sum(-1).real for M in (A, B, -2 * cross))
    return sum(traces, torch.zeros(len(A))).clamp_min(0).sqrt()


def test_it_is_the_shortest_way_at_an_even_pace() -> None:
    A, B = matrices(20, 0), matrices(20, 1)
    whole = distance(A, B)
    way = [between(A, B, t) for t in (0.0, 0.3, 0.8, 1.0)]
    torch.testing.assert_close(way[0], A)
    torch.testing.assert_close(way[-1], B)
    for S, T, share in zip(way, way[1:], (0.3, 0.5, 0.2), strict=False):
        torch.testing.assert_close(distance(S, T), share * whole, rtol=1e-6, atol=1e-6)


def test_standard_deviations_are_mixed_where_axes_agree() -> None:
    a, b = torch.tensor([[1.0, 4.0, 0.09]]).double(), torch.tensor([[9.0, 0.0, 0.25]]).double()
    found = between(torch.diag_embed(a).to(torch.complex128), torch.diag_embed(b).to(torch.complex128), 0.25)
    expected = (0.75 * a.sqrt() + 0.25 * b.sqrt()).square()
    torch.testing.assert_close(found.real, torch.diag_embed(expected))


def test_from_black_and_white_to_colours_and_back() -> None:
    """A grey texture has no chroma to carry: it appears in proportion to t."""
    grey, colour = torch.ones(1, 3, 3, dtype=torch.complex128), matrices(1, 0)
    assert torch.linalg.eigvalsh(between(grey, colour, 0.5)).min() > -1e-12
    torch.testing.assert_close(between(grey, colour, 0.5), between(colour, grey, 0.5), atol=1e-3, rtol=0)


def test_textures_start_and_arrive(ends: tuple[GaussianTexture, GaussianTexture]) -> None:
    a, b = ends
    assert a.covariance.shape != b.covariance.shape
    for t, texture in ((0.0, a), (1.0, b)):
        found = transported(a, b, t)
        torch.testing.assert_close(found.mean, texture.mean)
        torch.testing.assert_close(found.spectrum(64, 96), texture.spectrum(64, 96), atol=1e-6, rtol=1e-4)


def test_the_way_back_is_the_way(ends: tuple[GaussianTexture, GaussianTexture]) -> None:
    a, b = ends
    there, back = transported(a, b, 0.3), transported(b, a, 0.7)
    torch.testing.assert_close(there.mean, back.mean)
    torch.testing.assert_close(there.covariance, back.covariance, atol=1e-7, rtol=1e-4)


def test_there_is_less_contrast_than_in_a_picture_of_both(ends: tuple[GaussianTexture, GaussianTexture]) -> None:
    a, b = ends
    middle = transported(a, b, 0.5).variance
    assert min(a.variance, b.variance) < middle < (a.variance + b.variance) / 2
    sample = transported(a, b, 0.5).sample(65, 65)
    assert sample.var((2, 3)).mean().item() == pytest.approx(middle, rel=0.3)
