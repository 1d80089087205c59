"""The operations of a step, against counts by hand; and the command that prints them."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from lib.__main__ import main
from lib.training import flops
from lib.training.loss import deep_loss, deep_mean

SIDE, MIDDLE, OUT, COUNT = 16, 5, 7, 2


class Toy(nn.Module):
    """Two convolutions, a square after each, a mean: 3x3 of 3 channels, 1x1 of MIDDLE."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, MIDDLE, 3, padding=1), nn.Conv2d(MIDDLE, OUT, 1)

    def deep(self, y: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(y).square()).square().mean((2, 3))


def test_both_gradients_are_counted_as_by_hand() -> None:
    """A layer's gradient costs once more by what it reads and once more by its weights, where these are asked for."""
    toy = Toy()
    model: Any = SimpleNamespace(
        statistics=toy, dim=OUT, architecture=SimpleNamespace(known=0), zero_grad=toy.zero_grad
    )
    first, second = (2 * COUNT * SIDE**2 * n for n in (27 * MIDDLE, MIDDLE * OUT))
    parts = flops.of_the_loss(model, deep_loss, torch.rand(COUNT, 3, SIDE, SIDE))
    assert parts["forward"] == first + second
    assert parts["inner gradient"] == first + second  # by the image alone
    # through the inner gradient, which is linear in its input and in its weights: 2 each; then back through the
    # forward pass: the second layer by both, the first by its weights alone, for nothing is asked of the image
    assert parts["outer gradient"] == 2 * (first + second) + 2 * second + first


def test_a_grouped_convolution_and_its_gradient() -> None:
    conv = nn.Conv2d(6, 6, 7, padding=3, groups=6)
    x = torch.rand(2, 6, 10, 12, requires_grad=True)
    once = 2 * 2 * 10 * 12 * 6 * 49
    assert flops.count(lambda: conv(x)).flops == once
    assert flops.count(lambda: conv(x).sum().backward()).flops == 3 * once


def test_products_and_transposed_convolutions() -> None:
    a, b = torch.rand(3, 4, 5), torch.rand(3, 5, 6)
    assert flops.count(lambda: a @ b).flops == 2 * 3 * 4 * 5 * 6
    assert flops.count(lambda: nn.functional.linear(a, b[0].T, a[0, 0, :1])).flops == 2 * 12 * 5 * 6
    up = nn.ConvTranspose2d(4, 8, 2, stride=2)
    assert flops.count(lambda: up(torch.rand(1, 4, 5, 5))).flops == 2 * 25 * 4 * 8 * 4


def test_calls_can_be_made_again_alone() -> None:
    conv, x = nn.Conv2d(3, 4, 3), torch.rand(1, 3, 8, 8, requires_grad=True)
    calls = flops.count(lambda: conv(x.contiguous(memory_format=torch.channels_last)).square().sum().backward())
    assert sum(calls.counts.values()) == 2
    assert 0 < calls.seconds() < 1


def test_the_command_says_what_a_step_costs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.training.bench.ways", lambda *_, **__: {"float32": (deep_loss, deep_mean)})
    assert main(["bench", "train", "--config", "paper", "--batch", "1", "--size", "32"]) == 0
    said = capsys.readouterr().out
    for word in ("outer gradient", "GFLOP", "samples/s", "GiB", "convolutions"):
        assert word in said


def test_the_group_names_what_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "paint"]) == 2
    assert capsys.readouterr().err.endswith("known are train --help\n")
    assert main(["bench", "train", "--sides", "3"]) == 2
    assert "--size" in capsys.readouterr().err
