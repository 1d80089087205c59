"""Layout: who shares it, against cases whose correlation is known."""

import pytest
import torch

from lib.errors import TextureError
from lib.evaluation import layout, shipped
from lib.evaluation.protocol import Protocol


def noise(seed: int) -> torch.Tensor:
    return torch.randn(4, 3, 96, 96, generator=torch.Generator().manual_seed(seed))


def test_agreement_is_a_correlation_whatever_the_contrast() -> None:
    a, b = noise(0), noise(1)
    assert layout.agreement(a, 0.2 * a + 0.5) == pytest.approx([1] * 4)
    assert layout.agreement(a, -a) == pytest.approx([-1] * 4)
    assert layout.agreement(a, b).abs().max() < 5 / 96
    assert layout.agreement(a, 0.6 * a + 0.8 * b) == pytest.approx([0.6] * 4, abs=0.05)
    assert layout.agreement(a, torch.full_like(a, 0.5)) == pytest.approx([0] * 4)
    with pytest.raises(TextureError, match="pairs of one size"):
        layout.agreement(a, b[..., :64])


def test_samplers_keep_the_sketch_of_their_own_noise_alone() -> None:
    sketch = layout.sketches(Protocol(16), "pebble")
    for model in ("matching", "diffusion"):
        made = shipped.images(model, "pebble").images
        assert layout.agreement(made, sketch).min() > 0.6
        assert layout.agreement(made, sketch.roll(1, 0)).abs().max() < 0.3
