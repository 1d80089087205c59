"""Operations on the torus: each gradient is the adjoint, whatever the size, the layout, the order of derivative."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lib.statistics.periodic import around, at_rest, convolve, doubled, grown, halved, wrapped

Map = Callable[[Tensor], Tensor]
MAPS: dict[str, Map] = {
    "wrapped": lambda x: wrapped(x, 2),
    "wrapped twice round": lambda x: wrapped(x, 9),
    "around 3": lambda x: around(x, 3),
    "around 5": around,
    "halved": halved,
    "grown": grown,
}


def image(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(2, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", MAPS)
@settings(max_examples=20, deadline=None)
@given(height=st.integers(2, 9), width=st.integers(2, 9), innermost=st.booleans())
def test_the_gradient_is_the_adjoint(name: str, height: int, width: int, innermost: bool) -> None:
    """<A x, y> = <x, A'y> for all x and y; A'y by autograd does not depend on x."""
    of = MAPS[name]
    x = image(height, width).contiguous(memory_format=torch.channels_last if innermost else torch.contiguous_format)
    x.requires_grad_()
    out = of(x)
    y = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))
    (back,) = torch.autograd.grad(out, x, y)
    torch.testing.assert_close((out * y).sum(), (x * back).sum())


@pytest.mark.parametrize("name", MAPS)
def test_derivatives_of_all_orders(name: str) -> None:
    x = image(4, 6).requires_grad_()
    assert torch.autograd.gradcheck(MAPS[name], x)
    assert torch.autograd.gradgradcheck(lambda x: MAPS[name](x).square(), x)
    by_function = torch.func.grad(lambda x: MAPS[name](x).square().sum())(x)
    (by_tape,) = torch.autograd.grad(MAPS[name](x).square().sum(), x)
    torch.testing.assert_close(by_function, by_tape)


@pytest.mark.parametrize("name", MAPS)
def test_what_a_compiler_is_given_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a loss is compiled, the operations are left to autograd, piece by piece."""
    x = image(6, 8).requires_grad_()
    found = []
    for compiling in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda compiling=compiling: compiling)
        out = MAPS[name](x)
        found.append((out, *torch.autograd.grad(out.square().sum(), x)))
    torch.testing.assert_close(found[0], found[1])


def test_channels_that_are_innermost_stay_so() -> None:
    x = image(4, 6).contiguous(memory_format=torch.channels_last)
    for name, of in MAPS.items():
        assert name == "wrapped twice round" or of(x).is_contiguous(memory_format=torch.channels_last), name


def test_halving_and_growing_are_local_means() -> None:
    x = image(6, 8)
    four = sum(around(x, 3)[..., i::2, j::2] for i in range(2) for j in range(2)) / 4
    torch.testing.assert_close(halved(x), four)
    torch.testing.assert_close(grown(x), around(doubled(x), 3))


def test_at_rest_is_what_no_optimiser_moves() -> None:
    conv = torch.nn.Conv2d(1, 1, 3)
    assert not at_rest(conv.weight)
    assert at_rest(conv.requires_grad_(False).weight)


def test_periodic_continuation_of_images_smaller_than_the_margin() -> None:
    x = torch.arange(6.0).view(1, 1, 2, 3)
    once = wrapped(x, 5)
    for i in range(12):
        for j in range(13):
            assert once[0, 0, i, j] == x[0, 0, (i - 5) % 2, (j - 5) % 3]
    conv = torch.nn.Conv2d(1, 1, 5, bias=False).requires_grad_(False)
    torch.testing.assert_close(convolve(x, conv), convolve(x.repeat(1, 1, 4, 4), conv)[..., :2, :3])


@pytest.mark.parametrize(("side", "dilation"), [(3, 1), (3, 2), (3, 4), (5, 3)])
def test_convolutions_are_torchs_circular_ones(side: int, dilation: int) -> None:
    x, margin = image(16, 14), side // 2 * dilation
    conv = torch.nn.Conv2d(3, 2, side, dilation=dilation, dtype=x.dtype).requires_grad_(False)
    wanted = F.conv2d(F.pad(x, (margin,) * 4, mode="circular"), conv.weight, conv.bias, dilation=dilation)
    torch.testing.assert_close(convolve(x, conv), wanted)


@pytest.mark.parametrize("side", [32, 33])
def test_halving_keeps_the_mean_of_even_sizes_and_loses_no_pixel(side: int) -> None:
    h = torch.rand(1, 2, side, side).requires_grad_()
    half = halved(h)
    assert half.shape[-1] == (side + 1) // 2
    if side % 2 == 0:
        torch.testing.assert_close(half.mean((2, 3)), h.mean((2, 3)))
    (gradient,) = torch.autograd.grad(half.sum(), h)
    assert (gradient > 0).all()
