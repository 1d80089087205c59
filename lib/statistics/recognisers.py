"""Networks trained on ImageNet to recognise objects, written out as lists of layers, without their classifiers.

VGG-19 (Simonyan & Zisserman 2015), which Gatys et al. (2015) read textures from, and SqueezeNet 1.0 (Iandola et al.
2016), which has a 27th of its convolutions' weights and serves where the 550 MB of the other cannot be had. Layers have
their papers' names, tensors torchvision's. Which layers models read is as published for VGG-19, but for `single`; the
rest, and those of SqueezeNet, were chosen by eye.
"""

from dataclasses import dataclass

from lib.errors import TextureError


@dataclass(frozen=True)
class Kernel:
    """One convolution: its tensors `key`.weight and `key`.bias, outputs, pixels a side."""

    key: str
    channels: int
    side: int = 3


@dataclass(frozen=True)
class Conv:
    """Convolutions side by side and ReLU, outputs concatenated."""

    name: str
    kernels: tuple[Kernel, ...]
    stride: int = 1


@dataclass(frozen=True)
class Pool:
    """Averages over side x side pixels, every other one kept."""

    name: str
    side: int


Layer = Conv | Pool


@dataclass(frozen=True)
class Architecture:
    """Layers in order; which of them the models of this library read; where torchvision publishes the weights."""

    name: str
    layers: tuple[Layer, ...]
    upscale: int
    gram: tuple[str, ...]  # texture: Gatys et al. 2015
    sliced: tuple[str, ...]  # texture: Heitz et al. 2021
    style: tuple[str, ...]  # Gatys et al. 2016
    content: str
    shallow: tuple[str, ...]  # texture in expectation: De Bortoli et al. 2021
    deep: tuple[str, ...]
    single: str  # texture in expectation: Lu et al. 2016
    equal: bool  # whether layers count as they are, as published, or each in units of its target
    url: str

    def channels(self, name: str) -> int:
        """Number of feature maps of a layer."""
        widths, width = {}, 3
        for layer in self.layers:
            width = width if isinstance(layer, Pool) else sum(k.channels for k in layer.kernels)
            widths[layer.name] = width
        if name not in widths:
            raise TextureError(f"{self.name} has no layer {name!r}; choose among {', '.join(widths)}")
        return widths[name]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights by key, by which a file is recognised."""
        found: dict[str, tuple[int, ...]] = {}
        width = 3
        for layer in self.layers:
            if isinstance(layer, Conv):
                found |= {k.key: (k.channels, width, k.side, k.side) for k in layer.kernels}
                width = sum(k.channels for k in layer.kernels)
        return found


def _vgg19() -> tuple[Layer, ...]:
    layers: list[Layer] = []
    at = 0  # torchvision counts ReLUs and pools too
    for block, (convolutions, channels) in enumerate(((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)), 1):
        for i in range(1, convolutions + 1):
            layers.append(Conv(f"conv{block}_{i}", (Kernel(f"features.{at}", channels),)))
            at += 2
        layers.append(Pool(f"pool{block}", 2))
        at += 1
    return tuple(layers)


def _fire(number: int, at: int, channels: int) -> tuple[Layer, ...]:
    """A few 1x1 filters, read by as many 1x1 as 3x3 ones."""
    key, half = f"features.{at}", channels // 2
    squeeze = Conv(f"squeeze{number}", (Kernel(f"{key}.squeeze", channels // 8, 1),))
    kernels = Kernel(f"{key}.expand1x1", half, 1), Kernel(f"{key}.expand3x3", half)
    return squeeze, Conv(f"fire{number}", kernels)


def _squeezenet() -> tuple[Layer, ...]:
    return (
        Conv("conv1", (Kernel("features.0", 96, 7),), 2),
        Pool("pool1", 3),
        *_fire(2, 3, 128),
        *_fire(3, 4, 128),
        *_fire(4, 5, 256),
        Pool("pool4", 3),
        *_fire(5, 7, 256),
        *_fire(6, 8, 384),
        *_fire(7, 9, 384),
        *_fire(8, 10, 512),
        Pool("pool8", 3),
        *_fire(9, 12, 512),
    )


ARCHITECTURES = {
    "vgg19": Architecture(
        name="VGG-19",
        layers=_vgg19(),
        upscale=1,
        gram=("conv1_1", "pool1", "pool2", "pool3", "pool4"),
        sliced=tuple(f"conv{b}_{i}" for b, n in ((1, 2), (2, 2), (3, 4), (4, 4)) for i in range(1, n + 1)),
        style=("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"),
        content="conv4_2",
        shallow=("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3"),
        deep=("conv4_3", "conv4_4", "conv5_2"),
        single="conv3_1",
        equal=True,
        url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    ),
    "squeezenet1_0": Architecture(
        name="SqueezeNet 1.0",
        layers=_squeezenet(),
        upscale=2,
        gram=("conv1", "pool1", "fire2", "fire3", "fire4", "fire5", "fire7"),
        sliced=("conv1", "pool1", "fire2", "fire3", "fire4", "fire5", "fire7"),
        style=("conv1", "fire2", "fire3", "fire5", "fire7"),
        content="fire5",
        shallow=("conv1", "fire2", "fire3"),
        deep=("fire4", "fire5", "fire6", "fire7"),
        single="fire5",
        equal=False,
        url="https://download.pytorch.org/models/squeezenet1_0-b66bff10.pth",
    ),
}
