"""Matching, diffusion and denoising: what they reach, what they depend on, and the Gaussian case, which is exact."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import lib
from lib.samplers.diffuse import noise_levels
from lib.samplers.match import Targets, colouring, gaussian_of, match_targets, mismatch, spectral
from lib.samplers.step import last, white_noise
from lib.statistics.gaussian import GaussianTexture, autocovariance

GRASS = lib.exemplar("grass")[:, :48, :48]
SAMPLERS = {"match": lib.match_steps, "diffuse": lib.diffuse_steps}


def each(test: Callable) -> Callable:
    """A test of both samplers, with multipliers for a small torus: what both promise holds for any."""
    return pytest.mark.usefixtures("small_tori")(
        pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)(test)
    )



# --- matching


def test_a_grey_texture_is_matched_in_its_greys(model: lib.Model) -> None:
    """It has no colour at all: were that to be matched to the last digit, nothing else would be."""
    grey = GRASS.mean(0, keepdim=True).expand(3, -1, -1)
    targets = Targets.of(model, grey[None])
    *_, record = lib.match_steps(model, grey, seed=0, steps=25)
    assert record.loss < 0.02
    luminance = targets.mu[0].abs() > 1e-3
    with torch.no_grad():
        off = (model.statistics(record.image) - targets.mu)[0]
    assert (off[luminance] / targets.mu[0, luminance]).abs().median() < 0.02
    assert (record.image - record.image.mean(1, keepdim=True)).square().mean().sqrt() < 2 / 255


def test_powers_of_the_spectrum_are_powers() -> None:
    of = spectral(gaussian_of(GRASS[None]), 48, 48)
    z = white_noise(2, 48, 48, seed=0)
    assert torch.allclose(of(0.25)(of(0.25)(z)), of(0.5)(z), atol=1e-5)
    assert torch.allclose(of(-0.25)(of(0.25)(z)), z, atol=1e-4)
    assert torch.allclose(of(0.0)(z), z, atol=1e-5)


@pytest.mark.parametrize("power", [0.0, 0.25, 0.5])
def test_every_search_starts_from_the_same_gaussian_texture(model: lib.Model, power: float) -> None:
    """Statistics of no weight have no gradient, so that the search stays where it starts."""
    targets = Targets.of(model, GRASS[None])
    free = replace(targets, spread=torch.full_like(targets.spread, torch.inf))
    noise = white_noise(1, 48, 48, seed=0)
    inside = replace(free, gaussian=replace(free.gaussian, covariance=0.01 * free.gaussian.covariance))
    *_, record = match_targets(model, inside, noise, 1, power)
    assert torch.allclose(record.image, colouring(inside.gaussian, 48, 48)(noise), atol=1e-4)


def test_matching_lowers_the_mismatch_by_a_large_factor(model: lib.Model) -> None:
    losses = [record.loss for record in lib.match_steps(model, GRASS, n=2, seed=1, steps=40)]
    targets = Targets.of(model, GRASS[None])
    noise = white_noise(2, 48, 48, seed=1)
    start = mismatch(model, targets, colouring(targets.gaussian, 48, 48)(noise)).mean().item()
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.03  # far nearer than another piece of the same texture, which is at about 1
    assert losses[-1] < start / 30


def test_the_loss_is_the_mismatch_of_the_image(model: lib.Model) -> None:
    record = list(lib.match_steps(model, GRASS, seed=1, steps=15))[-1]
    measured = mismatch(model, Targets.of(model, GRASS[None]), record.image).mean().item()
    assert measured == pytest.approx(record.loss, rel=0.3)  # and what pixels outside [0,1] cost
    assert measured <= record.loss * (1 + 1e-4)
    assert (record.step, record.steps) == (15, 15)


def test_a_mismatch_of_one_is_another_piece_of_the_texture(model: lib.Model) -> None:
    """The units, checked where the truth is known: on independent samples of one Gaussian texture."""
    texture = GaussianTexture.fit(0.5 + 0.4 * (GRASS[None] - 0.5), lag=4)
    pieces = texture.sample(64, 96, n=6, seed=2)
    squares = []
    for i, a in enumerate(pieces):
        targets, others = Targets.of(model, a[None]), torch.cat([pieces[:i], pieces[i + 1 :]])
        squares.append(((model.statistics(others) - targets.mu) / targets.spread).square().mean(0))
    assert 0.4 < torch.stack(squares).mean(0).median() < 2
    assert 0.4 < torch.stack(squares).mean() < 2.5  # a few spreads are underestimated, and weigh much


@pytest.mark.parametrize("size", [(32, 32), (40, 33), (64, 200)], ids=str)
def test_every_size_of_exemplar_has_spreads(model: lib.Model, size: tuple[int, int]) -> None:
    targets = Targets.of(model, lib.exemplar("pebble")[None, :, : size[0], : size[1]])
    assert (targets.spread > 0).all()
    assert (targets.spread[:, 3:133] > 0.02 * targets.mu[:, 3:133].abs()).float().mean() > 0.9


def test_the_start_is_the_gaussian_texture() -> None:
    texture = gaussian_of(GRASS[None])
    x = colouring(texture, 48, 48)(white_noise(64, 48, 48, seed=0))
    wanted = texture.spectrum(48, 48)[0].real.diagonal(dim1=2, dim2=3).mean((0, 1))
    centred = x - texture.mean[:, :, None, None].float()
    found = torch.fft.rfft2(centred).abs().square().mean((0, 2, 3)) / 48**2
    assert torch.allclose(found.double(), wanted, rtol=0.1)


def test_statistics_of_infinite_spread_are_left_alone(model: lib.Model) -> None:
    targets = Targets.of(model, GRASS[None])
    free = torch.arange(model.dim) >= 10
    only_ten = Targets(targets.mu, targets.spread.masked_fill(free, torch.inf), targets.gaussian)
    record = list(match_targets(model, only_ten, white_noise(1, 48, 48, 0), 15))[-1]
    apart = (model.statistics(record.image) - targets.mu) / targets.spread
    assert apart[:, :10].square().mean() < 0.05
    assert apart[:, 10:].abs().max() > 1


# --- what both samplers promise


@each
def test_the_same_call_gives_the_same_image(model: lib.Model, sampler: Callable) -> None:
    first, again = (last(sampler(model, GRASS, n=2, seed=5, steps=4)) for _ in range(2))
    other = last(sampler(model, GRASS, n=2, seed=6, steps=4))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.02
    assert (first[0] - first[1]).abs().mean() > 0.02


@each
def test_sample_i_does_not_depend_on_n(model: lib.Model, sampler: Callable) -> None:
    three = last(sampler(model, GRASS, n=3, seed=5, steps=5))
    one = last(sampler(model, GRASS, n=1, seed=5, steps=5))
    assert torch.allclose(three[:1], one, atol=2e-3)


def test_noise_is_a_function_of_seed_and_place() -> None:
    assert torch.equal(white_noise(4, 8, 8, seed=3)[:2], white_noise(2, 8, 8, seed=3))
    draws = [white_noise(3, 8, 8, seed, stream) for seed in (0, 1, 4096, 10**18) for stream in (0, 1)]
    flat = torch.cat(draws).flatten(1)
    apart = torch.cdist(flat, flat) + 100 * torch.eye(len(flat))
    assert apart.min() > 5  # no two alike


@each
@pytest.mark.parametrize("size", [32, (37, 50), (64, 33)], ids=str)
@pytest.mark.parametrize("tileable", [False, True], ids=["cut", "tileable"])
def test_any_size(model: lib.Model, sampler: Callable, size: int | tuple[int, int], tileable: bool) -> None:
    x = last(sampler(model, GRASS[:, :32, :33], size=size, steps=2, tileable=tileable))
    assert x.shape == (1, 3, *((size, size) if isinstance(size, int) else size))
    assert x.dtype == torch.float32
    assert 0 <= x.min() <= x.max() <= 1


@each
def test_without_a_size_it_is_the_exemplars(model: lib.Model, sampler: Callable) -> None:
    assert last(sampler(model, GRASS[None, :, :40], steps=2)).shape == (1, 3, 40, 48)


def steps_across(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Mean squared difference of neighbouring lines along an axis: across the seam, and all those inside."""
    squares = (x - x.roll(1, axis)).square().movedim(axis, 0).flatten(1).mean(1)
    return squares[0], squares[1:]


@each
def test_a_tile_has_no_seam(model: lib.Model, sampler: Callable) -> None:
    steps = 20 if sampler is lib.match_steps else 10
    tiles = last(sampler(model, GRASS, n=4, size=(40, 56), seed=2, tileable=True, steps=steps))
    for axis in (-1, -2):
        seam, inside = steps_across(tiles, axis)
        assert inside.min() / 1.1 < seam < inside.max() * 1.1, axis


@each
def test_a_cut_piece_has_no_wrap(model: lib.Model, sampler: Callable) -> None:
    """The same measure sees the frame of an image that is cut from a larger one: the test above can fail."""
    pieces = last(sampler(model, GRASS, n=4, size=(40, 56), seed=2, steps=10))
    assert all(seam > inside.max() for seam, inside in (steps_across(pieces, axis) for axis in (-1, -2)))


@each
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 31}, "size 31 is not"),
        ({"size": 64.0}, "size 64.0 is not"),
        ({"size": (64, 20)}, "size (64, 20) is not"),
        ({"size": (64, 64, 64)}, "size (64, 64, 64) is not"),
        ({"size": "64"}, "size '64' is not"),
        ({"size": 5000}, "size 5000 is not"),
        ({"n": 0}, "n is 0"),
        ({"n": 1.5}, "n is 1.5"),
        ({"n": True}, "n is True"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": "x"}, "seed is 'x'"),
        ({"steps": 0}, "steps is 0"),
        ({"x0": GRASS[:1]}, "three channels"),
        ({"x0": GRASS[:, :16]}, "at least 32"),
        ({"x0": GRASS[None].expand(2, -1, -1, -1)}, "a batch"),
        ({"x0": GRASS * 255}, "divide it by 255"),
        ({"x0": GRASS * torch.nan}, "not finite"),
        ({"x0": "grass"}, "lib.read_image"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_errors_say_what_is_wrong(model: lib.Model, sampler: Callable, change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        next(iter(sampler(**({"model": model, "x0": GRASS} | change))))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


# --- diffusion


def test_noise_levels_fall_to_zero() -> None:
    for steps in (2, 10, 40):
        sigmas = noise_levels(steps)
        assert len(sigmas) == steps + 1
        assert (sigmas.diff() < 0).all()
        assert sigmas[-1] == 0
    assert list(noise_levels(2)[:2].tolist()) == pytest.approx([0.5, 0.01])


def test_diffusion_draws_from_the_gaussian_texture(model: lib.Model) -> None:
    """With the Gaussian's multipliers a sample has the exemplar's mean and autocovariance, to Monte-Carlo accuracy."""
    truth = GaussianTexture.fit(0.5 + 0.5 * (GRASS[None] - 0.5), lag=6)
    x0 = truth.sample(64, 64, seed=5).clamp(0, 1)
    drawn = last(lib.diffuse_steps(model, x0, n=6, size=48, seed=1, steps=24, feedback=0))
    (mean, c), (drawn_mean, drawn_c) = (autocovariance(x, 4) for x in (x0, drawn))
    assert torch.allclose(drawn_mean.mean(0), mean[0], atol=0.003)
    variance, drawn_variance = (t.mean(0)[:, :, 4, 4].diagonal() for t in (c, drawn_c))
    assert torch.allclose(drawn_variance, variance, rtol=0.1)
    assert (drawn_c.mean(0) - c[0]).norm() < 0.12 * c.norm()


def test_the_number_of_steps_does_not_change_the_contrast(model: lib.Model) -> None:
    """A first-order sampler loses a fifth of the variance here, and the more the fewer its steps."""
    x0 = GaussianTexture.fit(0.5 + 0.5 * (GRASS[None] - 0.5), lag=6).sample(64, 64, seed=5).clamp(0, 1)
    power = [lib.diffuse(model, x0, n=4, size=48, seed=1, steps=s).var((2, 3)).mean().item() for s in (4, 8)]
    wanted = x0.var((2, 3)).mean().item()
    assert power == pytest.approx([wanted, wanted], rel=0.15)


def test_feedback_brings_statistics_nearer(model: lib.Model) -> None:
    x0 = lib.exemplar("flower")[:, :64, :64]
    targets = Targets.of(model, x0[None])
    left = []
    for feedback in (0.0, 1.0):
        *_, record = lib.diffuse_steps(model, x0, seed=0, steps=7, feedback=feedback)
        left.append(mismatch(model, targets, record.image).item())
    assert left[1] < 0.8 * left[0]


@each
def test_samples_know_no_place(sampler: Callable) -> None:
    """Folded on the coarsest pixel of the network, the mean of many samples is as flat as that of shifted ones."""
    shipped = lib.load()
    *_, record = sampler(shipped, lib.exemplar("pebble")[:, :64, :64], n=12, size=48, seed=2, tileable=True, steps=5)
    g = torch.Generator().manual_seed(0)

    def unevenness(x: Tensor) -> float:
        folded = x.mean((0, 1)).unflatten(0, (3, 16)).unflatten(2, (3, 16)).mean((0, 2))
        return folded.var().item()

    shifted = []
    for _ in range(20):
        by = torch.randint(0, 48, (len(record.image), 2), generator=g).tolist()
        shifted.append(
            unevenness(torch.stack([x.roll(place, (1, 2)) for x, place in zip(record.image, by, strict=True)]))
        )
    assert unevenness(record.image) < 1.5 * max(shifted)


@pytest.mark.parametrize("side", [32, 48, 64])
def test_a_small_exemplar_gives_larger_images(model: lib.Model, side: int) -> None:
    """Multipliers that are best on the exemplar's own small torus diverge on a larger one."""
    x0 = lib.exemplar("marble")[:, 100 : 100 + side, 200 : 200 + side]
    x = lib.diffuse(model, x0, size=80)
    assert torch.allclose(x.mean((0, 2, 3)), x0.mean((1, 2)), atol=0.03)
    assert 0.6 < x.std() / x0.std() < 1.3


# --- denoising


@pytest.mark.parametrize("sigma", [0.05, 0.2, 1.0])
def test_denoising_beats_predicting_the_noisy_image(model: lib.Model, sigma: float) -> None:
    """And comes close to Wiener's filter of the texture's own autocovariance, the best without structure."""
    y = GRASS[None] + sigma * torch.randn(4, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    error = (lib.denoise(model, y, GRASS, sigma) - GRASS).square().mean().item()
    wiener = (GaussianTexture.fit(GRASS[None], lag=8).denoised(y, sigma) - GRASS).square().mean().item()
    assert error < 0.9 * (y - GRASS).square().mean().item()
    assert error < 1.15 * wiener


def test_sigma_is_a_number_or_one_for_each_image(model: lib.Model) -> None:
    y = GRASS + 0.1 * torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    both = lib.denoise(model, y, GRASS, torch.tensor([0.1, 0.3]))
    assert both.shape == y.shape
    assert torch.allclose(both[:1], lib.denoise(model, y[0], GRASS[None], 0.1), atol=1e-5)
    assert torch.allclose(both[1:], lib.denoise(model, y[1:], GRASS, torch.tensor(0.3)), atol=1e-5)
    own = lib.denoise(model, y, torch.stack([GRASS, GRASS.flip(0)]), 0.1)
    assert torch.allclose(own[:1], both[:1], atol=1e-5)
    assert not torch.allclose(own[1:], lib.denoise(model, y[1:], GRASS, 0.1), atol=1e-3)


def test_the_noisy_image_may_be_of_another_size_and_range(model: lib.Model) -> None:
    y = -1 + 3 * torch.rand(1, 3, 33, 70, generator=torch.Generator().manual_seed(0))
    assert lib.denoise(model, y, GRASS, 0.8).shape == y.shape


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"y": GRASS[:, :20]}, "y has shape"),
        ({"y": GRASS[:1]}, "y has shape"),
        ({"y": GRASS / 0}, "not finite"),
        ({"y": "grass"}, "y is a str"),
        ({"sigma": 0}, "sigma is 0"),
        ({"sigma": -0.1}, "sigma is -0.1"),
        ({"sigma": float("inf")}, "sigma is inf"),
        ({"sigma": "0.1"}, "sigma is '0.1'"),
        ({"sigma": torch.tensor([0.1, 0.2])}, "2 sigmas"),
        ({"x0": GRASS * 255}, "divide it by 255"),
        ({"x0": GRASS[None].expand(3, -1, -1, -1)}, "3 exemplars"),
        ({"x0": None}, "x0 is a NoneType"),
    ],
)
def test_denoising_errors_say_what_is_wrong(model: lib.Model, change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        lib.denoise(**({"model": model, "y": GRASS, "x0": GRASS, "sigma": 0.1} | change))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_an_image_of_one_colour_has_textures_too(model: lib.Model, grey: float) -> None:
    """It has no variance that could be a unit of the search."""
    flat = torch.full((3, 32, 32), grey)
    assert (last(lib.match_steps(model, flat, steps=20)) - grey).abs().max() < 0.1
    line = lib.interpolate(model, flat, lib.exemplar("grass")[:, :32, :32], steps=2, iterations=3)
    assert line.isfinite().all()
