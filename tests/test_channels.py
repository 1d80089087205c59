"""Channel means: published counts, one computed by hand, what a mean over a torus cannot see, and a smooth network."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from recognisers import needs_weights, random_backbone, rescaled_backbone
from torch import Tensor

import lib
from lib.statistics.backbone import TORCHVISION, Backbone, load_backbone
from lib.statistics.channels import CHOICES, ChannelMeans, chosen, smooth
from lib.statistics.recognisers import ARCHITECTURES


@pytest.fixture(scope="module")
def network() -> Backbone:
    return rescaled_backbone()


def noise(height: int = 48, width: int = 40, n: int = 1) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_vgg_has_as_many_as_published() -> None:
    vgg = random_backbone("vgg19")
    counts = [ChannelMeans(vgg, chosen(vgg, choice)).dim for choice in CHOICES]
    assert counts == [2 * 64 + 2 * 128 + 3 * 256, 3 * 512, 2688]


@pytest.mark.parametrize("key", ARCHITECTURES)
def test_full_is_shallow_and_deep_in_the_network_s_order(key: str) -> None:
    a = ARCHITECTURES[key]
    names = [layer.name for layer in a.layers]
    places = [names.index(name) for name in a.shallow + a.deep]
    assert places == sorted(set(places))
    assert a.single in names


def test_the_first_layer_by_hand(network: Backbone) -> None:
    """A circular convolution of the image at twice its size, CELU, and the mean over every other pixel."""
    x = noise()
    weight, bias = network.weights["features.0"]
    wide = F.interpolate(F.pad(x, (1,) * 4, mode="circular"), scale_factor=2, mode="bilinear")[..., 2:-2, 2:-2]
    padded = F.pad(TORCHVISION(wide), (3,) * 4, mode="circular")
    expected = F.celu(F.conv2d(padded, weight, bias, stride=2)).mean((2, 3))
    torch.testing.assert_close(ChannelMeans(smooth(network), ["conv1"])(x), expected)


def test_f_is_the_layers_one_after_another(network: Backbone) -> None:
    x = noise(n=2)
    f = ChannelMeans(network, ("fire4", "conv1"))
    parts = [ChannelMeans(network, [name])(x) for name in ("fire4", "conv1")]
    assert f(x).shape == (2, f.dim)
    assert torch.equal(f(x), torch.cat(parts, 1))
    torch.testing.assert_close(f(x[1:]), f(x)[1:])


def test_a_shift_round_the_torus_and_more_of_the_same_change_nothing(network: Backbone) -> None:
    f, x = ChannelMeans(smooth(network), chosen(network, "full")), noise()
    size = f(x).abs().mean()
    assert (f(x.roll((8, 16), (2, 3))) - f(x)).abs().max() < 1e-3 * size
    assert (f(x.repeat(1, 1, 2, 3)) - f(x)).abs().max() < 1e-3 * size
    assert (f(x.flip(2)) - f(x)).abs().max() > 1e-2 * size


def test_a_smooth_network_is_another_one_with_the_same_weights(network: Backbone) -> None:
    x, other = noise(), smooth(network)
    before, after = network.features(x, ["conv1"])[0], other.features(x, ["conv1"])[0]
    assert torch.equal(after.clamp_min(0), before)
    assert after.min() < -0.1
    assert network.activation is F.relu


@pytest.mark.parametrize(("of", "jump"), [(smooth, 0.0), (load_backbone, 1.0)], ids=["CELU", "ReLU"])
def test_only_a_smooth_network_s_slope_is_continuous_where_a_filter_wakes_up(
    of: Callable[[Backbone], Backbone], jump: float, network: Backbone
) -> None:
    ends = torch.tensor([-1e-6, 1e-6], requires_grad=True)
    (slopes,) = torch.autograd.grad(of(network).activation(ends).sum(), ends)
    assert (slopes[1] - slopes[0]).item() == pytest.approx(jump, abs=1e-4)


def test_what_there_is_not_is_told(network: Backbone) -> None:
    with pytest.raises(lib.TextureError, match=r"layers is 'all'; choose shallow, deep or full"):
        chosen(network, "all")
    with pytest.raises(lib.TextureError, match=r"SqueezeNet 1.0 has no layer 'conv9'; choose among conv1, "):
        ChannelMeans(network, ["conv9"])


@needs_weights
def test_trained_means_tell_a_texture_from_its_gaussian() -> None:
    """Mean responses of a crop are nearer to another crop's than to those of the Gaussian texture."""
    f = ChannelMeans(smooth(None), chosen(load_backbone(), "full"))
    for name in ("pebble", "cloth", "flower"):
        x0 = lib.exemplar(name)
        here, there = (f(x0[None, :, :96, left : left + 96]) for left in (0, 160))
        gaussian = f(lib.synthesize(x0[:, :96, :96]))
        assert (here - there).norm() < 0.7 * (here - gaussian).norm(), name
