"""What groups of statistics are worth, against cases where it is known."""

import pytest
import torch

import lib
from lib.evaluation import worth
from lib.model import Model
from lib.samplers.step import white_noise
from lib.training.loop import CONFIGURATIONS


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_groups_are_all_that_was_learned(name: str) -> None:
    model = Model(CONFIGURATIONS[name])
    parts = list(worth.groups(model).values())
    assert parts[0].start == model.architecture.known
    assert [part.stop for part in parts] == [*(part.start for part in parts[1:]), model.dim]


def test_what_lambda_does_not_mention_is_worth_nothing_and_only_that(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = lib.load(), lib.exemplar("pebble")[None, :, :64, :64]
    part, told = worth.groups(model)["U-Net at 1/2"], model.multipliers

    def silent(*given: torch.Tensor) -> torch.Tensor:
        lam = told(*given)
        lam[:, part] = 0
        return lam

    before = worth.worths(model, x, 0.1, white_noise(1, 64, 64, 0))
    monkeypatch.setattr(model, "multipliers", silent)
    found = worth.worths(model, x, 0.1, white_noise(1, 64, 64, 0))
    assert before["U-Net at 1/2"] > 0.02
    assert found["U-Net at 1/2"] == 0
    assert found["waves at 1/1"] != 0
