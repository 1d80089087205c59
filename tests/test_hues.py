"""Hues: histograms of colour that know no gain, mean or grey, nor at the finest octave where pixels lie."""

import math

import torch
from torch import Tensor

import lib
from lib.statistics.architecture import HUES
from lib.statistics.hues import DISTANCE, NUMBER, ROUND, Hues
from lib.statistics.learned import LearnedStatistics
from lib.statistics.quadratic import opponent

X = lib.exemplar("rubber")[None, :, :64, :96]


def potentials(x: Tensor, octaves: int = 3) -> list[Tensor]:
    """Averages by octave, [B,NUMBER] each."""
    with torch.no_grad():
        squares, c = Hues(octaves)(x), Hues.log_c().exp()[:, None, None]
        return [torch.log1p(e / c**2).mean((2, 3)) for e in squares]


def test_grey_and_the_gain_and_mean_of_each_chroma_do_not_count() -> None:
    u = torch.einsum("ci,bihw->bchw", opponent(), X)
    u[:, 0] = torch.rand(u[:, 0].shape, generator=torch.Generator().manual_seed(0))
    changed = u * torch.tensor([0.5, 2.0, 3.0])[:, None, None] + torch.tensor([0.3, -0.2, 0.1])[:, None, None]
    other = torch.einsum("ic,bchw->bihw", opponent().mT, changed)
    for mine, theirs in zip(potentials(X), potentials(other), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=5e-2, atol=5e-2)


def test_at_the_finest_octave_it_does_not_matter_where_a_pixel_lies() -> None:
    order = torch.randperm(64 * 96, generator=torch.Generator().manual_seed(0))
    shuffled = X.flatten(2)[..., order].view_as(X)
    ours, theirs = potentials(X), potentials(shuffled)
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-4, atol=1e-4)
    assert (ours[1] - theirs[1]).abs().max() > 0.1


def test_a_picture_of_two_hues_by_hand() -> None:
    """Opposite ones, as often each, of unequal chromas: each of these at variance one, so on the plane's diagonal."""
    u = torch.tensor([-1.0, 1.0]).repeat(16, 8) * torch.tensor([0.2, 0.1])[:, None, None]
    x = 0.5 + torch.einsum("ci,chw->ihw", opponent()[1:], u)[None]
    angles = [2 * math.pi * k / ROUND for k in range(ROUND)]
    points = [(0.0, 0.0), *((DISTANCE * math.cos(a), DISTANCE * math.sin(a)) for a in angles)]
    squares = torch.tensor([[(h - p) ** 2 + (h - q) ** 2 for h in (-1, 1)] for p, q in points])
    expected = torch.log1p(squares / Hues.log_c().exp()[:, None] ** 2).mean(1)
    torch.testing.assert_close(potentials(x, 1)[0][0], expected, rtol=1e-2, atol=1e-2)


def test_a_few_tinted_stones_are_not_a_tint_everywhere() -> None:
    """One strength of colour, in one pixel of sixteen or in all by turns."""
    few, all_by_turns = torch.zeros(2, 64, 64).unbind()
    few[::4, ::4], all_by_turns[:, ::2], all_by_turns[:, 1::2] = 0.4, 0.1, -0.1
    pictures = [0.5 + u * opponent()[1][:, None, None] for u in (few, all_by_turns)]
    grey = [potentials(x[None], 1)[0][0, 0] for x in pictures]
    assert grey[0] < grey[1] - 1


def test_what_is_beside_a_window_does_not_count() -> None:
    """The statistics at its middle, of a texture alone and beside what would drown it."""
    f = LearnedStatistics(HUES).requires_grad_(False)
    window = torch.zeros(64, 192)
    window[:, :64] = 1
    beside = torch.cat([X[..., :64], torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(0)).round()], -1)
    alone, under = f.maps(X[..., :64])[-4], f.maps(beside, window)[-4][..., :64]
    assert alone.shape == (1, NUMBER, 64, 64)
    torch.testing.assert_close(alone, under, rtol=1e-3, atol=1e-3)
