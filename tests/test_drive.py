"""Driving one statistic: against a statistic whose best image is known, and what is held fixed."""

import math

import pytest
import torch
from torch import Tensor, nn

import lib
from lib.evaluation.drive import drive


class Wave(nn.Module):
    """Energy of luminance at one frequency, and minus the same: largest for that wave alone."""

    def forward(self, x: Tensor) -> Tensor:
        U = torch.fft.rfft2(x.mean(1), norm="forward")
        energy = U[:, 2, 3].abs().square()
        return torch.stack([energy, -energy], 1)


NOISE = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("k", "up"), [(0, True), (1, False)])
def test_it_finds_the_wave_that_the_statistic_is(k: int, up: bool) -> None:
    *_, record = drive(Wave(), k, NOISE, up, contrast=0.1, steps=200)
    U = torch.fft.rfft2(record.image - 0.5, norm="forward")
    share = 2 * U[:, :, 2, 3].abs().square().sum(1) / (record.image - 0.5).square().sum(1).mean((1, 2))
    assert share.min() > 0.99
    # a wave of this contrast in all channels alike has the energy c^2 / 2
    assert abs(record.loss) == pytest.approx(0.1**2 / 2, rel=0.02)


def test_mean_and_contrast_stay() -> None:
    for record in drive(Wave(), 0, NOISE, contrast=0.1, steps=3):
        assert record.image.mean((2, 3)).sub(0.5).abs().max() < 1e-5
        assert math.isclose(record.image.sub(0.5).square().mean((1, 2, 3)).sqrt().max(), 0.1, rel_tol=1e-4)
    assert (record.step, record.steps) == (3, 3)


def test_up_is_up_and_down_is_down_for_the_learned() -> None:
    torch.manual_seed(0)
    f = lib.Model().eval().requires_grad_(False).statistics
    start = 0.5 + 0.15 * NOISE.repeat(1, 1, 2, 2)[..., :32, :32]
    before = f(start)[:, 200].mean()
    ends = [list(drive(f, 200, NOISE.repeat(1, 1, 2, 2)[..., :32, :32], up, steps=15))[-1].loss for up in (True, False)]
    assert ends[1] < before < ends[0]


def test_an_unknown_statistic_is_refused() -> None:
    with pytest.raises(lib.TextureError, match="numbered 0 to 1"):
        next(drive(Wave(), 2, NOISE))
