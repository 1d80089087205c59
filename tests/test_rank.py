"""Directions of features, where their number is known."""

import pytest
import torch

from lib.evaluation.rank import rank


def test_rank_counts_directions() -> None:
    h = torch.randn(2, 6, 64, 64, generator=torch.Generator().manual_seed(0))
    assert rank(h) == pytest.approx(6, rel=0.01)
    assert rank(3 * h[:, :1].expand(-1, 6, -1, -1) + 5) == pytest.approx(1, abs=1e-6)
    assert rank(torch.cat([h[:, :2], h[:, :2]], 1)) == pytest.approx(2, rel=0.01)
