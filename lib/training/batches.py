"""From photographs or patch shards to batches of crops: a texture stays a texture under all that is done here.

A batch is a function of (seed, step) alone, so that an interrupted run goes on exactly where it was.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lib.errors import TextureError

SUFFIXES = {".jpg", ".jpeg", ".png", ".JPEG"}


class Crops:
    """Crops [B,3,size,size] in [0,1] from groups of images; each group (a folder) is drawn by the root of its size."""

    def __init__(self, groups: dict[str, list[np.ndarray]], seed: int = 0) -> None:
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


def load_folder(folder: Path, smallest: int) -> tuple[dict[str, list[np.ndarray]], dict[str, list[np.ndarray]]]:
    """All images under `folder` as uint8 [H,W,3], grouped by the folder they lie in: (train, validation).

    One image in sixteen, chosen by a hash of its name, is validation. Images under `smallest` pixels are left out.
    """
    import hashlib

    train: dict[str, list[np.ndarray]] = {}
    held: dict[str, list[np.ndarray]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES):
        image = np.asarray(Image.open(path).convert("RGB"))
        if min(image.shape[:2]) < smallest:
            continue
        name = path.relative_to(folder)
        digest = hashlib.sha256(str(name.name).encode()).digest()[0]
        (held if digest < 16 else train).setdefault(str(name.parent), []).append(image)
    if not train:
        raise TextureError(f"no images of at least {smallest} pixels under {folder}")
    return train, held


def validation_patches(held: dict[str, list[np.ndarray]], count: int, size: int) -> Tensor:
    """One centre patch [size,size] from each of `count` validation images, the same every time: [count,3,size,size]."""
    images = [image for name in sorted(held) for image in held[name] if min(image.shape[:2]) >= size]
    if not images:
        raise TextureError(f"no validation image of at least {size} pixels: give more images")
    chosen = np.random.default_rng(0).permutation(len(images))[:count]
    patches = []
    for k in chosen:
        image = images[k]
        top, left = ((n - size) // 2 for n in image.shape[:2])
        patches.append(torch.from_numpy(image[top : top + size, left : left + size].copy()))
    return torch.stack(patches).permute(0, 3, 1, 2).float() / 255
