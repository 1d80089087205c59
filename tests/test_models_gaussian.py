"""White noise, spot noise and random phases: against the Gaussian's closed form, Monte Carlo, and what each keeps."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import lib
from lib.models.gaussian import FADE, fade, gaussian_steps, random_phase_steps, spots, starts, torus
from lib.models.noise import white_noise_steps
from lib.samplers.step import last
from lib.statistics.gaussian import GaussianTexture, autocovariance
from lib.statistics.quadratic import periodic_component

# Of low contrast, so that no sample leaves [0,1] (20 standard deviations): clipping would break what is exact.
X0 = 0.5 + 0.1 * (lib.exemplar("flower")[:, 40:80, 60:96] - 0.5)
MODELS = {"noise": white_noise_steps, "spot noise": gaussian_steps, "random phase": random_phase_steps}
each = pytest.mark.parametrize("steps", MODELS.values(), ids=MODELS)
gaussian = pytest.mark.parametrize("steps", [gaussian_steps, random_phase_steps], ids=["spot noise", "random phase"])


def periodic_covariance(x: Tensor, mean: Tensor, lag: int) -> Tensor:
    """(1/N) sum_k u_i(k + tau) u_j(k) around each torus, |tau| <= lag on both axes: [B,3,3,2L+1,2L+1], float64."""
    U = torch.fft.rfft2(x.double() - mean.double()[..., None, None])
    products = torch.fft.irfft2(torch.einsum("bihw,bjhw->bijhw", U, U.conj()), s=x.shape[-2:])
    return products.roll((lag, lag), (-2, -1))[..., : 2 * lag + 1, : 2 * lag + 1] / (x.shape[-2] * x.shape[-1])


def deviations(samples: Tensor, expected: Tensor) -> Tensor:
    """(mean of the samples - expected) in standard errors: [B,...] and [...] -> [...]."""
    return (samples.mean(0) - expected) / (samples.std(0) / math.sqrt(len(samples)))


# --- what the samples have in common with the exemplar


def test_noise_has_the_colours_and_nothing_else() -> None:
    """Mean and covariance of pixels to 4.5 standard errors of 400 samples; no covariance of neighbours."""
    x = last(white_noise_steps(X0, n=400, size=32, seed=1))
    mean, covariance = X0.double().mean((1, 2)), X0.double().flatten(1).cov(correction=0)
    assert deviations(x.double().mean((2, 3)), mean).abs().max() < 4.5
    expected = torch.zeros(3, 3, 5, 5, dtype=torch.float64)
    expected[:, :, 2, 2] = covariance
    off = deviations(periodic_covariance(x, mean[None], 2), expected)
    assert off.abs().max() < 4.5
    assert off.square().mean() == pytest.approx(1, abs=0.5)


@gaussian
def test_samples_have_the_mean_and_autocovariance_of_the_periodic_component(steps: Callable) -> None:
    """At every channel pair and lag up to 5 pixels, to 4.5 standard errors of 600 samples; the mean exactly."""
    x = last(steps(X0, n=600, seed=3))
    mean = X0.mean((1, 2))[None]
    assert torch.allclose(x.mean((2, 3)), mean.expand(600, -1), atol=1e-5)
    expected = periodic_covariance(periodic_component(X0[None]), mean, 5)[0]
    drawn = periodic_covariance(x, mean, 5)
    if steps is random_phase_steps:  # no chance is left in them
        assert torch.allclose(drawn, expected.expand_as(drawn), atol=1e-4 * expected.max().item())
    else:
        off = deviations(drawn, expected)
        assert off.abs().max() < 4.5
        assert off.square().mean() < 2  # lags are not independent: few degrees of freedom, so no bound from below


@gaussian
def test_pixels_are_gaussian_and_samples_differ(steps: Callable) -> None:
    x = last(steps(X0, n=200, seed=3)).double()
    z = (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True)
    moments = z[..., ::4, ::4].flatten(1)
    assert deviations(moments.pow(3).mean(1)[:, None], torch.zeros(1)).abs().max() < 4.5
    assert deviations(moments.pow(4).mean(1)[:, None], 3 * torch.ones(1)).abs().max() < 4.5
    assert torch.corrcoef(z.flatten(1)).triu(1).abs().max() < 0.75


@pytest.mark.parametrize("size", [(40, 36), (40, 50), (96, 80)], ids=str)
def test_the_spot_is_the_root_of_the_gaussian_textures_spectrum(size: tuple[int, int]) -> None:
    """The law of ADSN against the closed form, on the exemplar's torus and on larger ones."""
    (S,) = torch.fft.rfft2(spots(X0[None], *size, periodic=False).double())
    spectrum = GaussianTexture.fit(X0[None]).spectrum(*size)[0]
    torch.testing.assert_close(
        torch.einsum("ihw,jhw->hwij", S, S.conj()), spectrum, rtol=1e-3, atol=1e-5 * spectrum.abs().max().item()
    )


def test_spots_of_a_smaller_torus_cover_the_exemplar() -> None:
    """Their spectra's mean is that of the Gaussian textures of the pieces; the pieces leave nothing out."""
    assert starts(40, 40) == starts(40, 90) == [0]
    assert starts(40, 32) == [0, 8]
    assert starts(100, 32) == [0, 23, 45, 68]
    S = torch.fft.rfft2(spots(X0[None], 32, 36, periodic=False).double())
    pieces = torch.stack([X0[:, :32], X0[:, 8:]])
    wanted = GaussianTexture.fit(pieces).spectrum(32, 36).mean(0)
    drawn = torch.einsum("bihw,bjhw->hwij", S, S.conj()) / 2
    torch.testing.assert_close(drawn, wanted, rtol=1e-3, atol=1e-5 * wanted.abs().max().item())


def test_random_phases_keep_the_modulus_and_the_phase_differences_of_channels() -> None:
    p = periodic_component(X0[None].double())
    mean = p.mean((2, 3), keepdim=True)
    P = torch.fft.rfft2(p - mean)[0]
    X = torch.fft.rfft2(last(random_phase_steps(X0, n=3, seed=1)).double() - mean)
    assert torch.allclose(X.abs(), P.abs().expand_as(X), atol=1e-5 * P.abs().max().item())
    cross = P[0] * P[1].conj()
    assert torch.allclose(X[:, 0] * X[:, 1].conj(), cross.expand(3, -1, -1), atol=1e-5 * cross.abs().max().item())
    turned = torch.angle(X[0, 1] / P[1])[:, 1:-1]  # theta, off the columns where it is odd within itself
    assert torch.histc(turned, 4, -math.pi, math.pi).min() > 0.2 * turned.numel()


def test_spot_noise_does_not_keep_the_modulus() -> None:
    X = torch.fft.rfft2(last(gaussian_steps(X0, n=2, seed=1)) - X0.mean((1, 2))[:, None, None])[:, 1]
    assert (X[0].abs() / X[1].abs()).log().std() > 0.5


# --- borders


@gaussian
def test_the_periodic_component_removes_the_cross(steps: Callable) -> None:
    """A picture whose opposite edges differ, as half of a slope does: its energy goes to the axes of the spectrum."""
    slope = torch.linspace(-0.1, 0.1, 64)
    x0 = 0.5 + slope[:, None] + 0.02 * torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))

    def on_axis(x: Tensor) -> float:
        """The vertical axis, from a fifth of the highest frequency up, against the columns beside it."""
        power = torch.fft.rfft2(x).abs().square().mean((0, 1))[6:33]
        return (power[:, 0].mean() / power[:, 2:8].mean()).item()

    raw, treated = (on_axis(last(steps(x0.clamp(0, 1), n=20, periodic=periodic))) for periodic in (False, True))
    assert raw > 10
    assert treated < 2


def test_the_window_fades_the_border_alone() -> None:
    window = fade(100)
    inside = round(100 * FADE)
    assert torch.equal(window, window.flip(0))
    assert (window[:inside].diff() > 0).all()
    assert torch.equal(window[inside:-inside], torch.ones(100 - 2 * inside))
    assert 0 < window[0] < 0.01


# --- other sizes


@gaussian
@pytest.mark.parametrize(
    ("size", "tileable", "within"),
    [((90, 100), False, 0.12), ((90, 100), True, 0.12), ((32, 33), True, 0.2)],
    ids=["cut", "tile", "small tile"],
)
def test_other_sizes_have_the_same_autocovariance_at_small_lags(
    steps: Callable, size: tuple[int, int], tileable: bool, within: float
) -> None:
    """Up to 3 pixels, over the pairs of pixels there are.

    A border that fades changes it by some percent; small tiles, each centred by itself, lack the lowest frequencies.
    """
    x = last(steps(X0, n=100, size=size, seed=2, tileable=tileable))
    assert torch.allclose(x.mean((0, 2, 3)), X0.mean((1, 2)), atol=2e-3)
    drawn, wanted = small_lags(x), small_lags(X0[None])
    assert (drawn - wanted).norm() < within * wanted.norm()


def small_lags(x: Tensor) -> Tensor:
    """Mean over images of the products of pixels up to 3 apart, per pair of pixels that are in the image: [3,3,7,7]."""
    table = autocovariance(x)[1].mean(0)
    height, width = x.shape[-2:]
    down, right = (1 - torch.arange(-3, 4).abs().double() / side for side in (height, width))
    return table[..., height - 4 : height + 3, width - 4 : width + 3] / (down[:, None] * right)


@each
@pytest.mark.parametrize("size", [32, (37, 50), (64, 33), (40, 91)], ids=str)
@pytest.mark.parametrize("tileable", [False, True], ids=["cut", "tileable"])
def test_any_size(steps: Callable, size: int | tuple[int, int], tileable: bool) -> None:
    records = list(steps(X0, n=2, size=size, tileable=tileable))
    assert [(record.step, record.steps) for record in records] == [(1, 1)]
    x = records[0].image
    assert x.shape == (2, 3, *((size, size) if isinstance(size, int) else size))
    assert x.dtype == torch.float32
    assert 0.8 < x.std() / X0.std() < 1.2


@each
def test_without_a_size_it_is_the_exemplars_and_pixels_stay_in_range(steps: Callable) -> None:
    x = last(steps(lib.exemplar("star")[None, :, :40, :48], n=4))
    assert x.shape == (4, 3, 40, 48)
    assert 0 <= x.min() <= x.max() <= 1


def across(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Mean squared difference of neighbouring lines along an axis: across the seam, and all those inside."""
    squares = (x - x.roll(1, axis)).square().movedim(axis, 0).flatten(1).mean(1)
    return squares[0], squares[1:]


@gaussian
@pytest.mark.parametrize("size", [(33, 34), (60, 70)], ids=str)
def test_a_tile_has_no_seam_and_a_piece_has_no_wrap(steps: Callable, size: tuple[int, int]) -> None:
    tiles, pieces = (last(steps(X0, n=30, size=size, seed=2, tileable=tileable)) for tileable in (True, False))
    for axis in (-1, -2):
        seam, inside = across(tiles, axis)
        assert inside.min() / 1.1 < seam < inside.max() * 1.1, axis
        seam, inside = across(pieces, axis)
        assert seam > 1.5 * inside.max(), axis


def test_a_piece_larger_than_the_exemplar_never_wraps() -> None:
    """Pixels farther apart than the exemplar is long are independent, at opposite edges too."""
    assert torus(90, 30, X0[None], tileable=False) == (130, 36)
    assert torus(90, 30, X0[None], tileable=True) == (90, 30)
    x = last(gaussian_steps(X0, n=800, size=(60, 90), seed=4)).double()
    edges = (x[:, :, 30, :2] - x.mean((0, 2, 3))[None, :, None], x[:, :, 30, -2:] - x.mean((0, 2, 3))[None, :, None])
    products = torch.einsum("bik,bjl->bijkl", *edges)
    assert deviations(products, torch.zeros_like(products[0])).abs().max() < 4.5


# --- what every sampler promises


@each
def test_sample_i_depends_on_seed_and_i_alone(steps: Callable) -> None:
    three, again, other = last(steps(X0, n=3, seed=5)), last(steps(X0, n=1, seed=5)), last(steps(X0, n=3, seed=6))
    assert torch.equal(three[:1], again)
    assert (three[0] - three[1]).abs().mean() > 0.2 * X0.std()
    assert (three - other).abs().mean() > 0.2 * X0.std()


@each
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 31}, "size 31 is not"),
        ({"size": (64, 20)}, "size (64, 20) is not"),
        ({"n": 0}, "n is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"x0": X0[:1]}, "three channels"),
        ({"x0": X0[:, :16]}, "at least 32"),
        ({"x0": X0 * 255}, "divide it by 255"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_errors_say_what_is_wrong(steps: Callable, change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        next(iter(steps(**({"x0": X0} | change))))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
