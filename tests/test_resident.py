"""Crops made on the device are those made on the host, and a step asks the device for nothing."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lib.training.batches import Crops
from lib.training.loop import Recipe, Trainer
from lib.training.loss import deep_loss
from lib.training.resident import ResidentCrops

RNG = np.random.default_rng(0)
GROUPS = {
    "a": [RNG.integers(0, 256, (70, 90, 3), dtype=np.uint8)],
    "b": [RNG.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in ((40, 33), (66, 64), (32, 200), (110, 99))],
}


def test_the_crops_are_those_of_the_host() -> None:
    """64 of them see every turn, flip, scale, permutation of colours, and angles at either scale."""
    host, device = Crops(GROUPS, 3), ResidentCrops(GROUPS, 3, "cpu")
    torch.testing.assert_close(device.batch(5, 64, 32), host.batch(5, 64, 32), rtol=0, atol=2e-5)
    cuts = host.draw(5, 64, 32)
    assert {(cut.turns, cut.flip) for cut in cuts} == {(turns, flip) for turns in range(4) for flip in (False, True)}
    assert {(cut.factor, cut.angle > 0) for cut in cuts} == {(1, False), (1, True), (2, False), (2, True)}
    assert len({cut.colours for cut in cuts}) > 3


@pytest.mark.parametrize("kind", [Crops, ResidentCrops])
def test_a_shard_is_a_part_of_the_batch(kind: type[Crops]) -> None:
    crops = Crops(GROUPS) if kind is Crops else ResidentCrops(GROUPS, device="cpu")
    whole = crops.batch(2, 6, 32)
    assert torch.equal(crops.batch(2, 6, 32, slice(1, None, 3)), whole[1::3])


class Reads(TorchDispatchMode):
    """Counts how often a value is read out of a tensor, for which a host would have to wait."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("configuration", ["waves", "paper"])
def test_gradients_are_had_without_reading_a_number(configuration: str) -> None:
    trainer = Trainer(Recipe(configuration, steps=4, batch=2, size=32), ResidentCrops(GROUPS, device="cpu"))
    trainer.gradients(deep_loss)  # what is made once
    with Reads() as reads:
        trainer.gradients(deep_loss)
    assert reads.count == 0


def test_losses_read_seldom_are_means_of_the_same_steps() -> None:
    recipe = Recipe("paper", steps=5, warm=0, grow=5, batch=2, size=32)
    often, seldom = Trainer(recipe, Crops(GROUPS)), Trainer(recipe, Crops(GROUPS))
    seldom.every = 2
    losses = [record.loss for record in often.run()]
    records = list(seldom.run())
    assert [record.step for record in records] == [2, 4, 5]
    expected = [np.mean(losses[:2]), np.mean(losses[2:4]), losses[4]]
    assert [record.loss for record in records] == pytest.approx(expected, rel=1e-5)
    for ours, theirs in zip(seldom.model.parameters(), often.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
