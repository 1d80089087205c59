"""Between two textures: straight lines in mu and in lambda, and what they start and end with."""

import sys

import pytest
import torch

import lib
from lib.energy import predicted_noise
from lib.interpolate import DRAWS, SPACES, Line, carried, loosened, of_gaussian
from lib.samplers.diffuse import Schedule, diffuse_multipliers, schedule, settle
from lib.samplers.match import Targets, blend, blend_gaussians, gaussian_of
from lib.samplers.step import white_noise
from lib.statistics.transport import transported
from lib.training.whitening import whitening

pytestmark = pytest.mark.usefixtures("small_tori")
XA, XB = lib.exemplar("grass")[:, :48, :48], lib.exemplar("pebble")[:, :40, :56]


def settled(model: lib.Model, x: torch.Tensor, steps: int) -> Schedule:
    walk = settle(model, x, steps)
    try:
        while True:
            next(walk)
    except StopIteration as end:
        return end.value


def test_a_line_is_prepared_once_step_by_step(model: lib.Model) -> None:
    line = Line(model, XA, XB, "lambda", iterations=2)
    walk = line.prepare()
    assert [(next(walk).step, len(line.schedules)) for _ in range(3)] == [(1, 0), (2, 0), (1, 1)]
    walk.close()  # whoever stops here loses one end, not both
    assert [record.step for record in line.prepare()] == [1, 2]
    assert list(line.prepare()) == []
    assert len(line.schedules) == 2
    assert list(Line(model, XA, XB, "mu").prepare()) == []


def test_lambda_is_not_found_with_the_samples_noise(model: lib.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same noise twice would be no sample of a density, but a memory."""
    drawn = []

    def draw(n: int, height: int, width: int, seed: int, stream: int = 0) -> torch.Tensor:
        drawn.append((seed, stream))
        return white_noise(n, height, width, seed, stream)

    for name in ("lib.samplers.diffuse", "lib.interpolate"):
        monkeypatch.setattr(sys.modules[name], "white_noise", draw)
    line = Line(model, XA, XB, "lambda", iterations=2)
    list(line.prepare())
    before = set(drawn)
    drawn.clear()
    list(line.at(0.5, seed=0))
    assert before.isdisjoint(drawn)
    assert before
    assert drawn


def test_the_targets_lie_on_a_straight_line(model: lib.Model) -> None:
    a, b = Targets.of(model, XA[None]), Targets.of(model, XB[None])
    for i in range(5):
        t = blend(a, b, i / 4)
        assert torch.allclose(t.mu, (4 - i) / 4 * a.mu + i / 4 * b.mu)
        assert torch.allclose(t.spread, (4 - i) / 4 * a.spread + i / 4 * b.spread)
        assert torch.allclose(t.gaussian.mean, (4 - i) / 4 * a.gaussian.mean + i / 4 * b.gaussian.mean)
    assert torch.equal(blend(a, b, 0.0).mu, a.mu)
    assert torch.equal(blend(a, b, 1.0).mu, b.mu)


def test_transport_is_the_line_of_an_even_change_of_tint(model: lib.Model) -> None:
    """Between x and x + d lies x + t d; the mean of their second moments is that of one half beside the other."""
    x, tint = 0.8 * XA[None], torch.tensor([0.1, 0.02, 0.15])[:, None, None]
    a, b, middle = (Targets.of(model, x + t * tint) for t in (0, 1, 0.5))
    known = slice(0, model.architecture.known)
    assert torch.allclose(carried(model, a, b, 0.5).mu[:, known], middle.mu[:, known], atol=1e-5)
    assert (blend(a, b, 0.5).mu - middle.mu)[:, known].abs().max() > 5e-3


def test_transport_is_the_line_of_an_even_change_of_contrast(model: lib.Model) -> None:
    """Between x and m + 3 (x - m) lies m + 2 (x - m).

    The mean of the variances is higher, 5 for 4, and that of their logarithms lower, log 3 for log 4.
    """
    x = XA[None] / 4
    mean = x.mean((2, 3), keepdim=True)
    a, b, middle = (Targets.of(model, mean + c * (x - mean)) for c in (1, 3, 2))
    bent, straight = carried(model, a, b, 0.5).mu - middle.mu, blend(a, b, 0.5).mu - middle.mu
    known, waves = model.architecture.known, sum(model.architecture.readouts[: model.architecture.of_waves])
    for part, share in ((slice(3, known), 0.3), (slice(known, known + waves), 0.4)):
        assert bent[:, part].norm() < share * straight[:, part].norm()


def test_transport_leads_from_black_to_white_through_grey(model: lib.Model) -> None:
    """And from one grey to grass through half of its contrast; the straight line asks for seven tenths."""
    black, white = torch.zeros(3, 32, 32), torch.ones(3, 32, 32)
    grey = lib.interpolate(model, black, white, steps=2, iterations=8)[1]
    assert (grey - 0.5).abs().max() < 0.02
    even = XA.mean((1, 2), keepdim=True).expand(3, 48, 48).contiguous()
    half = lib.interpolate(model, even, XA, steps=2, iterations=8)[1]
    assert half.std((1, 2)).mean().item() == pytest.approx(XA.std((1, 2)).mean().item() / 2, rel=0.1)


def test_statistics_of_a_gaussian_texture_are_those_of_its_draws(model: lib.Model) -> None:
    texture = transported(gaussian_of(XA[None]), gaussian_of(XB[None]), 0.5)
    expected = of_gaussian(model, texture)
    draws = model.statistics(texture.sample(96, 96, n=24, seed=1))
    error = draws.std(0) / 24**0.5 + draws.std(0) / DRAWS**0.5
    assert (expected[0] - draws.mean(0)).abs().div(error).square().mean() < 2


def test_spectra_are_linear_too_though_their_tables_differ() -> None:
    a, b = gaussian_of(XA[None]), gaussian_of(XB[None])
    assert a.covariance.shape != b.covariance.shape
    spectra = [g.spectrum(64, 64) for g in (a, blend_gaussians(a, b, 0.25), b)]
    assert torch.allclose(spectra[1], 0.75 * spectra[0] + 0.25 * spectra[2])
    assert torch.linalg.eigvalsh(spectra[1]).min() > -1e-10


def test_the_ends_are_the_samplers_own(model: lib.Model) -> None:
    for t, x in ((0.0, XA), (1.0, XB)):
        own = list(lib.match_steps(model, x, seed=3, size=(40, 56), steps=2))
        for space in ("transport", "mu"):
            line = list(lib.between_steps(model, XA, XB, t, space, seed=3, size=(40, 56), iterations=2))
            assert len(line) == len(own) == 2
            assert torch.allclose(line[-1].image, own[-1].image, atol=1e-3), (space, t)
        line = list(lib.between_steps(model, XA, XB, t, "lambda", seed=3, size=(48, 64), iterations=2))
        own = list(
            diffuse_multipliers(
                model, settled(model, x[None], 2), gaussian_of(x[None]), lambda k: white_noise(1, 48, 64, 3, k), 2
            )
        )
        assert len(line) == len(own) == 2
        assert torch.allclose(line[-1].image, own[-1].image, atol=1e-3), t


def test_lambda_is_blended_and_not_the_images(model: lib.Model) -> None:
    """The first estimate is affine in lambda: that of t = 1/2 is the mean of the ends', for the same y."""
    lam_a, lam_b = (schedule(model, x[None], 3, feedback=0).lam[:1] for x in (XA, XB))
    y = torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    ends = [predicted_noise(model.statistics, lam, y) for lam in (lam_a, lam_b)]
    middle = predicted_noise(model.statistics, torch.lerp(lam_a, lam_b, 0.5), y)
    assert torch.allclose(middle, (ends[0] + ends[1]) / 2, atol=1e-5)


def test_shapes_and_one_noise_for_the_whole_line(model: lib.Model) -> None:
    for space in SPACES:
        line = lib.interpolate(model, XA, XB, steps=1, space=space, seed=1, iterations=2)
        assert line.shape == (2, 3, 48, 48)
        assert line.dtype == torch.float32
        assert 0 <= line.min() <= line.max() <= 1
        assert torch.equal(line, lib.interpolate(model, XA, XB, steps=1, space=space, seed=1, iterations=2))
    same = lib.interpolate(model, XA, XA, steps=2, iterations=2)
    assert torch.allclose(same[0], same[1], atol=1e-3)
    assert torch.allclose(same[0], same[2], atol=1e-3)
    records = list(lib.interpolate_steps(model, XA, XB, steps=1, iterations=2))
    assert [(r.step, r.steps) for r in records] == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"space": "nu"}, "no space 'nu'; known are transport, mu, lambda"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 1.5}, "steps is 1.5"),
        ({"iterations": 0}, "iterations is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"xa": XA[:, :20]}, "xa is"),
        ({"xb": XB * 255}, "xb has pixels"),
        ({"xb": XB[None].expand(2, -1, -1, -1)}, "a batch"),
    ],
)
def test_errors_say_what_is_wrong(model: lib.Model, change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        lib.interpolate(**({"model": model, "xa": XA, "xb": XB} | change))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("t", [-0.1, 1.1, float("nan")])
def test_t_runs_from_0_to_1(model: lib.Model, t: float) -> None:
    with pytest.raises(lib.TextureError, match="it runs from 0"):
        next(lib.between_steps(model, XA, XB, t))


def test_a_point_of_the_line_takes_at_least_one_iteration(model: lib.Model) -> None:
    for space in SPACES:
        with pytest.raises(lib.TextureError, match="iterations is 0"):
            next(lib.between_steps(model, XA, XB, 0.5, space, iterations=0))


def test_between_the_ends_directions_count_more_alike(model: lib.Model) -> None:
    """(C + delta I)^(-1/2): the model's own at the ends, and nearer to a multiple of one the more the ends differ."""
    rows = torch.randn(600, model.dim, generator=torch.Generator().manual_seed(0)) * torch.logspace(0, 2, model.dim)
    whitened = lib.Model().eval()
    whitened.whitening = whitening(rows[:, None])
    a, b = (Targets.of(model, x[None]) for x in (XA, XB))
    C = torch.linalg.inv(whitened.whitening.double() @ whitened.whitening.double())
    delta = 0.25 * ((a.mu - b.mu) / ((a.spread + b.spread) / 2)).square().mean()
    expected = torch.linalg.inv(C + delta * torch.eye(model.dim))
    W = loosened(whitened, a, b, 0.5).whitening.double()
    found = W @ W
    assert torch.allclose(found / found.trace(), expected / expected.trace(), atol=1e-5)
    assert (W @ C @ W).trace().item() == pytest.approx(model.dim, rel=1e-3)  # the unit stays
    for t in (0.0, 1.0):
        assert torch.allclose(loosened(whitened, a, b, t).whitening, whitened.whitening, atol=1e-3)
    conditions = [torch.linalg.cond(loosened(whitened, a, b, t).whitening).item() for t in (0.0, 0.1, 0.5)]
    assert conditions[0] > conditions[1] > conditions[2]
