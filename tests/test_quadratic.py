"""The built-in autocovariances: their gradient, their closed-form multipliers, and the periodic component.

The dense matrices here are made without frequencies: A_k by differentiating twice, S by averaging over all shifts.
"""

import pytest
import torch
from torch import Tensor

import lib
from lib import energy as general
from lib.statistics.gaussian import GaussianTexture
from lib.statistics.quadratic import DIM, LAGS, OCTAVES, PAIRS, RIDGE, Quadratic, opponent, periodic_component

HEIGHT, WIDTH = 9, 8  # one odd, one even: the two cases of rfft2's last column
SIZE = 3 * HEIGHT * WIDTH
SIGMAS = [0.03, 0.2, 1.5]


def photograph(height: int, width: int) -> Tensor:
    """[1,3,H,W]: a piece of an exemplar that is rough enough to be no constant at this size."""
    return lib.exemplar("flower")[None, :, 40 : 40 + height, 60 : 60 + width]


@pytest.fixture(scope="module")
def dense() -> tuple[Tensor, Tensor]:
    """A [130,n,n], the matrices of the products (N f_k(y) = y'A_k y / 2 for centred y), and S [n,n] of the image."""
    f = Quadratic().double()
    basis = torch.eye(SIZE, dtype=torch.float64).view(SIZE, 3, HEIGHT, WIDTH).requires_grad_()
    values = HEIGHT * WIDTH * f(basis + 0.5).sum(0)  # about y = 1/2 the products have no linear part
    rows = [torch.autograd.grad(v, basis, retain_graph=True)[0].flatten(1) for v in values[3:]]
    x = periodic_component(photograph(HEIGHT, WIDTH).double())[0]
    u = x - x.mean((1, 2), keepdim=True)
    shifts = torch.stack([u.roll((i, j), (1, 2)).flatten() for i in range(HEIGHT) for j in range(WIDTH)])
    return torch.stack(rows), shifts.T @ shifts / len(shifts)


def expected(A: Tensor, S: Tensor, sigma: float) -> Tensor:
    """E|A(u + sigma eps) - eps|^2 a pixel and channel, u of covariance S and mean zero."""
    noisy = S + sigma**2 * torch.eye(SIZE, dtype=S.dtype)
    return (((A @ noisy) * A).sum() - 2 * sigma * A.trace() + SIZE) / SIZE


def test_there_are_133_numbers() -> None:
    assert [len(LAGS[pair]) for pair in PAIRS] == [13, 5, 5, 1, 1, 1]
    assert Quadratic.dim == DIM == 3 + OCTAVES * 26 == 133
    assert Quadratic()(photograph(32, 40)).shape == (1, 133)
    torch.testing.assert_close(opponent() @ opponent().T, torch.eye(3))


def test_what_is_expected_of_a_gaussian_texture_is_what_its_exemplar_has() -> None:
    """A texture that has all of an image's autocovariance, round the torus, has its statistics in the mean."""
    x = photograph(33, 29).double()
    mean = x.mean((2, 3))
    U = torch.fft.rfft2(x - mean[:, :, None, None])
    products = torch.fft.irfft2(torch.einsum("bihw,bjhw->bijhw", U, U.conj()), s=(33, 29)) / (33 * 29)
    texture = GaussianTexture(mean, products.roll((16, 14), (-2, -1)))
    torch.testing.assert_close(Quadratic().expected(texture), Quadratic().double()(x))


def test_the_first_numbers_are_means_and_covariances_of_the_opponent_colours() -> None:
    x = photograph(16, 24)
    u = torch.einsum("ij,bjhw->bihw", opponent(), x - 0.5)
    f = Quadratic()(x)[0]
    torch.testing.assert_close(f[:3], u.mean((2, 3))[0])
    products = torch.einsum("bihw,bjhw->ij", u, u) / (16 * 24)
    at_zero = [3, 3 + 13, 3 + 18, 3 + 23, 3 + 24, 3 + 25]  # lag 0 comes first in each pair's list
    torch.testing.assert_close(f[at_zero], torch.stack([products[i, j] for i, j in PAIRS]))
    down = (u[:, 0] * u[:, 0].roll(-1, 1)).mean()
    torch.testing.assert_close(f[3 + LAGS[0, 0].index((1, 0))], down)


@pytest.mark.parametrize("size", [(32, 40), (33, 45), (20, 64)])
def test_they_are_means_of_products_of_shifted_and_blurred_copies(size: tuple[int, int]) -> None:
    """As the head of quadratic.py defines them, pixel by pixel."""
    x = photograph(*size)
    u, expected = torch.einsum("ij,bjhw->bihw", opponent(), x - 0.5), []
    for octave in range(OCTAVES):
        gap = 2**octave
        for i, j in PAIRS:
            for di, dj in LAGS[i, j]:
                expected.append((u[:, i] * u[:, j].roll((-gap * di, -gap * dj), (1, 2))).mean())
        for axis in (2, 3):
            taps = zip((1, 4, 6, 4, 1), range(-2, 3), strict=True)
            u = sum(weight * u.roll(gap * k, axis) for weight, k in taps) / 16
    torch.testing.assert_close(Quadratic()(x)[0, 3:], torch.stack(expected), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("shift", [(1, 0), (3, -7), (20, 11)])
def test_shifts_change_nothing(shift: tuple[int, int]) -> None:
    x = photograph(33, 48)
    torch.testing.assert_close(Quadratic()(x.roll(shift, (2, 3))), Quadratic()(x), rtol=1e-5, atol=1e-6)


def test_tiling_changes_nothing() -> None:
    x = photograph(33, 20)
    torch.testing.assert_close(Quadratic()(x.repeat(1, 1, 2, 3)), Quadratic()(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [(9, 8), (32, 33), (40, 64)])
def test_the_filter_written_out_is_the_gradient(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    f, y = Quadratic(), torch.rand(2, 3, *size, generator=generator)
    lam = torch.randn(2, DIM, generator=generator)
    torch.testing.assert_close(f.predicted_noise(lam, y), general.predicted_noise(f, lam, y), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_multipliers_solve_the_normal_equations(dense: tuple[Tensor, Tensor], sigma: float) -> None:
    """G lam = b with G_kl = tr A_k A_l (S + sigma^2) and b_k = sigma tr A_k, but for the ridge on G's diagonal."""
    matrices, S = dense
    lam = Quadratic().multipliers(photograph(HEIGHT, WIDTH), torch.tensor([sigma]))[0, 3:].double()
    products = torch.einsum("kij,jl->kil", matrices, S + sigma**2 * torch.eye(SIZE, dtype=S.dtype)).flatten(1)
    gram = products @ matrices.transpose(1, 2).flatten(1).T
    b = sigma * matrices.diagonal(dim1=1, dim2=2).sum(1)
    residual = (gram + RIDGE * gram.diagonal().diag()) @ lam - b
    assert (residual / gram.diagonal().sqrt()).norm() < 1e-3 * (b / gram.diagonal().sqrt()).norm()


@pytest.mark.parametrize("sigma", SIGMAS)
def test_no_other_multipliers_do_better(dense: tuple[Tensor, Tensor], sigma: float) -> None:
    """A step of the size of lam itself, in any direction and either way, raises the expected loss."""
    matrices, S = dense
    f, x = Quadratic(), photograph(HEIGHT, WIDTH)
    lam = f.multipliers(x, torch.tensor([sigma]))
    A = torch.einsum("k,kij->ij", lam[0, 3:].double(), matrices)
    least = expected(A, S, sigma)
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        step = lam[0, 3:].abs() * torch.randn(DIM - 3, generator=generator)
        for sign in (1, -1):
            assert expected(A + sign * torch.einsum("k,kij->ij", step.double(), matrices), S, sigma) > least
    told = f.expected_loss(lam, torch.tensor([sigma]), HEIGHT, WIDTH).item()
    noisy = S + sigma**2 * torch.eye(SIZE, dtype=S.dtype)
    diagonal = torch.einsum("kij,jl,kil->k", matrices, noisy, matrices)
    ridge = RIDGE * (diagonal * lam[0, 3:].double() ** 2).sum() / SIZE  # told as if it were part of the loss
    assert told == pytest.approx((least + ridge).item(), rel=1e-3, abs=1e-5)
    wiener = expected(sigma * torch.linalg.inv(noisy), S, sigma)  # knows every lag: nothing linear beats it
    assert wiener < least < 1


@pytest.mark.parametrize("sigma", SIGMAS)
def test_expected_loss_is_what_gaussian_textures_lose(sigma: float) -> None:
    x = photograph(32, 40)
    f, level = Quadratic(), torch.tensor([sigma])
    lam = f.multipliers(x, level)
    periodic = periodic_component(x)
    generator = torch.Generator().manual_seed(2)
    n = 60
    white = torch.randn(n, 1, 32, 40, generator=generator)
    # the image convolved with white noise (Galerne, Gousseau & Morel 2011) is Gaussian with the image's spectrum
    centred = torch.fft.rfft2(periodic - periodic.mean((2, 3), keepdim=True)) / (32 * 40) ** 0.5
    textures = torch.fft.irfft2(centred * torch.fft.rfft2(white), s=(32, 40)) + periodic.mean((2, 3), keepdim=True)
    eps = torch.randn(textures.shape, generator=generator)
    errors = (f.predicted_noise(lam.expand(n, -1), textures + sigma * eps) - eps).square().mean((1, 2, 3))
    told = f.expected_loss(lam, level, 32, 40).item()
    assert abs(errors.mean().item() - told) < 5 * errors.std().item() / n**0.5 + 0.002 * told


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_flat_image_of_mean_colour_has_no_gradient(sigma: float) -> None:
    x = photograph(32, 32)
    f = Quadratic()
    flat = x.mean((2, 3), keepdim=True).expand_as(x)
    gradient = f.predicted_noise(f.multipliers(x, torch.tensor([sigma])), flat)
    assert gradient.abs().max() < 1e-3


def test_each_image_has_its_own_multipliers() -> None:
    x = torch.cat([photograph(32, 32), lib.exemplar("grass")[None, :, :32, :32]])
    sigma = torch.tensor([0.1, 0.7])
    f = Quadratic()
    for i in range(2):
        alone = f.multipliers(x[i : i + 1], sigma[i : i + 1])[0]
        # spectra are single-precision, and the system amplifies their rounding
        torch.testing.assert_close(f.multipliers(x, sigma)[i], alone, rtol=1e-3, atol=1e-4 * alone.abs().max().item())


def test_133_numbers_do_the_work_of_many_more() -> None:
    """On a photograph's own Gaussian texture they lose less than the 369 numbers of a window of lag 4."""
    x = lib.exemplar("pebble")[None, :, :96, :96]
    sigma = torch.tensor([0.1])
    f = Quadratic()
    ours = f.expected_loss(f.multipliers(x, sigma), sigma, 96, 96).item()
    eps = torch.randn(8, 3, 96, 96, generator=torch.Generator().manual_seed(3))
    texture = GaussianTexture.fit(x, 4)
    windowed = (texture.predicted_noise(x + 0.1 * eps, 0.1) - eps).square().mean().item()
    assert ours < windowed


def test_the_periodic_component_keeps_every_difference_inside() -> None:
    """What defines it (Moisan 2011): its periodic Laplacian is the image's, taken without what crosses the border."""
    x = photograph(20, 31).double()
    p = periodic_component(x)
    periodic = sum(p.roll(s, d) - p for s in (1, -1) for d in (-1, -2))
    inside = torch.zeros_like(x)
    for d in (-1, -2):
        n = x.shape[d]
        step = x.narrow(d, 1, n - 1) - x.narrow(d, 0, n - 1)
        inside.narrow(d, 0, n - 1).add_(step)
        inside.narrow(d, 1, n - 1).sub_(step)
    torch.testing.assert_close(periodic, inside)
    torch.testing.assert_close(p.mean((2, 3)), x.mean((2, 3)))


def test_the_periodic_component_has_no_frame() -> None:
    x = lib.exemplar("marble")[None, :, :64, :64] + torch.linspace(0, 0.5, 64)  # lit from one side
    p = periodic_component(x)

    def frame(image: Tensor) -> float:
        """Difference across the border, in units of that between neighbours inside."""
        return ((image[..., 0] - image[..., -1]).square().mean() / image.diff(dim=-1).square().mean()).sqrt().item()

    assert frame(x) > 3
    assert frame(p) < 1


def test_the_periodic_component_is_its_own_but_for_one_pixel_in_a_row() -> None:
    """A second pass finds the border jump to be an ordinary step between neighbours: 1/n of what the first found."""
    n = 64
    x = (torch.linspace(0, 1, n).expand(1, 3, n, n)).contiguous()
    once = periodic_component(x)
    twice = periodic_component(once)
    assert (twice - once).abs().max() < 1.5 / n * (once - x).abs().max()
    flat = torch.full((1, 3, 32, 32), 0.4)
    torch.testing.assert_close(periodic_component(flat), flat)


def test_an_image_that_meets_itself_is_left_nearly_alone() -> None:
    x = lib.exemplar("grass")[None, :, :48, :48]
    meeting = torch.cat([torch.cat([x, x.flip(2)], 2), torch.cat([x, x.flip(2)], 2).flip(3)], 3)
    torch.testing.assert_close(periodic_component(meeting), meeting, rtol=0, atol=1e-5)
