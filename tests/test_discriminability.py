"""d' against laws of known d', textures against their exact orders, and what the shipped table may and may not say."""

from itertools import product

import pytest
import torch
from torch import Tensor

import lib
from lib.errors import TextureError
from lib.evaluation import discriminability as told
from lib.statistics.julesz import boxes

SEEDED = torch.Generator().manual_seed(0)
EVERY = torch.tensor(list(product((-1.0, 1.0), repeat=8)))


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=SEEDED)


@pytest.mark.parametrize("d", [0.5, 3.0])
def test_the_distance_of_two_gaussians_is_found_whatever_the_units(d: float) -> None:
    a, b = normal(4000, 6), normal(4000, 6)
    a[:, 2] += d
    found, error = told.separation(a, b, 20)
    assert 0 < error < 0.1
    assert abs(found - d) < 5 * error
    units = torch.tensor([1e-3, 1.0, 1e4, 7.0, 1e2, 1e-2])
    assert told.separation(a * units, b * units, 20)[0] == pytest.approx(found, abs=1e-3)


def test_it_is_zero_on_average_where_the_means_agree_and_nothing_else_does() -> None:
    found, errors = [], []
    for _ in range(150):
        a, b = normal(40, 30), normal(40, 30).square() - 1
        d, error = told.separation(a, 3 * b, 10)
        found.append(d), errors.append(error)
    spread = torch.tensor(found).std().item()
    assert abs(sum(found) / 150) < 4 * spread / 150**0.5
    assert 0.5 < sum(errors) / 150 / spread < 2


@pytest.mark.parametrize("odd", [False, True], ids=["even", "odd"])
def test_pixels_of_boxes_drawn_in_cells_have_the_third_order_of_coins_drawn_in_cells(odd: bool) -> None:
    """Over all boxes of 4x4 cells. Joint moments up to the third are all there is to know of three signs."""
    cells = torch.arange(16).view(4, 4).repeat_interleave(2, 0).repeat_interleave(2, 1).flatten()
    x = boxes(EVERY[:, :4], EVERY[:, 4:], odd).flatten(1)[:, cells]
    n = len(x)
    assert (x.sum(0) == 0).all()
    assert torch.equal(x.T @ x / n, (cells[:, None] == cells).float())
    assert (torch.einsum("ni,nj,nk->ijk", x, x, x) == 0).all()


@pytest.mark.parametrize(("kind", "wanted"), [("even", 1), ("odd", -1)])
def test_boxes_close_on_their_torus(kind: str, wanted: int) -> None:
    x = 2 * told.boxed(kind, 5)[:: told.CELL, :: told.CELL] - 1
    assert (x * x.roll(-1, 0) * x.roll(-1, 1) * x.roll((-1, -1), (0, 1)) == wanted).all()


def test_dots_have_equal_spectra_and_would_not_with_other_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Means of 200 at every frequency that a dot does not blur away, in standard errors."""

    def spectra(which: int) -> Tensor:
        x = torch.stack([told.dotted(which, 2 * seed + which) for seed in range(200)])
        return torch.fft.rfft2(x).abs().square()[:, 1:20, 1:20].flatten(1)

    def apart(a: Tensor, b: Tensor) -> float:
        return ((a.mean(0) - b.mean(0)) / ((a.var(0) + b.var(0)) / 200).sqrt()).abs().max().item()

    trapezoids = spectra(0)
    assert apart(trapezoids, spectra(1)) < 5
    kite = told.four_dots()[1]
    monkeypatch.setattr(told, "four_dots", lambda: (None, kite * torch.tensor([1.3, 1.0])))
    assert apart(trapezoids, spectra(1)) > 8


def test_streaks_are_fair_coins_of_which_neighbours_agree() -> None:
    x = 2 * torch.stack([told.streaks(seed)[:: told.CELL, :: told.CELL] for seed in range(60)]) - 1
    assert x.mean().abs() < 0.01
    assert abs((x * x.roll(1, 2)).mean() - (2 * told.STAY - 1) * (1 - 1 / told.CELLS)) < 0.02
    assert (x * x.roll(1, 1)).mean().abs() < 0.02


def test_micropatterns_go_round_the_torus() -> None:
    side = 2 * told.SPACING
    patches = torch.rand(9, side, side, generator=SEEDED) / 4
    x = told.scattered(patches)
    assert x.shape == (3 * told.SPACING, 3 * told.SPACING)
    assert x.sum() == pytest.approx(patches.sum().item(), rel=1e-5)
    moved = patches.view(3, 3, side, side).roll(1, 1).flatten(0, 1)
    assert torch.allclose(told.scattered(moved), x.roll(told.SPACING, 1))


def test_a_model_is_asked_for_its_statistics_and_no_more() -> None:
    a, b = told.textures("even, odd", 24)
    assert a.shape == b.shape == (24, 3, told.SIDE, told.SIDE)
    fs = told.statistics(a[0])
    assert set(fs) - {"bergen-adelson"} <= set(lib.MODELS)
    found = {}
    for name in ("noise", "gaussian", "bergen-adelson", "portilla-simoncelli"):
        found[name] = told.separation(fs[name](a), fs[name](b))
    for d, error in [found[name] for name in list(found)[:3]]:
        assert abs(d) < 4 * error
    assert found["portilla-simoncelli"][0] > 3


def test_the_shipped_table_has_every_pair_by_every_model_and_no_model_knows_what_it_cannot() -> None:
    rows = {(row.pair, row.model): row for row in told.shipped()}
    models = {model for _, model in rows}
    assert set(rows) == {(pair, model) for pair in told.PAIRS for model in models}
    known = {"noise": 1, "gaussian": 2, "bergen-adelson": 2}  # the order of the statistics that are asked for
    for (pair, model), row in rows.items():
        order = told.DIFFER[pair]
        if order == "nowhere" or (model in known and int(order) > known[model]):
            assert abs(row.d) < 4 * (2 / (row.n / 2)) ** 0.5, row  # of a difference of two means of n/2
    assert rows["biased, fair coins", "noise"].d > 3
    assert rows["streaks, coins", "gaussian"].d > 3


def test_errors_say_what_to_do() -> None:
    with pytest.raises(TextureError, match=r"no pair 'odd, even'; known are one law; .*even, odd"):
        told.textures("odd, even")
    with pytest.raises(TextureError, match="12 and 20 samples are too few"):
        told.separation(normal(12, 3), normal(20, 3))
    with pytest.raises(TextureError, match=r"holds no discriminability\.csv; python -m lib\.evaluation"):
        told.shipped(told.SHIPPED / "nowhere")
