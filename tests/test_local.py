"""Statistics under windows: they average what f averages, and see what is under the window."""

import pytest
import torch

import lib
from lib.energy import energy
from lib.statistics.local import area, hats, local

GRASS, PEBBLE = (lib.exemplar(name)[None, :, :64, :96] for name in ("grass", "pebble"))


@pytest.fixture(scope="module", params=["waves", "paper"])
def model(request: pytest.FixtureRequest) -> lib.Model:
    from lib.statistics.architecture import PAPER, WAVES

    torch.manual_seed(0)
    return lib.Model({"waves": WAVES, "paper": PAPER}[request.param]).eval().requires_grad_(False)


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


@pytest.fixture(scope="module")
def hybrid() -> lib.Model:
    from lib.statistics.architecture import HYBRID

    torch.manual_seed(0)
    return lib.Model(HYBRID).eval().requires_grad_(False)


def test_a_network_of_its_own_is_measured_under_the_window(hybrid: lib.Model) -> None:
    """Beside something that would drown it, what is out of its reach leaves its statistics alone."""
    f = hybrid.statistics
    count = f.architecture.potentials
    loud = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)).round()
    texture = lib.exemplar("marble")[None, :, :256, :256]
    left = torch.zeros(256, 512)
    left[64:192, 64:192] = 1
    alone = local(f, texture, left[None, :, :256])[0, 0, -count:]
    beside = torch.cat([texture, loud], -1)
    under = local(f, beside, left[None])[0, 0, -count:]
    whole = local(f, beside, left[None], (torch.ones(1, 256, 512), torch.zeros(1, dtype=torch.long)))[0, 0, -count:]
    assert (under - alone).norm() < 1e-3 * (whole - alone).norm()


def test_windows_of_one_region_share_its_measure(hybrid: lib.Model) -> None:
    f, windows = hybrid.statistics, hats(64, 96, 32)
    everywhere = (torch.ones(1, 64, 96), torch.zeros(len(windows), dtype=torch.long))
    under = local(f, GRASS, windows, everywhere)
    assert torch.allclose(windows.mean((1, 2)) @ under[0], f(GRASS)[0], atol=2e-5)
    own = local(f, GRASS, windows)
    assert torch.allclose(own[0, 2], local(f, GRASS, windows[2:3])[0, 0], atol=2e-5)
    assert not torch.allclose(own, under, atol=1e-3)


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
