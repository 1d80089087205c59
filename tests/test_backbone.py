"""Recognisers: published counts, what a torus asks for, the rescaled weights, and every way to name one wrongly."""

import urllib.error
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from recognisers import needs_weights, random_backbone, random_tensors
from safetensors.torch import save_file
from torch import Tensor

import lib
from lib.statistics import backbone
from lib.statistics.backbone import (
    TORCHVISION,
    VARIABLE,
    Backbone,
    assembled,
    calibration,
    load_backbone,
)
from lib.statistics.gram import Gram
from lib.statistics.recognisers import ARCHITECTURES, Conv, Pool

each = pytest.mark.parametrize("key", ARCHITECTURES)


@pytest.fixture(autouse=True)
def forgetful() -> None:
    """Each test loads for itself."""
    backbone._load.cache_clear()


@pytest.fixture(scope="module", params=ARCHITECTURES)
def network(request: pytest.FixtureRequest) -> Backbone:
    return random_backbone(request.param)


def names(network: Backbone) -> list[str]:
    return [layer.name for layer in network.architecture.layers]


def noise(height: int, width: int, n: int = 1) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("key", "all_of_them", "classifier"), [("vgg19", 143_667_240, 123_642_856), ("squeezenet1_0", 1_248_424, 513_000)]
)
def test_parameters_are_as_many_as_published(key: str, all_of_them: int, classifier: int) -> None:
    assert sum(t.numel() for t in random_tensors(key).values()) == all_of_them - classifier


def test_tensors_are_named_as_torchvision_names_them() -> None:
    at = [int(key.removeprefix("features.")) for key in ARCHITECTURES["vgg19"].shapes]
    assert at == [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    keys = list(ARCHITECTURES["squeezenet1_0"].shapes)
    assert keys[:4] == ["features.0", *(f"features.3.{k}" for k in ("squeeze", "expand1x1", "expand3x3"))]
    assert [int(key.split(".")[1]) for key in keys[1::3]] == [3, 4, 5, 7, 8, 9, 10, 12]


def test_away_from_its_border_vgg_is_the_usual_one() -> None:
    network, x = random_backbone("vgg19"), noise(40, 40)
    h = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    for step in (0, 2, None, 5, 7):
        if step is None:
            h = F.avg_pool2d(h, 2)
        else:
            h = F.relu(F.conv2d(h, *network.weights[f"features.{step}"], padding=1))
    (found,) = network.features(x, ["conv2_2"])
    assert found.shape == h.shape
    torch.testing.assert_close(found[..., 4:-4, 4:-4], h[..., 4:-4, 4:-4])


@pytest.mark.parametrize("size", [(32, 32), (33, 32), (47, 50), (65, 39)], ids=str)
def test_any_size(network: Backbone, size: tuple[int, int]) -> None:
    maps = dict(zip(names(network), network.features(noise(*size), names(network)), strict=True))
    halvings = 0
    for layer in network.architecture.layers:
        halvings += isinstance(layer, Pool)
        h, sides = maps[layer.name], [-(-side // 2**halvings) for side in size]
        assert h.shape == (1, network.architecture.channels(layer.name), *sides), layer.name
        assert h.isfinite().all()
        assert h.min() >= 0


def test_features_go_round_the_torus(network: Backbone) -> None:
    """Shift the image by a pixel of the deepest map, and every map is shifted."""
    x, last = noise(64, 96), names(network)[-1]
    step = 32 if network.name == "VGG-19" else 8
    (h,), (shifted,) = network.features(x, [last]), network.features(x.roll((step, 2 * step), (2, 3)), [last])
    torch.testing.assert_close(shifted, h.roll((1, 2), (2, 3)), rtol=1e-3, atol=1e-4)


def test_tiles_have_the_features_of_the_tile(network: Backbone) -> None:
    x = noise(32, 32)
    for h, tiled in zip(
        network.features(x, names(network)), network.features(x.repeat(1, 1, 2, 3), names(network)), strict=True
    ):
        torch.testing.assert_close(tiled, h.repeat(1, 1, 2, 3), rtol=1e-3, atol=1e-4)


def test_layers_come_in_the_order_asked_for() -> None:
    network, x = random_backbone(), noise(32, 32)
    deep, shallow = network.features(x, ["fire3", "conv1"])
    assert deep.shape[1] == 128
    assert torch.equal(shallow, network.features(x, ["conv1"])[0])
    with pytest.raises(lib.TextureError, match="has no layer 'conv9'; choose among conv1, pool1,"):
        network.features(x, ["conv9"])


def test_enlarging_is_periodic_and_keeps_the_mean() -> None:
    x = noise(7, 5)
    wide = backbone.enlarged(x, 2)
    assert wide.shape[-2:] == (14, 10)
    torch.testing.assert_close(backbone.enlarged(x.roll((2, 3), (2, 3)), 2), wide.roll((4, 6), (2, 3)))
    torch.testing.assert_close(wide.mean((2, 3)), x.mean((2, 3)))


# --- weights rescaled


def test_each_filter_has_mean_activation_one(network: Backbone) -> None:
    images = noise(48, 48, n=3)
    maps = network.rescaled(images).features(images, names(network))
    for layer, h in zip(network.architecture.layers, maps, strict=True):
        if isinstance(layer, Conv):
            means = h.mean((0, 2, 3))
            responding = means > 0.999
            torch.testing.assert_close(means[responding], torch.ones(int(responding.sum())), rtol=1e-3, atol=0)
            assert responding.float().mean() > 0.3, layer.name  # the others, with random weights, hardly ever do
            assert (means < 1.001).all()


def test_rescaling_leaves_the_function_up_to_units(network: Backbone) -> None:
    """Checked on images it has not seen."""
    images, others = noise(48, 48, n=3), 0.3 * noise(40, 40) + 0.2
    rescaled = network.rescaled(images)
    for name, h, g in zip(
        names(network), network.features(others, names(network)), rescaled.features(others, names(network)), strict=True
    ):
        units = (h * g).sum((2, 3), keepdim=True) / g.square().sum((2, 3), keepdim=True).clamp_min(1e-12)
        assert (h - units * g).norm() < 1e-3 * h.norm(), name


def test_a_filter_that_never_responds_stays_finite() -> None:
    tensors = random_tensors("squeezenet1_0")
    tensors["features.0.weight"][5] = 0
    tensors["features.0.bias"][5] = -1
    network = assembled(tensors).rescaled(noise(32, 32))
    assert all(t.isfinite().all() for pair in network.weights.values() for t in pair)


def test_the_nine_exemplars_calibrate() -> None:
    images = calibration()
    assert images.shape == (9, 3, 160, 160)
    assert (images - images[0]).abs().mean((1, 2, 3)).gt(0.05).sum() == 8


# --- how one is named


@each
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_says_what_it_is(key: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone, "CALIBRATION", 32)
    path = tmp_path / f"weights{suffix}"
    tensors = random_tensors(key) | {"classifier.1.bias": torch.zeros(1000)}
    torch.save(tensors, path) if suffix == ".pth" else save_file(tensors, path)
    network = load_backbone(path)
    assert network.name == ARCHITECTURES[key].name
    assert network.preprocessing == TORCHVISION
    assert load_backbone(str(path)) is network
    assert load_backbone(network) is network
    monkeypatch.setenv(VARIABLE, str(path))
    assert load_backbone() is network


def test_a_file_says_what_it_expects(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(random_tensors("squeezenet1_0"), path, metadata={"input": "RGB 0..255 minus (123,117.5,104)"})
    x = noise(4, 4)
    wanted = 255 * x - torch.tensor([123, 117.5, 104])[:, None, None]
    torch.testing.assert_close(load_backbone(path).preprocessing(x), wanted)
    save_file(random_tensors("squeezenet1_0"), path, metadata={"input": "BGR"})
    backbone._load.cache_clear()
    with pytest.raises(lib.TextureError, match="says its input is 'BGR'; known is"):
        load_backbone(path)


def test_a_name_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(url: str, **_: object) -> dict[str, Tensor]:
        asked.append(url)
        return random_tensors("squeezenet1_0")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
    monkeypatch.setattr(backbone, "CALIBRATION", 32)
    assert load_backbone("squeezenet1_0").name == "SqueezeNet 1.0"
    assert load_backbone("squeezenet1_0").name == "SqueezeNet 1.0"
    assert asked == ["https://download.pytorch.org/models/squeezenet1_0-b66bff10.pth"]


@pytest.mark.parametrize(
    "error", [urllib.error.URLError("no route to host"), RuntimeError("invalid hash value (expected dcbb)"), EOFError()]
)
def test_without_a_network_it_says_what_to_do(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(url: str, **_: object) -> None:
        raise error

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(lib.TextureError) as caught:
        load_backbone()
    said = str(caught.value)
    assert "VGG-19" in said
    assert "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth" in said
    assert VARIABLE in said
    assert "\n" not in said


def test_a_cached_failure_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    test_without_a_network_it_says_what_to_do(urllib.error.URLError("down"), monkeypatch)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda url, **_: random_tensors("vgg19"))
    monkeypatch.setattr(backbone, "CALIBRATION", 32)
    assert load_backbone().name == "VGG-19"


def test_wrong_files_are_told_in_one_line(tmp_path: Path) -> None:
    foreign, half, text = tmp_path / "foreign.pth", tmp_path / "half.safetensors", tmp_path / "text.pth"
    whole, number = tmp_path / "whole.pth", tmp_path / "number.pth"
    tensors = random_tensors("squeezenet1_0")
    torch.save(tensors | {"features.0.weight": torch.zeros(64, 3, 3, 3)}, foreign)
    save_file(tensors, whole)
    half.write_bytes(whole.read_bytes()[:10_000])
    text.write_text("These are no weights.")
    torch.save(torch.zeros(3), number)
    cases: dict[str | Path, str] = {
        "vgg16": "there is no backbone 'vgg16'; give 'vgg19' or 'squeezenet1_0', or the path",
        tmp_path / "missing.pth": "there is no backbone",
        tmp_path: "there is no backbone",
        foreign: "does not hold the weights of VGG-19 or SqueezeNet 1.0",
        half: "is no file of weights",
        text: "is no file of weights",
        number: "holds a Tensor",
    }
    for name, said in cases.items():
        with pytest.raises(lib.TextureError) as caught:
            load_backbone(name)
        assert said in str(caught.value)
        assert str(name) in str(caught.value)
        assert "\n" not in str(caught.value)


# --- real weights, where there are any


@needs_weights
def test_a_trained_recogniser_tells_textures_apart() -> None:
    """Each crop's Gram matrices are nearest to those of another crop of the same texture."""
    f = Gram()
    with torch.no_grad():
        first, second = (
            torch.cat([f(lib.exemplar(name)[None, :, at : at + 96, at : at + 96]) for name in lib.EXEMPLARS])
            for at in (0, 240)
        )
    nearest = torch.cdist((first + 1e-3).log(), (second + 1e-3).log()).argmin(1)
    assert (nearest == torch.arange(9)).float().mean() >= 8 / 9
