"""Floating-point operations of a training step, counted where its matrix products and convolutions are called.

A product and a sum are two operations. Counting below automatic differentiation sees every gradient, the second too,
and the shapes, so that the same calls can be made again alone: the time they take is what a step cannot go below
with this machine's convolutions. (FlopCounterMode of torch cannot follow a gradient taken inside a loss, and counts the
backward pass of a grouped convolution once for every group.)
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lib.model import Model

aten = torch.ops.aten
CONVOLUTIONS = (aten.convolution, aten.convolution_backward)
PRODUCTS = (aten.mm, aten.bmm, aten.addmm, aten.baddbmm)


@dataclass(frozen=True)
class Layout:
    """All of a tensor but its values."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def tensor(self) -> Tensor:
        """Some tensor of this layout, of values of order one; what was expanded (a mean's gradient) is so again."""
        kept = [1 if stride == 0 else side for side, stride in zip(self.shape, self.stride, strict=True)]
        empty = torch.empty_strided(kept, self.stride, dtype=self.dtype, device=self.device)
        return empty.copy_(torch.rand(kept, device=self.device)).expand(self.shape)


@dataclass(frozen=True)
class Call:
    """One matrix product or convolution."""

    function: Any
    arguments: tuple[Any, ...]
    flops: int

    def seconds(self) -> float:
        """Time of the call made alone, the better of two."""
        arguments = [a.tensor() if isinstance(a, Layout) else a for a in self.arguments]
        return min(timed(lambda: self.function(*arguments), self.arguments[0].device) for _ in range(2))


class Calls(TorchDispatchMode):
    """Counts, while it is entered, the calls of matrix products and convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[Call] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in CONVOLUTIONS + PRODUCTS:
            self.counts[Call(func, tuple(_layout(a) for a in args), flops(func.overloadpacket, args, out))] += 1
        return out

    @property
    def flops(self) -> int:
        """Operations of all calls."""
        return sum(call.flops * count for call, count in self.counts.items())

    def seconds(self) -> float:
        """Time of all calls, each made alone."""
        return sum(call.seconds() * count for call, count in self.counts.items())


def flops(packet: Any, args: Any, out: Any) -> int:
    """Operations of one call of those counted here, given its arguments and what it returned."""
    if packet is aten.convolution:  # each output pixel (transposed: input pixel) meets the weights of one filter
        return 2 * (args[0] if args[6] else out).numel() * args[1][0].numel()
    if packet is aten.convolution_backward:  # as much again for the image's gradient, and for the weights'
        return 2 * sum(args[10][:2]) * (args[1] if args[7] else args[0]).numel() * args[2][0].numel()
    left = args[0] if packet in (aten.mm, aten.bmm) else args[1]
    return 2 * (4 if out.is_complex() else 1) * out.numel() * left.shape[-1]


def count(function: Callable[[], Any]) -> Calls:
    """The calls that a function makes."""
    with Calls() as calls:
        function()
    return calls


def of_the_loss(model: Model, deep: Callable[..., Tensor], y: Tensor) -> dict[str, int]:
    """Operations of f_theta's forward pass at y [B,3,H,W], of its gradient in y and of that gradient's in theta."""
    lam = torch.ones(len(y), model.dim - model.architecture.known, device=y.device, requires_grad=True)
    weights = torch.ones(len(y), device=y.device)
    with torch.no_grad():
        forward = count(lambda: model.statistics.deep(y)).flops
        inner = count(lambda: deep(model, y, lam, y, weights)).flops
    whole = count(lambda: deep(model, y, lam, y, weights).backward()).flops
    model.zero_grad(set_to_none=True)
    return {"forward": forward, "inner gradient": inner - forward, "outer gradient": whole - inner}


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a matrix product, the best of three, of a size that takes a tenth of a second."""
    n, rate = 256, 0.0
    while n <= 8192:
        a = torch.rand(n, n, device=device).to(dtype)
        seconds = min(timed(partial(torch.mm, a, a), device) for _ in range(3))
        rate = 2 * n**3 / seconds
        if seconds > 0.1:
            break
        n *= 2
    return rate


def timed(function: Callable[[], Any], device: torch.device) -> float:
    """Seconds that a function takes on a device."""
    _wait(device)
    start = time.perf_counter()
    function()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _layout(value: Any) -> Any:
    if isinstance(value, Tensor):
        return Layout(tuple(value.shape), value.stride(), value.dtype, value.device)
    return tuple(value) if isinstance(value, list) else value
