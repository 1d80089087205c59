"""From photographs or patch shards to batches of crops: a texture stays a texture under all that is done here.

A batch is a function of (seed, step) alone, so that an interrupted run goes on exactly where it was.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lib.errors import TextureError

SUFFIXES = {".jpg", ".jpeg", ".png", ".JPEG"}

Groups = dict[str, list[np.ndarray]]


class Crops:
    """Crops [B,3,size,size] in [0,1] from groups of images; each group (a folder) is drawn by the root of its size."""

    def __init__(self, groups: Groups, seed: int = 0) -> None:
        if not groups:
            raise TextureError("no images to train on: name a folder of images or of patch shards")
        self.seed, self.groups = seed, [groups[name] for name in sorted(groups)]
        weights = np.sqrt([len(images) for images in self.groups])
        self.weights = weights / weights.sum()

    def batch(self, step: int, count: int, size: int) -> Tensor:
        """The batch of this step: random place, scale (1 or 1/2), symmetry of the square, mild gain and tint."""
        rng = np.random.default_rng((self.seed, step))
        return torch.stack([self._one(rng, size) for _ in range(count)])

    def _one(self, rng: np.random.Generator, size: int) -> Tensor:
        images = self.groups[rng.choice(len(self.groups), p=self.weights)]
        image = images[rng.integers(len(images))]
        room = min(image.shape[:2])
        factor = 2 if room >= 2 * size and rng.random() < 0.35 else 1
        side = factor * size
        if room < side:
            raise TextureError(f"an image of {image.shape[0]}x{image.shape[1]} gives no crop of {side}: train smaller")
        top, left = (int(rng.integers(n - side + 1)) for n in image.shape[:2])
        crop = torch.from_numpy(image[top : top + side, left : left + side].copy()).permute(2, 0, 1).float() / 255
        if factor > 1:
            crop = F.avg_pool2d(crop, factor)
        crop = torch.rot90(crop, int(rng.integers(4)), (1, 2))
        if rng.random() < 0.5:
            crop = crop.flip(2)
        crop = crop[torch.from_numpy(rng.permutation(3))] if rng.random() < 0.25 else crop
        gain = torch.from_numpy(np.exp(rng.normal(0, (0.12, 0.05, 0.05, 0.05))).astype(np.float32))
        return (crop.clamp(1e-4, 1) ** gain[0] * gain[1:, None, None]).clamp(0, 1).contiguous()


def load(folders: list[Path], size: int) -> tuple[Groups, Groups]:
    """(train, validation) images by group, from folders of photographs or of patch shards.

    Raises TextureError for a folder that is missing or holds nothing of at least `size` pixels.
    """
    train: Groups = {}
    held: Groups = {}
    for folder in folders:
        if not folder.is_dir():
            raise TextureError(f"{folder} is not a folder; name one of photographs or of patch shards")
        shards = any(folder.rglob("*.npy"))
        for target, source in zip((train, held), (load_shards if shards else load_folder)(folder, size), strict=True):
            target.update({f"{folder.name}/{name}": images for name, images in source.items()})
    return train, held


def load_shards(folder: Path, size: int) -> tuple[Groups, Groups]:
    """Patches [n,128,128,3] that `python -m lib filter` wrote, memory-mapped, as one group each."""
    from lib.dataset.shards import open_patches

    train, held = (
        [patches[i] for i in range(len(patches))]
        for patches in (open_patches(folder, split) for split in ("train", "validation"))
    )
    if not train or min(train[0].shape[:2]) < size:
        raise TextureError(f"{folder} holds no training patches of at least {size} pixels; train smaller")
    return {"patches": train}, ({"patches": held} if held else {})


def load_folder(folder: Path, smallest: int) -> tuple[Groups, Groups]:
    """All images under `folder` as uint8 [H,W,3], grouped by the folder they lie in: (train, validation).

    One image in sixteen, chosen by a hash of its name, is validation. Images under `smallest` pixels are left out.
    """
    train: Groups = {}
    held: Groups = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES):
        with Image.open(path) as file:
            image = np.asarray(file.convert("RGB"))
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
    images = [image for name in sorted(held) for image in held[name]]
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
