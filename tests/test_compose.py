"""Densities composed: the cases that reduce to one density, Gaussian ones, views that move with the noise, masks."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import lib
from lib.energy import predicted_noise
from lib.samplers.compose import MARGIN, Composition, checked_masks, closed, ramp
from lib.samplers.diffuse import SIGMA_MAX, diffuse_multipliers, schedule, walk
from lib.samplers.match import Targets, gaussian_of, mismatch
from lib.samplers.step import last, white_noise
from lib.views import VIEWS, View, same_colours

A, B = (lib.exemplar(name)[:, :64, :64] for name in ("grass", "pebble"))
pytestmark = pytest.mark.usefixtures("small_tori")
EYE = torch.eye(3, dtype=torch.float64)
WAYS = pytest.mark.parametrize("by", ["match", "diffuse"])


def draw(whole: Composition, by: str, noise: Callable[[int], Tensor], steps: int = 4) -> Tensor:
    return last(whole.match(noise(0), steps) if by == "match" else whole.diffuse(noise, steps))


# --- products


@WAYS
def test_the_mean_of_a_density_with_itself_is_it(model: lib.Model, by: str) -> None:
    twice = lib.compose(model, [A, A], n=1, seed=3, size=(48, 64), by=by, steps=5)
    if by == "match":
        once = last(lib.match_steps(model, A, n=1, seed=3, size=(48, 64), steps=5, tileable=True))
    else:
        x0 = A[None]
        once = last(
            diffuse_multipliers(
                model, schedule(model, x0, 5), gaussian_of(x0), lambda k: white_noise(1, 48, 64, 3, k), 5
            )
        )
    assert torch.allclose(twice, once, atol=5e-3)


def test_a_density_times_itself_is_colder(model: lib.Model) -> None:
    """p_A p_A of a Gaussian is a Gaussian of half the variance, and the same mean."""
    pale = 0.5 + 0.5 * (A - 0.5)  # so that nothing is clipped
    once, twice = (
        last(lib.compose_steps(model, [pale], weights=[w], n=3, by="diffuse", steps=16, feedback=0)) for w in (1.0, 2.0)
    )
    once, twice = (x - x.mean((0, 2, 3), keepdim=True) for x in (once, twice))
    assert (twice.var() / once.var()).item() == pytest.approx(0.5, abs=0.06)
    pair = last(lib.compose_steps(model, [pale, pale], weights=[1, 1], n=1, by="diffuse", steps=4, feedback=0))
    same = last(lib.compose_steps(model, [pale], weights=[2.0], n=1, by="diffuse", steps=4, feedback=0))
    assert torch.allclose(pair, same, atol=1e-4)


@pytest.mark.parametrize(
    ("other", "weight", "least", "most"),
    [(A, 0.5, 0.9, 1.1), (A, 1.0, 0.9, 1.1), (B, 0.5, 1.2, 2.5), (B, 1.0, 1.2, 2.5)],
)
def test_what_averaged_estimates_draw_of_gaussians(other: Tensor, weight: float, least: float, most: float) -> None:
    """Of p_A p_A what it should; of p_A p_B, whose precision is the sum of theirs, with more variance (Du et al.)."""
    pair, factor = [gaussian_of(x[None]) for x in (A, other)], (2 * weight) ** 0.5

    def estimate(k: int, sigma: Tensor, y: Tensor) -> Tensor:
        eps = sum(weight * g.predicted_noise(y, factor * sigma) for g in pair) / factor
        found.append(y - sigma * eps)
        return found[-1]

    found: list[Tensor] = []
    precision = sum(weight * torch.linalg.inv(g.spectrum(32, 32)[0] + (factor * SIGMA_MAX) ** 2 * EYE) for g in pair)
    values, vectors = torch.linalg.eigh(precision)
    root = ((vectors * values[..., None, :].rsqrt()) @ vectors.mH).to(torch.complex64)
    z = torch.fft.rfft2(white_noise(24, 32, 32, 0))
    y = torch.fft.irfft2(torch.einsum("hwij,bjhw->bihw", root, z), s=(32, 32))
    mean = sum(g.mean for g in pair)[:, :, None, None].float() / 2
    list(walk(estimate, mean + y, lambda k: white_noise(24, 32, 32, 0, k), 30, ahead=True))

    precision = sum(weight * torch.linalg.inv(g.spectrum(32, 32)[0] + 1e-4 * EYE) for g in pair)
    values = torch.fft.irfft2(torch.linalg.inv(precision).diagonal(dim1=2, dim2=3).mean(-1), s=(32, 32))
    assert least < (found[-1].var(0).mean() / values[0, 0]).item() < most


def test_noise_estimates_are_averaged_in_the_pictures_frame(model: lib.Model) -> None:
    """As in Geng, Park & Owens: each estimate is carried back by the inverse of its view; no gradient through views."""
    views = [VIEWS["upright"], VIEWS["turned"], VIEWS["scrambled"], VIEWS["negative"]]
    textures = [A[None], B[None], A[None], B[None]]
    whole = Composition(model, textures, 48, 64, views)
    first = next(whole.diffuse(lambda k: white_noise(1, 48, 64, 0, k), 5, feedback=0)).image
    y, eps = whole.start(white_noise(1, 48, 64, 0), SIGMA_MAX), torch.zeros(1, 3, 48, 64)
    for x0, view in zip(textures, views, strict=True):
        lam = schedule(model, x0, 5, feedback=0).lam[0]
        eps += view.back(predicted_noise(model.statistics, lam, view(y))) / 4
    assert torch.allclose(first, (y - SIGMA_MAX * eps).clamp(0, 1), atol=1e-4)


# --- views


@WAYS
@pytest.mark.parametrize("name", VIEWS)
def test_a_texture_seen_through_a_view_is_that_texture(model: lib.Model, by: str, name: str) -> None:
    """Drawn from the noise as it is seen, it is the picture as it is seen."""
    view = VIEWS[name]

    def noise(k: int) -> Tensor:
        return white_noise(1, 48, 64, 2, k)

    picture = draw(Composition(model, [A[None]], 48, 64, [view]), by, noise)
    seen = view.see(noise(0))
    plain = draw(Composition(model, [A[None]], *seen.shape[-2:]), by, lambda k: view.see(noise(k)))
    assert torch.allclose(view(picture), plain, atol=2e-3)
    assert seen.std().item() == pytest.approx(1, abs=0.02)


def test_an_anagram_is_nearer_to_each_texture_in_its_own_view(model: lib.Model) -> None:
    textures = same_colours([A, B])
    picture = lib.compose(model, textures, ["upright", "shuffled"], steps=25)
    a, b = (Targets.of(model, x[None]) for x in textures)
    for view, own, other in (("upright", a, b), ("shuffled", b, a)):
        seen = VIEWS[view](picture)
        assert mismatch(model, own, seen).item() < mismatch(model, other, seen).item() / 4, view


def test_a_view_of_ones_own(model: lib.Model) -> None:
    swap = View("red and blue", lambda x: x.flip(1), lambda x: x.flip(1))
    own = lib.compose(model, [A, B], ["upright", swap], by="diffuse", steps=2)
    assert own.shape == (1, 3, 64, 64)
    blur = View("blur", lambda x: (x + x.roll(1, -1)) / 2, lambda x: x)
    with pytest.raises(lib.TextureError, match="'blur' is not orthogonal"):
        lib.compose(model, [A, B], ["upright", blur])


# --- masks


@WAYS
def test_one_mask_for_all_is_no_mask(model: lib.Model, by: str) -> None:
    masks = torch.ones(1, 48, 64)
    found, wanted = (
        draw(Composition(model, [A[None]], 48, 64, masks=m), by, lambda k: white_noise(1, 48, 64, 0, k), 3)
        for m in (masks, None)
    )
    if by == "diffuse":
        assert torch.allclose(found, wanted, atol=1e-3)
    else:  # windows in place of the whole
        assert (found - wanted).square().mean().sqrt() < 0.5 * wanted.std()


def test_windows_share_out_the_masks(model: lib.Model) -> None:
    masks = ramp(96, 192)
    windows, mixed, (regions, which) = Composition(model, [A[None], B[None]], 96, 192, masks=masks).windows()
    assert torch.allclose(mixed.sum(1), torch.ones(len(windows)))
    assert (windows <= regions[which] + 1e-6).all()
    assert windows.sum() > 0.97 * 96 * 192  # few are too small
    assert (mixed[:, 0] > 0.99).any()
    assert (mixed[:, 1] > 0.99).any()
    assert ((mixed[:, 0] > 0.3) & (mixed[:, 0] < 0.7)).any()
    halves = (masks[:1] > 0.5).float()
    hard = Composition(model, [A[None], B[None]], 96, 192, masks=torch.cat([halves, 1 - halves])).windows()[1]
    assert torch.minimum(hard, 1 - hard).abs().max() < 1e-5


@WAYS
def test_lambda_as_a_map_turns_from_a_to_b(model: lib.Model, by: str) -> None:
    """The colours from left to right: from those of A to those of B, between them on the way."""
    picture = lib.compose(model, [A, B], masks=ramp(64, 192), by=by, steps=6 if by == "diffuse" else 10)
    assert picture.shape == (1, 3, 64, 192)
    mu = torch.stack([x.mean((1, 2)) for x in (A, B)])
    found = torch.stack([picture[0, :, :, start : start + 32].mean((1, 2)) for start in (0, 80, 160)])
    place = ((found - mu[0]) @ (mu[1] - mu[0])) / (mu[1] - mu[0]).square().sum()  # 0 at A, 1 at B
    assert place[0] < 0.3
    assert place[2] > 0.7
    assert place[0] < place[1] < place[2]


def test_masks_are_divided_by_their_sum() -> None:
    masks = checked_masks(torch.tensor([3.0, 1.0])[:, None, None].expand(2, 4, 4), 2)
    assert torch.equal(masks[:, 0, 0], torch.tensor([0.75, 0.25]))
    t = ramp(32, 100)
    assert torch.equal(t.sum(0), torch.ones(32, 100))
    assert t[0, 0, :20].min() == 1
    assert t[1, 0, -20:].min() == 1
    assert (t[0, 0].diff() <= 0).all()


# --- what all promise


@WAYS
@pytest.mark.parametrize("size", [(32, 32), (37, 50), (64, 33)], ids=str)
@pytest.mark.parametrize("kind", ["views", "masks"])
def test_any_size(model: lib.Model, by: str, size: tuple[int, int], kind: str) -> None:
    how = {"views": {"views": ["turned", "scrambled"], "size": size}, "masks": {"masks": ramp(*size)}}[kind]
    x = lib.compose(model, [A[:, :40], B], by=by, steps=2, **how)
    assert x.shape == (1, 3, *size)
    assert x.dtype == torch.float32
    assert 0 <= x.min() <= x.max() <= 1


@WAYS
def test_picture_i_is_a_function_of_seed_and_place(model: lib.Model, by: str) -> None:
    one, two = (lib.compose(model, [A, B], ["upright", "turned"], n=n, seed=4, by=by, steps=3) for n in (1, 2))
    assert torch.allclose(one, two[:1], atol=2e-3)
    assert (two[0] - two[1]).abs().mean() > 0.02
    assert (lib.compose(model, [A, B], ["upright", "turned"], seed=5, by=by, steps=3) - one).abs().mean() > 0.02


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"textures": []}, "no textures"),
        ({"textures": [A, B * 255]}, "texture 2 has pixels"),
        ({"views": ["upright"]}, "2 textures and 1 views"),
        ({"views": ["upright", "askew"]}, "no view 'askew'; known are upright, turned"),
        ({"weights": [1.0]}, "2 textures and 1 weights"),
        ({"weights": [1.0, -1.0]}, "weights are [1.0, -1.0]"),
        ({"weights": [1.0, float("nan")]}, "weights are [1.0, nan]"),
        ({"masks": ramp(64, 64), "weights": [1, 1]}, "masks go without views and weights"),
        ({"masks": ramp(64, 64)[:1]}, "masks are [1, 64, 64]; for 2 textures they are a tensor [2,H,W]"),
        ({"masks": "left"}, "masks are str"),
        ({"masks": -ramp(64, 64)}, "negative or not finite"),
        ({"masks": torch.zeros(2, 64, 64)}, "leave pixels to no texture"),
        ({"masks": torch.stack([torch.ones(64, 64), torch.zeros(64, 64)])}, "a mask is zero everywhere"),
        ({"masks": ramp(64, 64), "size": 48}, "masks are 64x64, the size 48"),
        ({"masks": ramp(16, 64)}, "size (16, 64) is not"),
        ({"by": "magic"}, "no way 'magic' to draw; known are match, diffuse"),
        ({"by": "diffuse", "steps": 1}, "steps is 1"),
        ({"n": 0}, "n is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"size": 20}, "size 20 is not"),
    ],
)
def test_errors_say_what_is_wrong(model: lib.Model, change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        lib.compose(**({"model": model, "textures": [A, B]} | change))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_around_a_torus_masks_go_from_the_last_to_the_first() -> None:
    masks = ramp(40, 64)
    round_ = closed(closed(masks, 80, -2), 112, -1)
    assert torch.equal(round_[:, MARGIN : MARGIN + 40, MARGIN : MARGIN + 64], masks)
    assert torch.allclose(round_.sum(0), torch.ones(80, 112))
    steps = round_[0, 0] - round_[0, 0].roll(1)
    assert steps.abs().max() < 1.2 / 38  # no more than the slope of the ramp itself, or of the 48 pixels beyond it
