"""The untrained network: the same everywhere, in units, and of use: what a Gaussian texture lacks, it sees."""

import pytest
import torch
from torch import Tensor

import lib
from lib.models.gatys import gatys_steps, gram_mismatch
from lib.models.style import style_transfer_steps
from lib.samplers.step import last
from lib.statistics import untrained
from lib.statistics.backbone import Backbone, calibration, load_backbone
from lib.statistics.gram import Gram
from lib.statistics.recognisers import Conv, Pool
from lib.statistics.sliced_wasserstein import SlicedWasserstein
from lib.statistics.untrained import ACTIVE, UNTRAINED, drawn, gabors

LAYERS = [layer.name for layer in UNTRAINED.layers]
PEBBLE = lib.exemplar("pebble")[:, :64, :64]


@pytest.fixture(scope="module")
def network() -> Backbone:
    return load_backbone("untrained")


@pytest.fixture(scope="module")
def activations(network: Backbone) -> dict[str, Tensor]:
    with torch.no_grad():
        return dict(zip(LAYERS, network.features(calibration(), LAYERS), strict=True))


def noise(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_the_seed_decides_alone() -> None:
    images = calibration()[:2, :, :64, :64]
    torch.manual_seed(5)
    one = drawn(images)
    torch.manual_seed(6)
    again, other = drawn(images), drawn(images, seed=1)
    assert {key: weight.shape for key, (weight, _) in one.items()} == UNTRAINED.shapes
    for key, pair in one.items():
        assert all(torch.equal(a, b) for a, b in zip(pair, again[key], strict=True))
        assert key.endswith("image") or not torch.allclose(pair[0], other[key][0], atol=0.01)


def test_every_filter_is_in_units_of_its_mean(activations: dict[str, Tensor]) -> None:
    for layer in UNTRAINED.layers:
        if isinstance(layer, Conv):
            means = activations[layer.name].mean((0, 2, 3))
            torch.testing.assert_close(means, torch.ones_like(means), rtol=1e-3, atol=0)


def test_a_set_share_of_positions_responds(activations: dict[str, Tensor]) -> None:
    for layer in UNTRAINED.layers:
        if isinstance(layer, Conv):
            shares = (activations[layer.name][:, 3:] > 0).float().mean((0, 2, 3))
            assert shares.max() < ACTIVE + 2e-3
            assert ((shares - ACTIVE).abs() < 2e-3).float().mean() > 0.9
            assert shares.min() > 0.1  # what reads a map that is mostly zero may respond less often


def test_every_octave_hands_the_image_on(network: Backbone, activations: dict[str, Tensor]) -> None:
    x = calibration()
    for layer in UNTRAINED.layers:
        if isinstance(layer, Pool):
            x = torch.nn.functional.avg_pool2d(x, 2)
        else:
            torch.testing.assert_close(activations[layer.name][:, :3], x / x.mean((0, 2, 3), keepdim=True))


def test_filters_are_as_random_gabors_should_be() -> None:
    waves = gabors(2000, 5, torch.Generator().manual_seed(0))
    blind = (waves.sum((1, 2)).abs() < 1e-5).float().mean()
    assert blind.item() == pytest.approx(1 - untrained.WITH_MEAN, abs=0.04)
    spectrum = torch.fft.fft2(waves - waves.mean((1, 2), keepdim=True), s=(32, 32)).abs().square()[:, :17]
    peak = spectrum.flatten(1).argmax(1)
    rows, columns = peak // 32, (peak % 32 + 16) % 32 - 16
    quarters = torch.histc(torch.atan2(rows.float(), columns.float()), 4, 0, torch.pi) / 2000
    assert quarters.min() > 0.18  # all orientations


def test_features_go_round_the_torus(network: Backbone) -> None:
    x, last_of_them = noise(64, 96), LAYERS[-1]
    (h,), (shifted,) = (network.features(y, [last_of_them]) for y in (x, x.roll((8, 16), (2, 3))))
    torch.testing.assert_close(shifted, h.roll((1, 2), (2, 3)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (65, 39)], ids=str)
def test_any_size(network: Backbone, size: tuple[int, int]) -> None:
    for f in (Gram(network), SlicedWasserstein(network)):
        values = f(noise(*size))
        assert values.shape == (1, f.dim)
        assert values.isfinite().all()


def test_captions_say_that_it_is_untrained(network: Backbone) -> None:
    assert Gram("untrained").name == "Gram matrices of an untrained network"
    assert Gram("untrained").dim == 67 * 68 // 2 + 3 * (147 * 148 // 2) == 34_912
    assert load_backbone("untrained") is network


@pytest.mark.parametrize("model", ["gatys", "sliced-wasserstein"])
def test_textures_come_nearer_than_the_gaussian_one_does(network: Backbone, model: str) -> None:
    """Judged by Gram matrices, whichever model made them."""
    loss = gram_mismatch(Gram(network), PEBBLE[None])
    with torch.no_grad():
        gaussian = loss(lib.synthesize(PEBBLE, "gaussian")).item()
        found = loss(lib.synthesize(PEBBLE, model, backbone="untrained", iterations=30)).item()
    assert found < gaussian / (20 if model == "gatys" else 4)


def test_style_transfer_takes_it(network: Backbone) -> None:
    records = list(style_transfer_steps(lib.exemplar("flower")[:, :48, :48], PEBBLE, iterations=8, backbone=network))
    assert records[-1].loss < records[0].loss / 1.5


def test_a_tile_is_made_of_one_piece(network: Backbone) -> None:
    tile = last(gatys_steps(PEBBLE, size=(40, 56), tileable=True, iterations=10, backbone=network))
    across = [(tile - tile.roll(1, axis)).square().movedim(axis, 0).flatten(1).mean(1) for axis in (-1, -2)]
    assert all(a[1:].min() / 1.2 < a[0] < a[1:].max() * 1.2 for a in across)
