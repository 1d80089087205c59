"""f_theta: 512 spatial averages that know neither border nor size nor batch. Exact properties, on random weights."""

import math

import pytest
import torch
from torch import Tensor

import lib
from lib.energy import predicted_noise
from lib.model import Model
from lib.multipliers import multipliers
from lib.statistics.architecture import DEEP, HUES, HYBRID, PAIRS, PAPER, WAVES, Architecture
from lib.statistics.learned import LearnedStatistics
from lib.statistics.quadratic import Quadratic

COARSEST = 16  # pixels of the image on one of the U-Net's coarsest

NAMES = ["waves", "hybrid", "deep", "hues", "pairs", "paper"]
all_of_them = pytest.mark.parametrize("architecture", [WAVES, HYBRID, DEEP, HUES, PAIRS, PAPER], ids=NAMES)


def statistics(architecture: Architecture) -> LearnedStatistics:
    """Random weights throughout: what training starts from zero is to speak here."""
    torch.manual_seed(0)
    f = LearnedStatistics(architecture).eval().requires_grad_(False)
    for parameter in f.parameters():
        if not parameter.any():
            parameter.normal_(std=0.1)
    return f


def photographs(height: int, width: int) -> Tensor:
    """[2,3,H,W]"""
    return torch.stack([lib.exemplar(name)[:, :height, :width] for name in ("pebble", "cloth")])


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-6)


@all_of_them
def test_there_are_512(architecture: Architecture) -> None:
    f = statistics(architecture)
    assert f.dim == architecture.dim == 512
    assert f(photographs(32, 48)).shape == (2, 512)
    assert f(photographs(32, 48)).dtype == torch.float32
    assert Model(architecture).dim == 512


def test_what_each_configuration_reads() -> None:
    """waves: 133 built in, then 379 read at five scales. paper: nothing built in, all read at the last layer.

    hybrid: 133 built in, 284 of waves at four octaves, 95 of a U-Net at the three from the second on; pairs: 216, 163.
    deep: 189 of waves at three octaves, 95 and 95 of a network at the second, before each of its blocks and at its end.
    hues: the same, but for 24 of hues at four octaves in the places of the waves' levels of chroma.
    """
    assert (WAVES.known, sum(WAVES.readouts), len(WAVES.readouts)) == (133, 379, 5)
    assert (PAPER.known, PAPER.readouts) == (0, (512,))
    assert (HYBRID.known, HYBRID.readouts) == (133, (47, 63, 79, 95, 32, 32, 31))
    assert (PAIRS.known, PAIRS.readouts) == (133, (27, 47, 63, 79, 55, 54, 54))
    assert (DEEP.known, DEEP.readouts) == (133, (47, 63, 79, 24, 24, 24, 23, 95))
    assert DEEP.scales == (0, 1, 2, 1, 1, 1, 1, 1)
    assert DEEP.sources[2:4] == ("waves at 1/4", "U-Net at 1/2 before block 1")
    assert DEEP.sources[-1] == HYBRID.sources[4] == "U-Net at 1/2"
    assert (HUES.known, HUES.readouts) == (133, (39, 55, 71, 24, 24, 24, 23, 95, 6, 6, 6, 6))
    assert HUES.scales == (*DEEP.scales, 0, 1, 2, 3)
    assert HUES.sources == (*DEEP.sources, "hues at 1/1", "hues at 1/2", "hues at 1/4", "hues at 1/8")
    assert PAPER.sources == ("U-Net at 1/1",)
    assert HYBRID.scales == PAIRS.scales == (0, 1, 2, 3, 1, 2, 3)
    for architecture in (WAVES, HYBRID, DEEP, HUES, PAIRS, PAPER):
        shapes = [(2, n, 32 >> s, 48 >> s) for s, n in zip(architecture.scales, architecture.readouts, strict=True)]
        assert [tuple(phi.shape) for phi in statistics(architecture).densities(photographs(32, 48))] == shapes


@all_of_them
def test_statistics_are_spatial_averages_of_the_densities(architecture: Architecture) -> None:
    f, x = statistics(architecture), photographs(48, 32)
    averages = torch.cat([phi.mean((2, 3)) for phi in f.densities(x)], 1)
    close(f(x)[:, architecture.known :], averages)
    if architecture.known:
        close(f(x)[:, : architecture.known], Quadratic()(x))


@all_of_them
@pytest.mark.parametrize("shift", [(COARSEST, 0), (0, -COARSEST), (2 * COARSEST, 3 * COARSEST)])
def test_shifts_change_nothing(architecture: Architecture, shift: tuple[int, int]) -> None:
    f, x = statistics(architecture), photographs(48, 64)
    close(f(x.roll(shift, (2, 3))), f(x))


@all_of_them
def test_tiles_have_the_statistics_of_one(architecture: Architecture) -> None:
    """f knows no size: f(tile(x)) = f(x), and no place in the tiling differs from its copies."""
    f, x = statistics(architecture), photographs(32, 48)
    tiled = x.repeat(1, 1, 2, 3)
    close(f(tiled), f(x))
    for whole, one in zip(f.densities(tiled), f.densities(x), strict=True):
        torch.testing.assert_close(whole, one.repeat(1, 1, 2, 3), rtol=1e-4, atol=1e-4)


@all_of_them
def test_images_of_a_batch_do_not_see_each_other(architecture: Architecture) -> None:
    f, x = statistics(architecture), photographs(33, 50)
    close(f(x), torch.cat([f(x[:1]), f(x[1:])]))
    close(f(x.flip(0)), f(x).flip(0))


@all_of_them
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (35, 64), (63, 39)])
def test_any_size_will_do(architecture: Architecture, size: tuple[int, int]) -> None:
    f, x = statistics(architecture), photographs(*size)
    assert f(x).shape == (2, 512)
    gradient = predicted_noise(f, torch.ones(512), x)
    assert gradient.shape == x.shape
    assert torch.isfinite(gradient).all()
    assert (gradient.abs().sum((0, 1)) > 0).all()  # every pixel counts, those of the last row and column too


def test_larger_pieces_of_a_texture_agree_better() -> None:
    """Averages over more of it: f of two halves of a photograph are nearer than f of two small pieces."""
    f, x = statistics(WAVES), lib.exemplar("cloth")[None]
    spread = []
    for size in (32, 192):
        a, b = (f(x[..., at : at + size, at : at + size])[:, WAVES.known :] for at in (0, 224))
        spread.append(((a - b).norm() / (a + b).norm()).item())
    assert spread[1] < 0.7 * spread[0]


def test_what_a_unet_of_its_own_reads_can_neither_fade_nor_grow() -> None:
    """Read-outs of twice the length, and last features of twice the size, leave its statistics as they were."""
    f, x = statistics(HYBRID), photographs(64, 48)
    waves = sum(HYBRID.readouts[: HYBRID.octaves])
    before = f.deep(x)[:, waves:]
    for parameter in f.read.parameters():
        parameter.mul_(2)
    close(f.deep(x)[:, waves:], before)
    finest = f.unet.decoder[0]
    forward = finest.forward
    finest.forward = lambda h, window: 2 * forward(h, window)  # type: ignore[method-assign]
    torch.testing.assert_close(f.deep(x)[:, waves:], before, rtol=1e-3, atol=1e-4)


def test_waves_apart_are_silent_where_they_are_asked_to_be() -> None:
    f, x = statistics(HYBRID), photographs(32, 32)
    whole = f.deep(x)
    f.silent, waves = True, sum(HYBRID.readouts[: HYBRID.octaves])
    assert torch.equal(f.deep(x)[:, :waves], torch.zeros(2, waves))
    close(f.deep(x)[:, waves:], whole[:, waves:])
    close(f.deep(x, silenced=False), whole)


def test_papers_statistics_are_linear_read_outs() -> None:
    f, x = statistics(PAPER), photographs(32, 32)
    before = f(x)
    assert f.waves is None
    for parameter in f.read.parameters():
        parameter.mul_(2)
    close(f(x), 2 * before)


def test_statistics_of_waves_are_logarithmic_potentials() -> None:
    """log(|v|^2 + c^2): with tripled responses, of waves and read-outs both, and tripled c, each grows by log 9."""
    f, x = statistics(WAVES), photographs(32, 32)
    assert f.waves is not None
    responses, contrasts = f.waves(x)
    f.waves.forward = lambda y: (responses, contrasts)  # type: ignore[method-assign]
    before = f.deep(x)
    f.waves.forward = lambda y: ([3 * v for v in responses], contrasts)  # type: ignore[method-assign]
    for parameter in f.read.parameters():
        parameter.mul_(3)
    for log_c in f.log_c:
        log_c.add_(math.log(3))
    close(f.deep(x), before + math.log(9))


def test_before_training_the_network_adds_nothing() -> None:
    torch.manual_seed(0)
    f, x = LearnedStatistics(WAVES).requires_grad_(False), photographs(32, 32)
    before = f(x)
    f.silent = True
    close(f(x), before)


@all_of_them
def test_noise_levels_of_any_size_give_finite_numbers(architecture: Architecture) -> None:
    f = statistics(architecture)
    noise = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for sigma in (0.0, 0.01, 10.0):
        y = 0.5 + sigma * noise
        assert torch.isfinite(f(y)).all()
        assert torch.isfinite(predicted_noise(f, torch.ones(512), y)).all()


@pytest.mark.parametrize("sigma", [0.01, 0.1, 1.0, 10.0])
def test_lambda_is_finite_and_goes_with_sigma(sigma: float) -> None:
    torch.manual_seed(0)
    model = Model().eval()
    x = photographs(48, 33)
    lam = model.multipliers(x, sigma)
    assert lam.shape == (2, 512)
    assert torch.isfinite(lam).all()
    close(lam, model.multipliers(x, torch.full((2,), sigma)))
    # single-precision spectra, and a system of overlapping octaves: rounding is amplified a hundredfold and more
    torch.testing.assert_close(lam[1:], model.multipliers(x[1:], sigma), rtol=0.02, atol=1e-3 * lam.abs().max().item())
    # an untrained network says nothing: what is known in closed form stands alone
    assert torch.equal(lam[:, 133:], torch.zeros(2, 379))
    close(lam[:, :133], Quadratic().multipliers(x, torch.full((2,), sigma)))


def test_one_exemplar_for_all_noise_levels() -> None:
    """lambda of one x at many sigma is asked for at once, what depends on x alone being computed once."""
    model = lib.load()
    f, x, sigma = model.statistics, lib.exemplar("pebble")[None, :, :64, :64], torch.tensor([0.02, 0.1, 0.5])
    with torch.no_grad():
        mu = f(x)
        found = multipliers(model.lambda_phi, f, x, mu, sigma)
        each = multipliers(model.lambda_phi, f, x.expand(3, -1, -1, -1), mu.expand(3, -1), sigma)
    torch.testing.assert_close(found, each, rtol=1e-4, atol=1e-5 * each.abs().max().item())


@pytest.mark.parametrize("architecture", [WAVES, HYBRID], ids=["waves", "hybrid"])
def test_weights_at_rest_change_no_gradient(architecture: Architecture) -> None:
    """Where weights are fixed the gradient of f is written out by hand, in another order of sums."""
    torch.manual_seed(0)
    f, y = LearnedStatistics(architecture), torch.rand(1, 3, 48, 40).requires_grad_()
    direction, found = torch.randn(1, f.dim), []
    for trained in (True, False):
        out = f.requires_grad_(trained)(y)
        found.append((out.detach(), *torch.autograd.grad((direction * out).sum(), y)))
    size = found[0][1].abs().max().item()
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=1e-4 * size)
