"""Is recognition the recognition of textures? The labels of photographs, and of textures made of them.

    python -m lib.evaluation.labels OUT --photographs FOLDER --backbone squeezenet1_0

Gatys, Ecker & Bethge (2015) found that the Gram matrices of a network, in which nothing is where it was, name an object
nearly as well as the network does, for one who has learned to read them. Brendel & Bethge (2019) built a network that
looks at small patches only, and counts: it recognises nearly as well as one that sees the whole. Is then a texture of a
photograph still given its label? Each photograph is replaced, and labelled again:

    gaussian        mean and autocovariance alone
    tiles           its 4 x 4 tiles in random order
    untrained, b    Gram matrices of a network with random weights, each of b x b blocks with matrices of its own
    trained, b      the same of the network that gives the labels

b = 1 is a texture of the whole; with more blocks, things come back to their places. A label stays if the photograph's
own is the first (or among the five first) of what replaced it. Only photographs that were labelled right to begin with
are counted, drawn in a random order until there are enough.

FOLDER holds photographs named as those of github.com/EliSchwartz/imagenet-sample-images, one of each of ImageNet's
thousand kinds, nXXXXXXXX_name.JPEG. Sorted, their names are the network's labels. They may have been among the pictures
that it was trained on. None is part of this library: the sheet shows photographs of scikit-image instead.

For this network the answer is: seldom. Three times the iterations, or two deeper layers among those that are matched,
did not bring the labels of three photographs back (lib/evaluation/labels/README.md).

Departures. SqueezeNet 1.0 recognises, and makes the textures, in place of VGG-19; photographs are few, so that shares
come with Wilson's intervals, and of 96 x 96 pixels. Textures are this library's (lib/models/gatys.py): periodic, from a
Gaussian start, by ITERATIONS of L-BFGS.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from PIL import Image
from torch import Tensor

import lib
from lib.command import run
from lib.errors import TextureError
from lib.evaluation import rows as rows_of
from lib.models.gatys import Loss, balanced, descend_through
from lib.samplers.match import colouring, gaussian_of
from lib.samplers.step import last, white_noise
from lib.statistics.backbone import Preprocessing, assembled, weights_of
from lib.statistics.gram import Gram, gram
from lib.statistics.quadratic import periodic_component
from lib.statistics.recognisers import ARCHITECTURES, Pool
from lib.whole import write_whole

SHIPPED = Path(__file__).parent / "labels"
TABLE, SHEET, QUALITY = "labels.csv", "sheet.jpg", 88
SIDE, SEEN = 96, 227  # pixels: of a photograph, and of what the network is shown
TILES = 4
ITERATIONS = 40
COUNT = 24
SHOWN = ("chelsea", "coffee", "rocket")  # photographs of scikit-image without conditions
KINDS = ("gaussian", "tiles", "untrained, 1", "trained, 1", "trained, 2", "trained, 4")
CHANCE = 1 / 1000


@dataclass(frozen=True, eq=False)
class Recogniser:
    """SqueezeNet 1.0 as it was trained: maxima for pools, no torus, and its classifier."""

    weights: dict[str, tuple[Tensor, Tensor]]
    classifier: tuple[Tensor, Tensor]
    preprocessing: Preprocessing

    @classmethod
    def load(cls, name: str) -> "Recogniser":
        """From torchvision's weights or those of a file, as in `load_backbone`.

        Raises TextureError for another network, or a file without the classifier.
        """
        tensors, preprocessing = weights_of(name)
        network = assembled(tensors, preprocessing, name)
        if network.architecture is not ARCHITECTURES["squeezenet1_0"] or "classifier.1.weight" not in tensors:
            raise TextureError(f"{name} is no SqueezeNet 1.0 with its classifier; give 'squeezenet1_0' or such a file")
        last_layer = tensors["classifier.1.weight"].float(), tensors["classifier.1.bias"].float()
        return cls(network.weights, last_layer, preprocessing)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Probabilities [B,1000] of the labels: x [B,3,H,W] in [0,1]."""
        h = self.preprocessing(F.interpolate(x, (SEEN, SEEN), mode="bilinear", antialias=True))
        for layer in ARCHITECTURES["squeezenet1_0"].layers:
            if isinstance(layer, Pool):
                h = F.max_pool2d(h, layer.side, 2, ceil_mode=True)
                continue
            padding = [k.side // 2 if layer.stride == 1 else 0 for k in layer.kernels]
            maps = [
                F.conv2d(h, *self.weights[k.key], stride=layer.stride, padding=p)
                for k, p in zip(layer.kernels, padding, strict=True)
            ]
            h = F.relu(torch.cat(maps, 1))
        return F.relu(F.conv2d(h, *self.classifier)).mean((2, 3)).softmax(1)


@torch.no_grad()
def block_mismatch(statistics: Gram, x0: Tensor, blocks: int) -> Loss:
    """x [B,3,H,W] -> [B]: how far the Gram matrices of blocks x blocks parts are from those of x0 [1,3,H,W].

    One block makes `gatys.gram_mismatch`. Raises TextureError where a layer cannot be divided so.
    """

    def matrices(x: Tensor) -> Iterator[Tensor]:
        for h in statistics.backbone.features(x, statistics.layers):
            if h.shape[-2] % blocks or h.shape[-1] % blocks:
                raise TextureError(f"maps of {list(h.shape[-2:])} have no {blocks} x {blocks} equal blocks; give fewer")
            parts = h.unflatten(3, (blocks, -1)).unflatten(2, (blocks, -1)).permute(0, 2, 4, 1, 3, 5)
            yield gram(parts.flatten(0, 2)).unflatten(0, (len(x), -1))

    targets = list(matrices(periodic_component(x0)))

    def loss(x: Tensor) -> Tensor:
        apart = [(g - t).square().mean((1, 2, 3)) for g, t in zip(matrices(x), targets, strict=True)]
        return balanced(apart, [t.square().mean() for t in targets], statistics.backbone)

    return loss


def blockwise(x0: Tensor, blocks: int, backbone: str, iterations: int = ITERATIONS, seed: int = 0) -> Tensor:
    """A texture [3,H,W] with the Gram matrices of each of blocks x blocks parts of x0 [3,H,W]."""
    gaussian = gaussian_of(x0[None])
    start = colouring(gaussian, *x0.shape[-2:])(white_noise(1, x0.shape[-2], x0.shape[-1], seed))
    loss = block_mismatch(Gram(backbone), x0[None], blocks)
    return last(descend_through(gaussian, loss, start, iterations))[0]


def tiles(x0: Tensor, seed: int = 0) -> Tensor:
    """The TILES x TILES parts of x0 [3,H,W] in random order."""
    parts = F.unfold(x0[None], SIDE // TILES, stride=SIDE // TILES)
    order = torch.randperm(parts.shape[2], generator=torch.Generator().manual_seed(seed))
    return F.fold(parts[..., order], (SIDE, SIDE), SIDE // TILES, stride=SIDE // TILES)[0]


def replaced(x0: Tensor, kind: str, backbone: str) -> Tensor:
    """What stands for x0 [3,SIDE,SIDE]; `kind` is of KINDS."""
    if kind == "gaussian":
        return lib.synthesize(x0, "gaussian")[0]
    if kind == "tiles":
        return tiles(x0)
    network, blocks = kind.split(", ")
    return blockwise(x0, int(blocks), backbone if network == "trained" else network)


def squared(x: Tensor, side: int = SIDE) -> Tensor:
    """The middle square of a photograph [3,H,W], as [3,side,side]."""
    short = min(x.shape[-2:])
    top, left = ((length - short) // 2 for length in x.shape[-2:])
    square = x[None, :, top : top + short, left : left + short]
    return F.interpolate(square, (side, side), mode="bilinear", antialias=True)[0].clamp(0, 1)


def wilson(k: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of shares, of level 95 %, that k of n speak for (Wilson 1927)."""
    share, wide = k / n, z * z / n
    middle, half = share + wide / 2, z * sqrt(share * (1 - share) / n + wide / (4 * n))
    return (middle - half) / (1 + wide), (middle + half) / (1 + wide)


@dataclass(frozen=True)
class Row:
    """What the network says: its `label`, and the rank and probability of the photograph's own label."""

    photograph: str
    kind: str
    label: str
    rank: int
    probability: float


def stays(rows: list[Row], kind: str, among: int = 1) -> tuple[int, int]:
    """How many of how many photographs keep their label, counted: those that are only shown are left out."""
    ranks = [row.rank for row in rows if row.kind == kind and row.photograph not in SHOWN]
    return sum(rank <= among for rank in ranks), len(ranks)


def shipped(folder: Path = SHIPPED) -> list[Row]:
    """The rows of a run; those that come with the library unless another folder is named.

    Raises TextureError where there are none.
    """
    return rows_of.read(folder / TABLE, Row, "lib.evaluation.labels")


def sheet(folder: Path = SHIPPED) -> dict[tuple[str, str], Tensor]:
    """The pictures [3,SIDE,SIDE] of SHOWN, by photograph and kind ("photograph" itself, or one of KINDS)."""
    x = lib.read_image(folder / SHEET)
    names, kinds = SHOWN, ("photograph", *KINDS)
    return {
        (name, kind): x[:, SIDE * i : SIDE * (i + 1), SIDE * j : SIDE * (j + 1)]
        for i, name in enumerate(names)
        for j, kind in enumerate(kinds)
    }


def compare(
    out: Annotated[Path, typer.Argument(help="Folder of the table and the sheet.")],
    photographs: Annotated[Path, typer.Option(help="Folder of nXXXXXXXX_name.JPEG, one a label.")],
    backbone: Annotated[str, typer.Option(help="SqueezeNet 1.0: its name, or a file with its classifier.")],
    count: Annotated[int, typer.Option(min=1, help="Photographs.")] = COUNT,
) -> None:
    """Labels of photographs and of their textures; the same command goes on where it was."""
    files = sorted(photographs.glob("n*_*.JPEG"))
    if len(files) != 1 / CHANCE:
        raise TextureError(f"{photographs} holds {len(files)} photographs nXXXXXXXX_name.JPEG; a thousand are wanted")
    names, network = [file.stem.split("_", 1)[1].replace("_", " ") for file in files], Recogniser.load(backbone)
    rows = shipped(out) if (out / TABLE).exists() else []
    done = {row.photograph for row in rows}

    def replace(photograph: str, x0: Tensor) -> list[Tensor]:
        own = int(network(x0[None]).argmax())
        pictures = [x0, *(replaced(x0, kind, backbone) for kind in KINDS)]
        for kind, x in zip(("photograph", *KINDS), pictures, strict=True):
            p = network(x[None])[0]
            row = Row(photograph, kind, names[int(p.argmax())], int((p > p[own]).sum()) + 1, round(p[own].item(), 4))
            rows.append(row)
        rows_of.write(out / TABLE, rows)
        print(*(f"{row.kind}: {row.label} ({row.rank})" for row in rows[-len(pictures) :]), sep="  ", flush=True)
        return pictures

    if not (out / SHEET).exists():
        pixels = torch.cat([torch.cat(replace(name, _shown(name)), 2) for name in SHOWN], 1)
        image = Image.fromarray((255 * pixels).round().byte().permute(1, 2, 0).numpy())
        write_whole(out / SHEET, lambda path: image.save(path, "JPEG", quality=QUALITY, subsampling=0))
    order = list(range(len(files)))
    random.Random(0).shuffle(order)
    found = 0
    for i in order:
        x0 = squared(lib.read_image(files[i]))
        if int(network(x0[None]).argmax()) == i:
            if files[i].stem not in done:
                replace(files[i].stem, x0)
            found += 1
        if found == count:
            break


def _shown(name: str) -> Tensor:
    from skimage import data  # the only room that needs it

    return squared(torch.from_numpy(getattr(data, name)()).permute(2, 0, 1).float() / 255)


if __name__ == "__main__":
    run(compare)
