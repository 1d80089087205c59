"""`python -m lib bench train`: what a training step must cost on this machine, and what it does cost.

What it must: its operations are counted, and timed two ways, as one large matrix product and as the very
convolutions and products that occur, each alone. What it does: the same step on the same noise, in each way that it
can be computed, one after the other; compare them within one run. Training uses float32 in torch's ordinary layout
unless told otherwise: on processors without bfloat16 units bfloat16 is slower.
"""

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from lib.model import Model
from lib.training import flops
from lib.training.batches import Crops
from lib.training.loop import Recipe, Trainer, gradient_cosine
from lib.training.loss import deep_loss, deep_loss_bf16

REPEATS = 3
KINDS = {
    "convolutions": ("convolution", "conv_", "cudnn"),
    "matrix products": ("mm", "gemm"),
    "moving and clearing": ("copy_", "cat", "fill_", "zero_", "clone", "index", "slice", "empty"),
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def bench() -> None:
    """How fast this machine is."""


@app.command()
def train(
    config: Annotated[str, typer.Option(help="default or paper")] = "default",
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    batch: Annotated[int, typer.Option(min=1)] = 8,
    size: Annotated[int, typer.Option(min=32)] = 96,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="also compiled, after minutes")] = False,
) -> None:
    """Operations of a training step, the machine's rate, and the share of it that training reaches."""
    image = np.random.default_rng(0).integers(0, 256, (2 * size, 2 * size, 3), dtype=np.uint8)
    recipe = Recipe(config, steps=8, warm=0, grow=8, batch=batch, size=size)
    trainer = Trainer(recipe, Crops({"noise": [image]}), device)
    print(f"{config}: {batch} crops of {size}x{size}, {device}, {torch.get_num_threads()} threads")
    total = print_operations(trainer)
    rates = {dtype: flops.matrix_rate(trainer.device, dtype) for dtype in (torch.float32, torch.bfloat16)}
    for dtype, rate in rates.items():
        print(f"a large product in {str(dtype)[6:]}: {_rate(rate)}, at which a step takes {1000 * total / rate:.0f} ms")
    print(f"\n{'':<26}samples/s  ms a step  its products alone  of a large one  peak memory  cosine to float32")
    for name, way in ways(compiled).items():
        layout = torch.channels_last if "channels" in name else torch.contiguous_format
        trainer.model.to(memory_format=layout)  # type: ignore[call-overload]
        reset_peak_memory(trainer.device)
        cosine = gradient_cosine(trainer, way)
        seconds = min(flops.timed(lambda way=way: trainer.gradients(way), trainer.device) for _ in range(REPEATS))
        memory = peak_memory(trainer.device)
        alone = ""
        if "compiled" not in name:  # compiled or not, the operations are the same
            alone = f"{flops.count(lambda way=way: trainer.gradients(way)).seconds() / seconds:.0%} of that"
        share = total / seconds / (max(rates.values()) if "bfloat16" in name else rates[torch.float32])
        print(f"{name:<26}{batch / seconds:9.1f}  {1000 * seconds:9.0f}  {alone:>18}  {share:14.1%}  "
              f"{memory / 2**30:7.2f} GiB  {cosine:17.4f}")  # fmt: skip
        print(f"{'':<26}{profiled(trainer, way)}")


def print_operations(trainer: Trainer) -> int:
    """Print the operations of a sample by part; returns those of a step."""
    count, size = trainer.recipe.crops(0)
    parts = flops.of_the_loss(trainer.model, deep_loss, torch.rand(count, 3, size, size, device=trainer.device))
    total = flops.count(lambda: trainer.gradients(deep_loss)).flops
    parts["mu and lambda"] = total - sum(parts.values())
    print(f"a sample: {total / count / 1e9:.2f} GFLOP; " + ", ".join(
        f"{name} {part / count / 1e9:.2f}" for name, part in parts.items()
    ))  # fmt: skip
    return total


def ways(compiled: bool) -> dict[str, Callable[..., Tensor]]:
    """The loss in each way that it can be computed, by name."""
    found = {
        "float32": deep_loss,
        "float32, channels last": channels_last(deep_loss),
        "bfloat16": deep_loss_bf16,
        "bfloat16, channels last": channels_last(deep_loss_bf16),
    }
    if compiled:
        found["float32, compiled"] = torch.compile(deep_loss, dynamic=False)
        found["bfloat16, compiled"] = torch.compile(deep_loss_bf16, dynamic=False)
    return found


def channels_last(deep: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A loss with the image's channels innermost in memory, as the convolutions of some machines like them."""

    def way(model: Model, y: Tensor, *rest: Tensor) -> Tensor:
        return deep(model, y.contiguous(memory_format=torch.channels_last), *rest)

    return way


def profiled(trainer: Trainer, way: Callable[..., Tensor]) -> str:
    """Where the time of a step goes, by kind of operation, in percent."""
    cuda = trainer.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * cuda]) as record:
        trainer.gradients(way)
    rest = "element-wise and the rest"
    spent = dict.fromkeys([*KINDS, rest], 0.0)
    for event in record.key_averages():
        kind = next((k for k, words in KINDS.items() if any(word in event.key for word in words)), rest)
        spent[kind] += event.self_device_time_total if cuda else event.self_cpu_time_total
    return ", ".join(f"{kind} {time / sum(spent.values()):.0%}" for kind, time in spent.items())


def reset_peak_memory(device: torch.device) -> None:
    """Begin to measure anew; where the system has no such thing, the peak is the process's."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory(device: torch.device) -> int:
    """Bytes at most held since the last `reset_peak_memory`: on the GPU, or by this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():
        return next(1024 * int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _rate(rate: float) -> str:
    return f"{rate / 1e12:.0f} TFLOP/s" if rate > 1e13 else f"{rate / 1e9:.0f} GFLOP/s"
