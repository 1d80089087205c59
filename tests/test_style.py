"""Style transfer: what the weight trades, the colours, the anchor; random weights, and the learned statistics."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from recognisers import rescaled_backbone
from torch import Tensor

import lib
from lib.models.gatys import gram_mismatch
from lib.models.style import (
    BLUR,
    anchored_style_steps,
    blurred,
    learned_style_steps,
    recoloured,
    style_transfer_steps,
)
from lib.samplers.step import Step, last
from lib.statistics.gram import Gram

STYLE = lib.exemplar("pebble")[:, :48, :48]
CONTENT = lib.exemplar("flower")[:, 100:140, 100:156]
NETWORK = rescaled_backbone()
MODELS: dict[str, Callable[..., Iterator[Step]]] = {
    "Gatys": partial(style_transfer_steps, backbone=NETWORK),
    "anchored": partial(anchored_style_steps, backbone=NETWORK),
    "learned": partial(learned_style_steps, lib.load()),
}
each = pytest.mark.parametrize("steps", MODELS.values(), ids=MODELS)


@each
def test_an_image_of_the_contents_size(steps: Callable[..., Iterator[Step]]) -> None:
    records = list(steps(CONTENT, STYLE, iterations=4))
    x = records[-1].image
    assert x.shape == (1, 3, 40, 56)
    assert 0 <= x.min() <= x.max() <= 1
    assert records[-1].loss < records[0].loss
    assert torch.equal(last(steps(CONTENT, STYLE, iterations=4)), x)
    assert not torch.equal(last(steps(CONTENT, STYLE, iterations=4, seed=1)), x)


def test_the_weight_trades_style_for_content() -> None:
    (layer,) = [NETWORK.architecture.content]
    wanted = NETWORK.features(CONTENT[None], [layer])[0]
    of_style = gram_mismatch(Gram(NETWORK, NETWORK.architecture.style), STYLE[None])
    found = []
    for weight in (0.1, 1000.0):
        x = last(style_transfer_steps(CONTENT, STYLE, weight=weight, iterations=15, backbone=NETWORK))
        found.append(((NETWORK.features(x, [layer])[0] - wanted).square().mean().item(), of_style(x).item()))
    (faithful, plain), (free, styled) = found
    assert faithful < free / 2
    assert styled < plain / 2


@pytest.mark.parametrize("steps", [MODELS["anchored"], MODELS["learned"]], ids=["anchored", "learned"])
def test_a_light_style_leaves_the_blurred_content(steps: Callable[..., Iterator[Step]]) -> None:
    anchor = blurred(recoloured(CONTENT[None], STYLE[None]))
    off = [
        (blurred(last(steps(CONTENT, STYLE, weight=weight, iterations=15))) - anchor).square().mean().sqrt().item()
        for weight in (1e-6, 100.0)
    ]
    assert off[0] < 0.01
    assert off[1] > 2 * off[0]


def test_recoloured_has_the_colours_of_the_style() -> None:
    def colours(x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean((0, 2, 3)), torch.cov(x[0].flatten(1))

    style = 0.5 + 0.3 * (STYLE[None] - 0.5)  # so that nothing is clipped
    moved = recoloured(CONTENT[None], style)
    for found, wanted in zip(colours(moved), colours(style), strict=True):
        torch.testing.assert_close(found, wanted, atol=2e-4, rtol=0.01)
    torch.testing.assert_close(recoloured(style, style), style, atol=1e-4, rtol=0)
    grey = CONTENT.mean(0, keepdim=True).expand(3, -1, -1)[None]
    assert recoloured(grey, style).isfinite().all()


def test_blurring_keeps_the_mean_and_is_gaussian() -> None:
    x = torch.zeros(1, 3, 64, 65)
    x[..., 32, 32] = 1
    y = blurred(x)[0, 0]
    torch.testing.assert_close(y.sum(), torch.tensor(1.0))
    place = torch.arange(64) - 32
    assert (y.sum(1) * place**2).sum().item() == pytest.approx(BLUR**2, rel=0.02)


@each
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"content": CONTENT[:, :20]}, "content is 56x20 pixels"),
        ({"style": STYLE * 255}, "style has pixels in"),
        ({"seed": -1}, "seed is -1"),
        ({"weight": 0}, "weight is 0"),
        ({"weight": "much"}, "weight is 'much'"),
        ({"iterations": 0}, "iterations is 0"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_errors_say_what_is_wrong(steps: Callable[..., Iterator[Step]], change: dict, said: str) -> None:
    with pytest.raises(lib.TextureError) as caught:
        next(iter(steps(**({"content": CONTENT, "style": STYLE} | change))))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
