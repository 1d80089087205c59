"""Copies against brute force, against crops, and against fresh texture."""

import pytest
import torch
from torch import Tensor

from lib.errors import TextureError
from lib.evaluation.copying import copying, cut, nearest, strips
from lib.images import exemplar
from lib.models import synthesize

PEBBLE = exemplar("pebble")
LEFT, RIGHT = PEBBLE[:, :96, :96], PEBBLE[:, 100:196, 300:396]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("stride", [1, 3])
def test_nearest_is_that_of_brute_force(stride: int) -> None:
    images = [normal(3, 20, 31, seed=1), normal(3, 5, 5, seed=2), normal(3, 27, 9, seed=3)]
    patches = normal(7, 3, 8, 8, seed=4)
    found = nearest(patches, images, stride)
    for k, patch in enumerate(patches):
        every = {
            (i, top, left): (image[:, top : top + 8, left : left + 8] - patch).square().mean().sqrt().item()
            for i, image in enumerate(images)
            for top in range(0, image.shape[1] - 7, stride)
            for left in range(0, image.shape[2] - 7, stride)
        }
        where = min(every, key=lambda place: every[place])
        assert (found.image[k].item(), *found.place[k].tolist()) == where
        assert found.distance[k] == pytest.approx(every[where], rel=1e-4)


def test_strips_hold_every_place_once() -> None:
    image = normal(3, 150, 120)
    rows = [top + r for top, strip in strips(image, 16, 2) for r in range(0, strip.shape[1] - 15, 2)]
    assert rows == list(range(0, 135, 2))


def test_a_crop_of_the_exemplar_is_found_out() -> None:
    crop = torch.stack([LEFT[:, 5:69, 20:84], LEFT[:, 30:94, 3:67]])
    found = copying(crop, RIGHT[None, :, :64, :64], [LEFT])
    assert found.typical < 1e-3
    assert found.coherence > 0.95
    assert found.fresh_coherence < 0.5


def test_a_copy_is_found_out_under_noise() -> None:
    crop = (LEFT[None, :, 5:69, 20:84] + 0.05 * normal(1, 3, 64, 64)).clamp(0, 1)
    assert copying(crop, RIGHT[None, :, :64, :64], [RIGHT[:, :40], LEFT]).coherence > 0.95


def test_samples_of_a_model_without_memory_are_as_far_as_fresh_texture() -> None:
    """Of a Gaussian texture, fresh samples and the model's own are the same."""
    truth = synthesize(LEFT, "gaussian", n=3, size=64, seed=1)
    found = copying(truth[:1], truth[1:2], [truth[2]])
    assert found.typical == pytest.approx(1, abs=0.15)
    assert found.closest == pytest.approx(1, abs=0.25)
    assert found.coherence < 0.2


def test_patches_are_cut_in_rows() -> None:
    x = torch.arange(2 * 3 * 24 * 32).reshape(2, 3, 24, 32).float()
    patches = cut(x, 16, 8)
    assert patches.shape == (2 * 2 * 3, 3, 16, 16)
    assert torch.equal(patches[6 + 3 + 1], x[1, :, 8:24, 8:24])
    with pytest.raises(TextureError, match="no image"):
        nearest(patches, [x[0, :, :10]])
