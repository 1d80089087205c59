"""Statistics under windows: they average what f averages, and see what is under the window."""

import pytest
import torch

import lib
from lib.energy import energy
from lib.statistics.local import area, hats, local

GRASS, PEBBLE = (lib.exemplar(name)[None, :, :64, :96] for name in ("grass", "pebble"))


@pytest.fixture(scope="module", params=["default", "paper"])
def model(request: pytest.FixtureRequest) -> lib.Model:
    from lib.statistics.learned import DEFAULT, PAPER

    torch.manual_seed(0)
    return lib.Model({"default": DEFAULT, "paper": PAPER}[request.param]).eval().requires_grad_(False)


def test_one_window_for_all_is_f(model: lib.Model) -> None:
    x = torch.cat([GRASS, PEBBLE])
    under = local(model.statistics, x, torch.full((1, 64, 96), 0.3))
    assert under.shape == (2, 1, model.dim)
    assert torch.allclose(under[:, 0], model.statistics(x), atol=2e-5)


def test_windows_that_add_up_to_one_have_statistics_that_do(model: lib.Model) -> None:
    windows = hats(64, 96, 32)
    assert windows.shape == (6, 64, 96)
    assert torch.allclose(windows.sum(0), torch.ones(64, 96))
    shares = windows.mean((1, 2))
    assert torch.allclose(shares @ local(model.statistics, GRASS, windows)[0], model.statistics(GRASS)[0], atol=2e-5)


def test_lambda_as_a_map_is_an_energy_that_adds_up_over_pixels(model: lib.Model) -> None:
    """The same lambda everywhere is Eq. 2's energy, however it is cut into windows; and its gradient is eps_hat."""
    lam = torch.randn(model.dim, generator=torch.Generator().manual_seed(0))
    windows = hats(64, 96, 20)
    y = GRASS.clone().requires_grad_()
    parts = (windows.sum((1, 2)) * (local(model.statistics, y, windows)[0] @ lam)).sum()
    assert parts.item() == pytest.approx(energy(model.statistics, lam, y).item(), rel=1e-4)
    found, wanted = (torch.autograd.grad(e, y)[0] for e in (parts, energy(model.statistics, lam, y).sum()))
    assert (found - wanted).norm() < 1e-3 * wanted.norm()


def test_a_window_sees_what_is_under_it() -> None:
    torch.manual_seed(0)
    f = lib.Model().eval().requires_grad_(False).statistics
    grass, pebble = (lib.exemplar(name)[None, :, :128, :128] for name in ("grass", "pebble"))
    halves = torch.cat([grass, pebble], -1)
    left = torch.zeros(128, 256)
    left[24:104, 32:96] = 1
    windows = torch.stack([left, left.roll(128, 1)])
    own = torch.stack([local(f, x, left[None, :, :128])[0, 0] for x in (grass, pebble)])
    found = local(f, halves, windows)[0]
    # differs by what filters see beyond the window, far less than the textures do
    assert ((found - own).norm(dim=1) < 0.1 * (own[0] - own[1]).norm()).all()


def test_sizes_that_do_not_halve(model: lib.Model) -> None:
    x = GRASS[..., :37, :51]
    under = local(model.statistics, x, torch.rand(3, 37, 51, generator=torch.Generator().manual_seed(0)) + 0.1)
    assert torch.isfinite(under).all()
    whole = local(model.statistics, x, torch.ones(1, 37, 51))[:, 0]
    assert torch.allclose(whole, model.statistics(x), atol=2e-5)


def test_the_area_of_a_window() -> None:
    square = torch.zeros(40, 40)
    square[:10, :20] = 3
    assert area(square[None]).item() == pytest.approx(200)
    assert area(torch.ones(1, 40, 40)).item() == pytest.approx(1600)
    assert area(hats(80, 80, 20))[0].item() == pytest.approx((20 * 3 / 2) ** 2, rel=0.01)
    assert torch.equal(hats(40, 33, 64), torch.ones(1, 40, 33))
