"""`python -m lib bench train`: what a training step must cost on this machine, and what it does cost.

What it must: its operations are counted, and timed two ways, as one large matrix product and as the very
convolutions and products that occur, each alone. What it does: the same step on the same noise, in each way that it
can be computed, one after the other; compare them within one run. Training uses float32 in torch's ordinary layout
unless told otherwise. Bfloat16 is left out where its products are slower: on processors without units for it.
"""

import resource
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from lib.training import flops
from lib.training.batches import Crops
from lib.training.compiled import in_machine_code
from lib.training.loop import ARCHITECTURES, CHECK_CHUNK, Recipe, Trainer, gradient_cosine
from lib.training.loss import deep_loss, deep_loss_bf16, deep_mean, deep_mean_bf16
from lib.training.resident import ResidentCrops
from lib.training.world import check_device

REPEATS = 3
Way = tuple[Callable[..., Tensor], Callable[..., Tensor]]
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
    config: Annotated[str, typer.Option(help=", ".join(ARCHITECTURES))] = "waves",
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    batch: Annotated[int, typer.Option(min=1)] = 8,
    size: Annotated[int, typer.Option(min=32)] = 96,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="also compiled, after minutes")] = False,
) -> None:
    """Operations of a training step, the machine's rate, and the share of it that training reaches."""
    check_device(device)
    image = np.random.default_rng(0).integers(0, 256, (2 * size, 2 * size, 3), dtype=np.uint8)
    recipe = Recipe(config, steps=8, warm=0, grow=8, batch=batch, size=size)
    groups = {"noise": [image]}
    crops = ResidentCrops(groups, 0, device) if device == "cuda" else Crops(groups)
    trainer = Trainer(recipe, crops, device)
    print(f"{config}: {batch} crops of {size}x{size}, {device}, {torch.get_num_threads()} threads")
    total = print_operations(trainer)
    rates = {dtype: flops.matrix_rate(trainer.device, dtype) for dtype in (torch.float32, torch.bfloat16)}
    for dtype, rate in rates.items():
        print(f"a large product in {str(dtype)[6:]}: {_rate(rate)}, at which a step takes {1000 * total / rate:.0f} ms")
    print(f"\n{'':<26}samples/s  ms a step  its products alone  of a large one  peak memory  cosine to float32")
    for name, way in ways(compiled, half=rates[torch.bfloat16] > rates[torch.float32]).items():
        peak = rates[torch.bfloat16 if "bfloat16" in name else torch.float32]
        trainer.layout = torch.channels_last if "channels" in name else torch.contiguous_format
        trainer.model.to(memory_format=trainer.layout)  # type: ignore[call-overload]
        try:
            print_way(trainer, name, way, total, peak)
        except torch.OutOfMemoryError:
            print(f"{name:<26} does not fit into memory")


def print_way(trainer: Trainer, name: str, way: Way, total: int, peak: float) -> None:
    """Time a step of `total` operations in one way and print its line; `peak`: the machine's rate in that precision."""
    cosine = gradient_cosine(trainer, *way)
    reset_peak_memory(trainer.device)
    seconds = min(flops.timed(lambda: trainer.gradients(*way), trainer.device) for _ in range(REPEATS))
    memory = peak_memory(trainer.device)
    alone = ""
    if "compiled" not in name:  # compiled or not, the operations are the same
        alone = f"{flops.count(lambda: trainer.gradients(*way)).seconds() / seconds:.0%} of that"
    print(f"{name:<26}{trainer.recipe.batch / seconds:9.1f}  {1000 * seconds:9.0f}  {alone:>18}  "
          f"{total / seconds / peak:14.1%}  {memory / 2**30:7.2f} GiB  {cosine:17.4f}")  # fmt: skip
    print(f"{'':<26}{profiled(trainer, way)}")
    if trainer.device.type == "cuda":
        print(f"{'':<26}the host waits {waits(trainer, way)} times")


def print_operations(trainer: Trainer) -> int:
    """Print the operations of a sample by part; returns those of a step."""
    count, size = trainer.recipe.crops(0)
    parts = flops.of_the_loss(trainer.model, deep_loss, torch.rand(1, 3, size, size, device=trainer.device))
    total = flops.count(lambda: trainer.gradients(deep_loss, chunk=CHECK_CHUNK)).flops
    parts["mu and lambda"] = total // count - sum(parts.values())
    print(f"a sample: {total / count / 1e9:.2f} GFLOP; " + ", ".join(
        f"{name} {part / 1e9:.2f}" for name, part in parts.items()
    ))  # fmt: skip
    return total


def ways(compiled: bool, half: bool) -> dict[str, Way]:
    """The loss, and f of the clean crops, in each way that is worth trying, by name; `half`: in bfloat16 too."""
    precisions: dict[str, Way] = {"float32": (deep_loss, deep_mean)}
    if half:
        precisions["bfloat16"] = (deep_loss_bf16, deep_mean_bf16)
    found: dict[str, Way] = {}
    for name, way in precisions.items():
        found[name] = found[f"{name}, channels last"] = way
        if compiled:
            narrow = name != "float32"
            found[f"{name}, compiled"] = in_machine_code(way[0], narrow), in_machine_code(way[1], narrow)
    return found


def waits(trainer: Trainer, way: Way) -> int:
    """How often a step makes the host wait for the GPU."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        trainer.gradients(*way)
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in told)


def profiled(trainer: Trainer, way: Way) -> str:
    """Where the time of a step goes, by kind of operation, in percent."""
    cuda = trainer.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * cuda]) as record:
        trainer.gradients(*way)
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
