"""From photographs or patch shards to batches of crops: a texture stays a texture under all that is done here.

A batch is a function of (seed, step) alone, so that an interrupted run goes on exactly where it was.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lib.errors import TextureError
from lib.images import image_files

ALL = slice(None)
TILTED = 0.8  # share of crops that are turned by any angle: bricks and weaves lie along rows and columns, stones do not
TAPS = 4  # pixels that cubic interpolation needs beyond those between which it is asked


class Images(Protocol):
    """Images uint8 [H,W,3] one after another, in memory or on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> np.ndarray: ...


Groups = Mapping[str, Images]


@dataclass(frozen=True)
class Cut:
    """One crop as it was drawn: where, at which scale, turned and tinted how.

    A crop at an angle is cut from the middle of a square of the image that has room for it.
    """

    image: int
    factor: int  # pixels of the image a pixel of the crop
    top: int
    left: int
    angle: float  # radians
    turns: int  # by a quarter, after that
    flip: bool
    colours: tuple[int, ...]
    gain: np.ndarray  # float32: gamma, then a factor a channel


class Crops:
    """Crops [B,3,size,size] in [0,1] from groups of images; each group (a folder) is drawn by the root of its size."""

    def __init__(self, groups: Groups, seed: int = 0) -> None:
        if not groups:
            raise TextureError("no images to train on: name a folder of images or of patch shards")
        self.seed, self.counts = seed, [len(groups[name]) for name in sorted(groups)]
        self.groups = [groups[name] for name in sorted(groups)]
        self.before = np.concatenate([[0], np.cumsum(self.counts)])  # images of the groups before each
        weights = np.sqrt(self.counts)
        self.weights = weights / weights.sum()

    def image(self, k: int) -> np.ndarray:
        """uint8 [H,W,3]; the k-th image of all groups, read when it is asked for: they may be millions, on disk."""
        group = int(np.searchsorted(self.before, k, side="right")) - 1
        return self.groups[group][k - int(self.before[group])]

    def batch(self, step: int, count: int, size: int, shard: slice = ALL) -> Tensor:
        """The batch of this step: random place, scale (1 or 1/2), angle, mirror, mild gain and tint.

        Of a batch that several processes share, `shard` is the part of this one.
        """
        return torch.stack([self._crop(cut, size) for cut in self.draw(step, count, size)[shard]])

    def draw(self, step: int, count: int, size: int) -> list[Cut]:
        """What the batch of this step shows."""
        rng = np.random.default_rng((self.seed, step))
        return [self._draw(rng, size) for _ in range(count)]

    def _draw(self, rng: np.random.Generator, size: int) -> Cut:
        group = rng.choice(len(self.counts), p=self.weights)
        k = int(self.before[group]) + int(rng.integers(self.counts[group]))
        height, width = self.image(k).shape[:2]
        angle = rng.uniform(0, math.pi / 2) if rng.random() < TILTED else 0.0
        angle = angle if min(height, width) >= room(size, angle) else 0.0
        factor = 2 if min(height, width) >= room(2 * size, angle) and rng.random() < 0.35 else 1
        side = room(factor * size, angle)
        if min(height, width) < side:
            raise TextureError(f"an image of {height}x{width} gives no crop of {side}: train smaller")
        top, left = (int(rng.integers(n - side + 1)) for n in (height, width))
        turns, flip = int(rng.integers(4)), rng.random() < 0.5
        colours = tuple(rng.permutation(3).tolist()) if rng.random() < 0.25 else (0, 1, 2)
        gain = np.exp(rng.normal(0, (0.12, 0.05, 0.05, 0.05))).astype(np.float32)
        return Cut(k, factor, top, left, angle, turns, flip, colours, gain)

    def _crop(self, cut: Cut, size: int) -> Tensor:
        side = cut.factor * size
        whole = room(side, cut.angle)
        pixels = self.image(cut.image)[cut.top : cut.top + whole, cut.left : cut.left + whole]
        crop = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
        if cut.angle:
            crop = tilted(crop, cut.angle, side)
        if cut.factor > 1:
            crop = F.avg_pool2d(crop, cut.factor)
        crop = torch.rot90(crop, cut.turns, (1, 2))
        if cut.flip:
            crop = crop.flip(2)
        crop = crop[list(cut.colours)]
        gain = torch.from_numpy(cut.gain)
        return (crop.clamp(1e-4, 1) ** gain[0] * gain[1:, None, None]).clamp(0, 1).contiguous()


def room(side: int, angle: float) -> int:
    """Pixels a side of the square from which one of `side` is cut at an angle in radians, up to a quarter turn."""
    return side if not angle else math.ceil((side - 1) * (math.cos(angle) + math.sin(angle))) + 1 + TAPS


def tilted(image: Tensor, angle: float, side: int) -> Tensor:
    """The square [3,side,side] in the middle of an image [3,n,n], at an angle in radians, by cubic interpolation."""
    across = torch.arange(side) - (side - 1) / 2
    y, x = across[:, None], across
    places = torch.stack([math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y], -1)
    places = places * (2 / image.shape[-1])  # from the centre, -1 and 1 at the edges
    return F.grid_sample(image[None], places[None], mode="bicubic", padding_mode="border", align_corners=False)[0]


def load(folders: list[Path], size: int) -> tuple[Groups, Groups]:
    """(train, validation) images by group, from folders of photographs or of patch shards.

    Raises TextureError for a folder that is missing, is given twice or holds nothing of at least `size` pixels.
    """
    names = named(folders)
    train: dict[str, Images] = {}
    held: dict[str, Images] = {}
    for folder, group in zip(folders, names, strict=True):
        if not folder.is_dir():
            raise TextureError(f"{folder} is not a folder; name one of photographs or of patch shards")
        shards = any(folder.rglob("*.npy"))
        for target, source in zip((train, held), (load_shards if shards else load_folder)(folder, size), strict=True):
            target.update({f"{group}/{name}": images for name, images in source.items()})
    return train, held


def named(folders: list[Path]) -> list[str]:
    """What the groups of each folder are called by: its name, or where several have the same, its path."""
    resolved = [folder.resolve() for folder in folders]
    for folder, path in zip(folders, resolved, strict=True):
        if resolved.count(path) > 1:
            raise TextureError(f"{folder} is given twice; give each folder once")
    names = [folder.name for folder in folders]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, resolved, strict=True)]


def load_shards(folder: Path, size: int) -> tuple[Groups, Groups]:
    """Patches [128,128,3] that `python -m lib filter` wrote, memory-mapped, grouped by source: (train, validation)."""
    from lib.dataset.shards import open_sources

    train, held = (open_sources(folder, split) for split in ("train", "validation"))
    if not train or min(next(iter(train.values()))[0].shape[:2]) < size:
        raise TextureError(f"{folder} holds no training patches of at least {size} pixels; train smaller")
    return train, held


def load_folder(folder: Path, smallest: int) -> tuple[Groups, Groups]:
    """All images under `folder` as uint8 [H,W,3], grouped by the folder they lie in: (train, validation).

    One image in sixteen, chosen by a hash of its name, is validation. Images under `smallest` pixels are left out.
    """
    train: dict[str, list[np.ndarray]] = {}
    held: dict[str, list[np.ndarray]] = {}
    for path in image_files(folder):
        try:
            with Image.open(path) as file:
                image = np.asarray(file.convert("RGB"))
        except Exception as error:  # a damaged file raises OSError, ValueError, SyntaxError, struct.error, ...
            raise TextureError(f"{path} cannot be read ({error}); remove it, or save it again") from None
        if min(image.shape[:2]) < smallest:
            continue
        name = path.relative_to(folder)
        digest = hashlib.sha256(str(name.name).encode()).digest()[0]
        (held if digest < 16 else train).setdefault(str(name.parent), []).append(image)
    if not train:
        raise TextureError(f"no images of at least {smallest} pixels under {folder}; name a folder that has some")
    return train, held


def validation_patches(held: Groups, count: int, size: int) -> Tensor:
    """One centre patch from each of `count` validation images, the same every time: [count,3,size,size].

    Where no image is as large as `size`, patches are as large as the largest image allows.
    """
    images = [held[name][i] for name in sorted(held) for i in range(len(held[name]))]
    if not images:
        raise TextureError("no validation images, one in sixteen by the hash of its name: give more images")
    size = min(size, max(min(image.shape[:2]) for image in images))
    images = [image for image in images if min(image.shape[:2]) >= size]
    chosen = np.random.default_rng(0).permutation(len(images))[:count]
    patches = []
    for k in chosen:
        image = images[k]
        top, left = ((n - size) // 2 for n in image.shape[:2])
        patches.append(torch.from_numpy(image[top : top + size, left : left + size].copy()))
    return torch.stack(patches).permute(0, 3, 1, 2).float() / 255
