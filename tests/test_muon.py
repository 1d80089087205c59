"""Muon for filters: it is torch's own on the filters as rows, however they lie in memory."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lib.errors import TextureError
from lib.training.batches import Crops
from lib.training.loop import Recipe, Trainer
from lib.training.muon import MuonAndAdamW, matrix

SETTINGS: dict[str, Any] = {"betas": (0.9, 0.99), "weight_decay": 0.01}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_filters_are_rows_of_the_same_memory(layout: torch.memory_format) -> None:
    w = normal(4, 3, 5, 5).to(memory_format=layout)
    rows = matrix(w)
    assert rows.shape == (4, 75)
    assert rows[2].sort().values.equal(w[2].flatten().sort().values)
    rows[1] = 7
    assert (w[1] == 7).all()
    assert matrix(w.contiguous(), w).equal(rows)


def stepped(net: nn.Module, layout: torch.memory_format, steps: int = 3) -> dict[str, torch.Tensor]:
    net.to(memory_format=layout)  # type: ignore[call-overload]
    groups = [{"params": list(net.parameters()), "share": 1.0}]
    optimiser = MuonAndAdamW(groups, 0.02, lambda p: p.dim() == 4, **SETTINGS)
    for k in range(steps):
        optimiser.zero_grad()
        net(normal(2, 3, 8, 8, seed=k)).square().sum().backward()
        optimiser.step()
    return {name: p.detach().clone() for name, p in net.named_parameters()}


def test_a_step_is_torchs_own_on_rows_in_any_layout() -> None:
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.SiLU(), nn.Conv2d(6, 4, 3))
    one, other = (stepped(copy.deepcopy(net), layout, 1) for layout in (torch.contiguous_format, torch.channels_last))
    net(normal(2, 3, 8, 8)).square().sum().backward()
    for name, p in net.named_parameters():
        assert torch.allclose(one[name], other[name], atol=1e-3), name  # torch orthogonalises in bfloat16
        if p.dim() == 4:
            assert p.grad is not None
            rows = nn.Parameter(p.detach().flatten(1).clone())
            rows.grad = p.grad.flatten(1)
            torch.optim.Muon([rows], 0.02, 0.01, adjust_lr_fn="match_rms_adamw").step()
            assert torch.equal(one[name].flatten(1), rows)


def test_it_goes_on_from_its_state() -> None:
    def made() -> tuple[nn.Conv2d, MuonAndAdamW]:
        torch.manual_seed(0)
        net = nn.Conv2d(3, 6, 3)
        return net, MuonAndAdamW([{"params": list(net.parameters())}], 0.02, lambda p: p.dim() == 4, **SETTINGS)

    def step(net: nn.Conv2d, optimiser: MuonAndAdamW, k: int) -> None:
        optimiser.zero_grad()
        net(normal(2, 3, 8, 8, seed=k)).square().sum().backward()
        optimiser.step()

    (whole, whole_optimiser), (first, first_optimiser), (second, second_optimiser) = made(), made(), made()
    for k in range(4):
        step(whole, whole_optimiser, k)
    for k in range(2):
        step(first, first_optimiser, k)
    second.load_state_dict(first.state_dict())
    second_optimiser.load_state_dict(copy.deepcopy(first_optimiser.state_dict()))
    for k in range(2, 4):
        step(second, second_optimiser, k)
    for a, b in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_rates_that_are_set_after_a_state_was_loaded_are_the_ones_it_goes_by() -> None:
    net = nn.Conv2d(3, 6, 3)
    optimiser = MuonAndAdamW([{"params": list(net.parameters())}], 0.02, lambda p: p.dim() == 4, **SETTINGS)
    optimiser.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for group in optimiser.param_groups:
        group["lr"] = 0.0
    before = [p.detach().clone() for p in net.parameters()]
    net(normal(2, 3, 8, 8)).square().sum().backward()
    optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_a_rate_of_nothing_is_refused_for_muon() -> None:
    image = np.zeros((48, 48, 3), dtype=np.uint8)
    with pytest.raises(TextureError, match="the rate is 0"):
        Trainer(Recipe("wide", steps=1, batch=2, size=32, rate=0.0, muon=3e-3), Crops({"noise": [image]}))


def test_the_trainer_gives_it_the_filters_of_the_unet_alone_and_leaves_nothing_out() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    recipe = Recipe("hybrid", steps=4, warm=2, grow=4, batch=2, size=32, rate=1e-3, muon=3e-3)
    trainer = Trainer(recipe, Crops({"noise": [image]}))
    optimiser = trainer.optimiser
    assert isinstance(optimiser, MuonAndAdamW)
    assert sum(p.numel() for g in optimiser.param_groups for p in g["params"]) == sum(
        p.numel() for p in trainer.model.parameters()
    )
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    list(trainer.run(until=1))
    moved = {name: (p - before[name]).square().mean().sqrt() for name, p in trainer.model.named_parameters()}
    (group,) = optimiser.muon.param_groups
    assert group["lr"] == pytest.approx(3e-3 / 100)  # of a hundred steps of warming up
    turned = {
        name for name, p in trainer.model.named_parameters() if any(p is q for own in optimiser.turned for q in own)
    }
    assert {name for name in turned if "unet" not in name} == {f"statistics.read.{k}.weight" for k in range(3)}
    assert "statistics.unet.encoder.1.0.convolutions.0.weight" in turned
    assert moved["statistics.waves.first.0.weight"] == 0  # they are silent
