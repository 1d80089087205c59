"""One training by several processes (torchrun): each takes its share of every batch, the gradients are averaged.

Process r of n has the items r, r + n, r + 2n, ... of the batch that one process alone would have, and noise to match;
the first process writes. So the number of processes may change from one sitting to the next.
"""

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lib.errors import TextureError


@dataclass(frozen=True)
class World:
    """How many processes train together, and which of them this is."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def shard(self) -> slice:
        """This process's items of a batch."""
        return slice(self.rank, None, self.size)

    def parallel(self, objective: nn.Module) -> nn.Module:
        """A module whose gradients are averaged over all processes; what is silent for now has none."""
        if self.size == 1:
            return objective
        return DistributedDataParallel(objective, broadcast_buffers=False, find_unused_parameters=True)

    def agreed(self, value: Tensor) -> Tensor:
        """The first process's value, for all."""
        if self.size > 1:
            dist.broadcast(value, 0)
        return value

    def agreed_number(self, value: int) -> int:
        """The first process's number, for all."""
        return value if self.size == 1 else int(self.agreed(torch.tensor(value, device=self.device)).item())

    def leave(self) -> None:
        """After the last step: what follows is done by the first process alone."""
        if self.size > 1:
            dist.destroy_process_group()


ALONE = World()


def join(device: str) -> World:
    """The world that torchrun describes in the environment, and this process's device in it (cuda: one each)."""
    check_device(device)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World(device=device)
    options: dict[str, Any] = {"backend": "gloo"}
    if device == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise TextureError(f"fewer GPUs ({torch.cuda.device_count()}) than processes; lower --nproc-per-node")
        torch.cuda.set_device(local)
        device, options = f"cuda:{local}", {"backend": "nccl", "device_id": torch.device("cuda", local)}
    dist.init_process_group(**options)
    return World(dist.get_rank(), size, device)


def check_device(device: str) -> None:
    """Refuse a device that is not there."""
    if device not in ("cpu", "cuda", "mps"):
        raise TextureError(f"no device {device!r}; known are cpu, cuda, mps")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[device]:
        raise TextureError(f"torch sees no GPU here for {device}; use --device cpu")
