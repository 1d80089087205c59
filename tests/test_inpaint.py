"""Holes: what is left alone, what fills them, and the seam against a paste."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import lib
from lib.evaluation.seams import seam
from lib.samplers import inpaint as module
from lib.samplers.diffuse import walk
from lib.samplers.inpaint import RIM, around_hole, checked_hole, grown, looseness, surroundings
from lib.samplers.krige import krige
from lib.samplers.match import gaussian_of
from lib.samplers.step import Step, white_noise

pytestmark = pytest.mark.usefixtures("small_tori")
X = lib.exemplar("grass")[:, :96, :112]
HOLE = torch.zeros(96, 112, dtype=torch.bool)
HOLE[30:52, 50:90] = True
WAYS = pytest.mark.parametrize("by", ["diffuse", "match"])


@WAYS
def test_only_the_hole_changes(model: lib.Model, by: str) -> None:
    found = lib.inpaint(model, X, HOLE, n=2, seed=1, by=by, steps=3)
    assert found.shape == (2, 3, 96, 112)
    assert torch.equal(found[..., ~HOLE], X[None][..., ~HOLE].expand(2, -1, -1))
    assert 0 <= found.min() <= found.max() <= 1
    assert ((found - X)[..., HOLE].abs().mean((1, 2)) > 0.05).all()
    assert (found[0] - found[1])[..., HOLE].abs().mean() > 0.02  # two samples, not one answer


@WAYS
def test_what_was_in_the_hole_is_not_looked_at(model: lib.Model, by: str) -> None:
    other = torch.where(HOLE, torch.ones(()), X)
    pair = [lib.inpaint(model, x, HOLE, by=by, steps=2) for x in (X, other)]
    assert torch.equal(*pair)


@WAYS
def test_a_filling_is_a_function_of_seed_and_place(model: lib.Model, by: str) -> None:
    one, two = (lib.inpaint(model, X, HOLE, n=n, seed=4, by=by, steps=2) for n in (1, 2))
    assert torch.allclose(one, two[:1], atol=2e-3)
    assert (lib.inpaint(model, X, HOLE, seed=5, by=by, steps=2) - one).abs().max() > 0.05


@WAYS
def test_a_filling_has_no_seam_and_a_paste_has(model: lib.Model, by: str) -> None:
    filled = lib.inpaint(model, X, HOLE, n=2, by=by, steps=8)
    paste = torch.where(HOLE, X.roll((40, 31), (-2, -1)), X)[None]
    assert seam(filled, HOLE) < 3 < seam(paste, HOLE)


def test_the_mismatch_falls_step_by_step(model: lib.Model) -> None:
    records = list(lib.inpaint_steps(model, X, HOLE, by="match", steps=8))
    losses = [record.loss for record in records]
    assert [r.step for r in records] == list(range(1, 9))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 2


def test_diffusion_of_a_gaussian_texture_is_kriging(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the denoiser of a Gaussian texture, samples have the mean and the variance that it has given the rest."""
    x0 = 0.5 + 0.5 * (X[None, :, :64, :64] - 0.5)
    gaussian, n = gaussian_of(x0), 24
    known, free = x0[..., :24, :24], torch.zeros(24, 24, dtype=torch.bool)
    free[8:18, 6:16] = True
    monkeypatch.setattr(module, "schedule", lambda *_: None)
    monkeypatch.setattr(module, "estimated", lambda m, s, k, sigma, y, w: (gaussian.denoised(y, sigma), None))
    found: list[Tensor] = []

    def walked(estimate: Callable, y: Tensor, *rest: Any, ahead: bool) -> Iterator[Step]:
        """Before clipping."""

        def kept(*at: object) -> Tensor:
            found.append(estimate(*at))
            return found[-1]

        return walk(kept, y, *rest, ahead)

    monkeypatch.setattr(module, "walk", walked)
    list(module.diffuse(None, x0, known, free, free, lambda k: white_noise(n, 24, 24, 0, k), 15))
    mean = krige(gaussian, known, free, torch.zeros(1, 3, 24, 24))
    wanted = (krige(gaussian, known, free, white_noise(n, 24, 24, 1)) - mean)[..., free]
    apart = (found[-1] - mean)[..., free]
    assert torch.equal(found[-1][..., ~free], known[..., ~free].expand(n, -1, -1))
    assert (apart.var() / wanted.var()).item() == pytest.approx(1, abs=0.2)
    assert apart.mean(0).square().mean() < 3 * wanted.var() / n


@pytest.mark.parametrize(
    ("top", "bottom", "left", "right"), [(0, 20, 0, 30), (70, 96, 60, 112), (40, 41, 0, 112), (90, 96, 50, 51)]
)
def test_holes_at_the_edge_and_across(model: lib.Model, top: int, bottom: int, left: int, right: int) -> None:
    hole = torch.zeros(96, 112)
    hole[top:bottom, left:right] = 1
    found = lib.inpaint(model, X, hole, steps=2)
    assert torch.equal(found[0][:, hole < 0.5], X[:, hole < 0.5])
    assert torch.isfinite(found).all()


def brute(hole: Tensor) -> int:
    best, (height, width) = 0, hole.shape
    sums = torch.zeros(height + 1, width + 1, dtype=torch.long)
    sums[1:, 1:] = hole.long().cumsum(0).cumsum(1)
    for top in range(height - 31):
        for bottom in range(top + 32, height + 1):
            line = sums[bottom] - sums[top]
            for left in range(width - 31):
                free = (line[left + 32 :] == line[left]).nonzero()
                if len(free):
                    best = max(best, (bottom - top) * (32 + int(free.max())))
    return best


@pytest.mark.parametrize("seed", range(4))
def test_the_largest_rectangle_without_a_hole(seed: int) -> None:
    hole = white_noise(1, 44, 50, seed)[0, 0] > 3.0
    hole[5, 41] = True
    x = torch.where(hole, torch.tensor(2.0), torch.rand(3, 44, 50))[None]
    if not brute(hole):
        with pytest.raises(lib.TextureError, match="without the hole"):
            surroundings(x, hole)
        return
    found = surroundings(x, hole)
    assert found.shape[-2] * found.shape[-1] == brute(hole)
    assert found.max() < 2


def test_windows_lie_around_the_hole() -> None:
    inside, band = around_hole(HOLE) > 0
    assert (inside & ~HOLE).any()
    assert inside[HOLE].all()
    assert not band[40, 70]
    assert band[30, 70]
    assert band[29, 70]
    assert torch.equal(inside, grown(HOLE, 8))
    assert not (band & ~inside).any()


def test_pixels_are_freer_further_inside() -> None:
    loose = looseness(HOLE)
    assert (loose[~HOLE] == 0).all()
    assert loose[40, 50:56].tolist() == pytest.approx([k / RIM for k in range(1, 7)])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hole": HOLE[:-1]}, "hole is [95, 112]; it is a tensor [96, 112]"),
        ({"hole": "left"}, "hole is str"),
        ({"hole": torch.zeros(96, 112)}, "hole is empty"),
        ({"hole": torch.ones(96, 112)}, "hole is all of x"),
        ({"hole": torch.full((96, 112), torch.nan)}, "not finite"),
        ({"hole": torch.arange(112).expand(96, -1) % 20 == 0}, "no 32x32 pixels of x are without the hole; give x0"),
        ({"x": X * 255}, "x has pixels"),
        ({"x0": X[:, :20]}, "x0 is"),
        ({"n": 0}, "n is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"steps": 1}, "steps is 1"),
        ({"by": "match", "steps": 0}, "steps is 0"),
        ({"by": "magic"}, "no way 'magic' to draw; known are diffuse, match"),
    ],
)
def test_errors_say_what_is_wrong(model: lib.Model, change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        lib.inpaint(**({"model": model, "x": X, "hole": HOLE} | change))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_hole_may_be_painted_in_grey() -> None:
    grey = torch.tensor([[0.0, 0.4], [0.6, 1.0]])
    assert checked_hole(grey, torch.zeros(1, 3, 2, 2)).tolist() == [[False, False], [True, True]]
