"""How alike are two runs of one call? The numbers of REPRODUCING.md: `python -m lib.evaluation.repeat`."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

import lib

SIZE = 128


def compare(call: Callable[[], Tensor], other: Callable[[], Tensor]) -> tuple[float, float]:
    """Largest and root mean square difference between the first images of two results, in grey levels of 255."""
    difference = 255 * (call()[:1] - other()[:1])
    return difference.abs().max().item(), difference.square().mean().sqrt().item()


def with_threads(count: int, call: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The call, with so many threads."""

    def run() -> Tensor:
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            return call()
        finally:
            torch.set_num_threads(before)

    return run


def main() -> None:
    """Print a row for each sampler and each kind of repetition."""
    model, x0, threads = lib.load(), lib.exemplar("pebble")[:, :SIZE, :SIZE], torch.get_num_threads()
    print(f"| {SIZE} x {SIZE}, {threads} threads | largest, grey levels | root mean square |\n|---|---|---|")
    for name, sampler in (("match", lib.match), ("diffuse", lib.diffuse)):
        once, beside = partial(sampler, model, x0, n=1, seed=0), partial(sampler, model, x0, n=2, seed=0)
        kinds: dict[str, Callable[[], Tensor]]
        kinds = {"again": once, "in a batch of two": beside, "with one thread": with_threads(1, once)}
        for kind, other in kinds.items():
            largest, typical = compare(once, other)
            print(f"| {name}, {kind} | {largest:.3g} | {typical:.3g} |", flush=True)


if __name__ == "__main__":
    main()
