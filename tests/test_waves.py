"""Waves: what two layers of filters see, before training. Exact answers on waves, edges and flat images."""

import math

import pytest
import torch
from torch import Tensor

import lib
from lib.statistics.waves import (
    ANGLES,
    FIRST,
    POOLED_C,
    Waves,
    contrast_waves,
    pair_energy,
)

OCTAVES = 5


@pytest.fixture(scope="module")
def waves() -> Waves:
    return Waves(OCTAVES).requires_grad_(False)


def grating(angle: float, size: int = 64, cycles: int = 16, contrast: float = 0.2) -> Tensor:
    """A grey wave of `cycles` along an axis, at a multiple of a quarter turn: [1,3,size,size]."""
    grid = torch.arange(size) * 2 * math.pi * cycles / size
    wave = torch.cos(grid[:, None] * round(math.sin(angle)) + grid * round(math.cos(angle)))
    return (0.5 + contrast * wave).expand(1, 3, size, size)


def test_the_counts(waves: Waves) -> None:
    assert Waves.readouts(OCTAVES) == (47, 63, 79, 95, 95)
    responses, contrasts = waves(torch.rand(2, 3, 64, 48))
    for s in range(OCTAVES):
        assert responses[s].shape == (2, Waves.responses(s), 64 >> s, 48 >> s)
        assert contrasts[s].shape == (2, FIRST * (s + 1), 64 >> s, 48 >> s)
        assert waves.energies(responses[s], s).shape[1] == Waves.readouts(OCTAVES)[s]


def test_without_singles_there_are_pairs_and_pooled_energies_alone() -> None:
    assert Waves.readouts(4, singles=False) == (27, 47, 63, 79)
    pairs, x = Waves(4, singles=False).requires_grad_(False), torch.rand(2, 3, 32, 32)
    whole, alone = (waves(x) for waves in (Waves(4), pairs))
    for s, (v, u) in enumerate(zip(whole[0], alone[0], strict=True)):
        torch.testing.assert_close(v[:, : u.shape[1]], u)
        assert pairs.energies(u, s).shape[1] == Waves.readouts(4, singles=False)[s]
        assert len(Waves.log_c(s, singles=False)) == Waves.readouts(4, singles=False)[s]


def test_a_flat_image_has_no_waves(waves: Waves) -> None:
    colour = torch.tensor([0.1, 0.5, 0.9])[None, :, None, None].expand(1, 3, 32, 32)
    responses, _ = waves(colour)
    for s, v in enumerate(responses):
        pairs = 2 * (FIRST + contrast_waves(s))
        torch.testing.assert_close(v[:, :pairs], torch.zeros_like(v[:, :pairs]), atol=2e-5, rtol=0)


def test_each_angle_answers_its_own_grating(waves: Waves) -> None:
    for angle in (0, 2):
        moduli = waves(grating(math.pi * angle / ANGLES))[1][0]
        strength = moduli.mean((2, 3))[0, :ANGLES]
        assert strength.argmax() == angle
        assert strength[angle] > 3 * strength[(angle + 2) % ANGLES]


def test_moduli_do_not_see_phase(waves: Waves) -> None:
    """|even + i odd| of a wave is flat where the response itself swings, nearly so for so small a filter."""
    response, contrast = (part[0] for part in waves(grating(0)))
    assert response[:, 0].std() > 0.5 * contrast[:, 0].mean()
    assert contrast[:, 0].std() < 0.15 * contrast[:, 0].mean()


def test_grey_is_seen_by_luminance_alone(waves: Waves) -> None:
    grey = lib.exemplar("pebble").mean(0, keepdim=True)[None, :, :64, :64].expand(1, 3, 64, 64)
    moduli = waves(grey)[1][0]
    assert moduli[:, :ANGLES].mean() > 0.05
    assert moduli[:, ANGLES:].max() < 2e-3


def test_contrast_is_seen_where_it_lies(waves: Waves) -> None:
    """A grating that comes and goes: the second layer answers more than to one that stays, of equal power."""
    stays = grating(0)
    comes = 0.5 + (stays - 0.5) * math.sqrt(2) * torch.cos(torch.arange(64) * 2 * math.pi * 4 / 64)[:, None]
    second = []
    for x in (stays, comes):
        v = waves(x)[0][2]
        second.append(pair_energy(v[:, 2 * FIRST : 2 * (FIRST + contrast_waves(2))]).mean().item())
    assert second[1] > 5 * second[0]


def test_ridges_know_bright_from_dark(waves: Waves) -> None:
    x = lib.exemplar("star")[None, :, :64, :64]
    potentials, inverted = (torch.log(waves.energies(waves(y)[0][0], 0) + 0.05**2).mean((2, 3)) for y in (x, 1 - x))
    pairs, ridges = slice(FIRST), slice(FIRST, FIRST + ANGLES)
    torch.testing.assert_close(potentials[:, pairs], inverted[:, pairs], atol=1e-4, rtol=1e-4)
    assert ((potentials - inverted)[:, ridges].abs() > 0.05).all()


def test_pooled_energies_are_local_means_over_angles(waves: Waves) -> None:
    x = lib.exemplar("cloth")[None, :, :32, :32]
    v = waves(x)[0][0]
    energies = waves.energies(v, 0)
    pooled = energies[:, -3 * len(POOLED_C) :].unflatten(1, (len(POOLED_C), 3))
    assert torch.equal(pooled[:, 0], pooled[:, -1])  # one energy, seen at several thresholds
    luminance = pair_energy(v[:, : 2 * ANGLES])[0, :, 9:12, 19:22].mean()
    torch.testing.assert_close(pooled[0, 0, 0, 10, 20], luminance)
    torch.testing.assert_close(Waves.log_c(0)[-3 * len(POOLED_C) :: 3].exp(), torch.tensor(POOLED_C))


def test_the_gradient_of_pair_energies_is_theirs_and_can_be_differentiated() -> None:
    v = torch.randn(2, 6, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pair_energy, v)
    assert torch.autograd.gradgradcheck(pair_energy, v)
