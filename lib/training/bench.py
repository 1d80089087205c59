"""`python -m lib bench`: how fast a training step is on this machine, in each way that it can be computed.

All ways run the same step on the same noise, one after the other; compare them within one run. Training uses float32
in torch's ordinary layout unless told otherwise: on processors without bfloat16 units the others are slower.
"""

import time
from collections.abc import Callable
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

from lib.model import Model
from lib.training.batches import Crops
from lib.training.loop import Recipe, Trainer, gradient_cosine
from lib.training.loss import deep_loss, deep_loss_bf16

REPEATS = 3


def bench(
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    batch: Annotated[int, typer.Option(min=1)] = 8,
    size: Annotated[int, typer.Option(min=32)] = 96,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="also compiled, after minutes")] = False,
) -> None:
    """How many samples a second this machine trains on, in float32, channels last and bfloat16."""
    image = np.random.default_rng(0).integers(0, 256, (2 * size, 2 * size, 3), dtype=np.uint8)
    trainer = Trainer(Recipe(steps=8, warm=0, grow=8, batch=batch, size=size), Crops({"noise": [image]}), device)
    ways: dict[str, Callable[..., Tensor]] = {"float32": deep_loss, "bfloat16": deep_loss_bf16}
    if compiled:
        ways["float32, compiled"] = torch.compile(deep_loss, dynamic=False)
    ways["channels last"] = channels_last
    print(f"{batch} crops of {size}x{size}, {device}, {torch.get_num_threads()} threads; cosine: to float32")
    for name, way in ways.items():
        if way is channels_last:
            trainer.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        cosine = gradient_cosine(trainer, way)
        seconds = min(timed(trainer, way) for _ in range(REPEATS))
        print(f"{name:<18} {batch / seconds:6.1f} samples/s  {1000 * seconds:6.0f} ms a step  cosine {cosine:.4f}")


def timed(trainer: Trainer, way: Callable[..., Tensor]) -> float:
    """Seconds of one step's loss and gradients."""
    start = time.perf_counter()
    trainer.gradients(way)
    if trainer.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def channels_last(model: Model, y: Tensor, *rest: Tensor) -> Tensor:
    """`deep_loss` with the image's channels innermost in memory, as the convolutions of some machines like them."""
    return deep_loss(model, y.contiguous(memory_format=torch.channels_last), *rest)
