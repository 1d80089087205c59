"""Operations on the torus that know their own adjoints: continuation, local means, halving, growing.

Every one is linear, so its gradient is its adjoint, and the adjoint of each is another of them:

    wrapped     x continued by a margin from the opposite edge      folded, margins added to where they came from
    around      the mean over an odd number of pixels a side        itself
    halved      half the resolution, smoothed by (1 2 2 1)/6        grown, a quarter of it
    grown       twice the resolution, smoothed over 3x3 pixels      halved, four times it

Left to itself, autograd differentiates the slices that these are made of one by one, each by an image of zeros with
one slice filled in, which takes several times as long. When a loss is compiled, though, slices, sums and reshapes are
what fuses, twice differentiated too: then they are left to themselves.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Map = Callable[[Tensor], Tensor]


def known_signature(function: type[torch.autograd.Function]) -> type[torch.autograd.Function]:
    """Without it, torch works out the arguments of `forward` anew at each call, a tenth of a millisecond."""
    function.forward.__signature__ = inspect.signature(function.forward)  # type: ignore[attr-defined]
    return function


def at_rest(*parameters: Tensor) -> bool:
    """Whether an image's gradient is all that can be asked for: parameters are fixed, and nothing is being compiled.

    Ask it of the parameters themselves: under torch.func.grad, what is made of them says that it needs no gradient.
    """
    return not torch.compiler.is_compiling() and not any(p.requires_grad for p in parameters)


def by_hand(x: Tensor) -> bool:
    """Whether a gradient of x will be asked for that is better written out than left to autograd."""
    return x.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_compiling()


def convolve(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """A periodic convolution: x [B,C,H,W] -> [B,C',H,W], the kernel's margin taken from the opposite edge."""
    margin = conv.kernel_size[0] // 2 * conv.dilation[0]
    return F.conv2d(wrapped(x, margin), conv.weight, conv.bias, dilation=conv.dilation)


def wrapped(x: Tensor, margin: int) -> Tensor:
    """x [B,C,H,W] continued periodically by a margin, however small x is."""
    if not margin:
        return x
    if margin > min(x.shape[-2:]):
        return _wrapped(x, margin)
    return _linear(partial(_wrapped, margin=margin), partial(_folded, margin=margin), x)


def around(y: Tensor, width: int = 5) -> Tensor:
    """The periodic mean over width x width pixels, an odd number: [B,C,H,W]."""
    of = partial(_around, width=width)
    return _linear(of, of, y)


def halved(h: Tensor) -> Tensor:
    """Half the resolution, smoothed by (1 2 2 1)/6 first: [B,C,H,W], odd sizes made even."""
    return _linear(_halved, lambda g: _grown(g) / 4, even(h))


def grown(h: Tensor) -> Tensor:
    """Twice the resolution, each pixel repeated and the whole smoothed over 3x3 pixels: [B,C,H,W] -> [B,C,2H,2W]."""
    return _linear(_grown, lambda g: 4 * _halved(g), h)


def doubled(h: Tensor) -> Tensor:
    """Twice the resolution, each pixel repeated: [B,C,H,W] -> [B,C,2H,2W]."""
    return h[..., :, None, :, None].expand(*h.shape[:-1], 2, h.shape[-1], 2).flatten(-4, -3).flatten(-2)


def even(h: Tensor) -> Tensor:
    """Continue odd heights and widths by one pixel from the opposite edge, so that halving loses none."""
    if h.shape[-2] % 2:
        h = torch.cat([h, h[..., :1, :]], -2)
    return torch.cat([h, h[..., :1]], -1) if h.shape[-1] % 2 else h


def _linear(of: Map, adjoint: Map, x: Tensor) -> Tensor:
    """A linear map of x, its gradient by its adjoint."""
    return _Linear.apply(x, of, adjoint) if by_hand(x) else of(x)


@known_signature
class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, of: Map, adjoint: Map) -> Tensor:
        return of(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Map, Map], output: Tensor) -> None:
        ctx.of, ctx.adjoint = inputs[1:]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        return _linear(ctx.adjoint, ctx.of, g), None, None


def _wrapped(x: Tensor, margin: int) -> Tensor:
    if margin > min(x.shape[-2:]):  # more than once round
        rows, columns = (torch.arange(-margin, side + margin, device=x.device) % side for side in x.shape[-2:])
        return x[..., rows, :][..., columns]
    if torch.compiler.is_compiling():  # what is filled in piece by piece does not fuse
        x = torch.cat([x[..., -margin:, :], x, x[..., :margin, :]], -2)
        return torch.cat([x[..., -margin:], x, x[..., :margin]], -1)
    inner, first, last = slice(margin, -margin), slice(margin), slice(-margin, None)
    y = _room(x, x.shape[-2] + 2 * margin, x.shape[-1] + 2 * margin)
    y[..., inner, inner] = x
    y[..., first, inner], y[..., last, inner] = x[..., last, :], x[..., first, :]
    y[..., first], y[..., last] = y[..., -2 * margin : -margin], y[..., margin : 2 * margin]
    return y


def _folded(g: Tensor, margin: int) -> Tensor:
    """The adjoint of `_wrapped`: [...,H+2m,W+2m] -> [...,H,W]."""
    height, width = (side - 2 * margin for side in g.shape[-2:])
    columns = g.narrow(-1, margin, width).clone()
    columns.narrow(-1, 0, margin).add_(g.narrow(-1, margin + width, margin))
    columns.narrow(-1, width - margin, margin).add_(g.narrow(-1, 0, margin))
    whole = columns.narrow(-2, margin, height)
    whole.narrow(-2, 0, margin).add_(columns.narrow(-2, margin + height, margin))
    whole.narrow(-2, height - margin, margin).add_(columns.narrow(-2, 0, margin))
    return whole


def _around(y: Tensor, width: int) -> Tensor:
    height, across = y.shape[-2:]
    y = _wrapped(y, width // 2)
    rows = y[..., :height, :]
    for k in range(1, width):
        rows = rows + y[..., k : k + height, :]
    means = rows[..., :across]
    for k in range(1, width):
        means = means + rows[..., k : k + across]
    return means / width**2


def _halved(h: Tensor) -> Tensor:
    if torch.compiler.is_compiling():
        return _around(h, 3).unflatten(-2, (-1, 2)).unflatten(-1, (-1, 2)).mean((-3, -1))
    h = _wrapped(h, 1)
    rows = h[..., :-2:2, :] + h[..., 3::2, :] + 2 * (h[..., 1:-1:2, :] + h[..., 2::2, :])
    return (rows[..., :-2:2] + rows[..., 3::2] + 2 * (rows[..., 1:-1:2] + rows[..., 2::2])) / 36


def _grown(h: Tensor) -> Tensor:
    if torch.compiler.is_compiling():
        return _around(doubled(h), 3)
    y = _room(h, 2 * h.shape[-2], 2 * h.shape[-1])
    h = _wrapped(h / 9, 1)
    middle = 2 * h[..., 1:-1, :]
    for i, rows in enumerate((middle + h[..., :-2, :], middle + h[..., 2:, :])):
        centre = 2 * rows[..., 1:-1]
        y[..., i::2, ::2], y[..., i::2, 1::2] = centre + rows[..., :-2], centre + rows[..., 2:]
    return y


def _room(x: Tensor, height: int, width: int) -> Tensor:
    """For maps of another size than x [B,C,H,W], channels innermost where x has them so."""
    innermost = x.is_contiguous(memory_format=torch.channels_last)
    order = torch.channels_last if innermost else torch.contiguous_format
    return torch.empty((*x.shape[:-2], height, width), dtype=x.dtype, device=x.device, memory_format=order)
