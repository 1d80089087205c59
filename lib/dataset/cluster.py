"""Where tasks run: in this process, on a Dask cluster of this machine's cores, or on any Dask scheduler.

A worker that dies (for want of memory, or because its machine went away) is replaced by its nanny and its task runs
again elsewhere. A task that has taken several workers with it is given up, the others go on. The scheduler has one task
a core at any time: it is as light for twenty thousand tars as for twenty, and no task waits, to be blamed for a
neighbour, on a worker that dies.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from lib.dataset.sources import Task
from lib.errors import TextureError

if TYPE_CHECKING:
    from distributed import Client

MEMORY = "2GiB"  # of a local worker: its nanny restarts it at 95 % of that
PATIENCE = 20  # seconds for a scheduler to answer, and for its first worker to come
# Pages given back to the system after each picture, as Dask would have it, must be asked for again at the next one.
ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": 1 << 25,
    "MALLOC_TRIM_THRESHOLD_": 1 << 27,
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1),
}

Work = Callable[[Task], dict[str, Any]]


@dataclass(frozen=True)
class Lost:
    """A task that was given up, and why."""

    task: Task
    why: str


def run_tasks(
    work: Work,
    tasks: list[Task],
    workers: int,
    scheduler: str = "",
    gone: Callable[[int], None] = lambda count: None,
) -> Iterator[dict[str, Any] | Lost]:
    """The results of work(task), in any order; `work` must be importable on the workers.

    Args:
        workers: processes of a local cluster; 1 (or a single task) runs in this process.
        scheduler: address of a Dask scheduler, instead of a local cluster.
        gone: told how many workers have died or left so far.

    Raises:
        TextureError: the scheduler cannot be reached, or it has no workers.
    """
    if not scheduler and min(workers, len(tasks)) <= 1:
        yield from map(work, tasks)
        return
    with _client(min(workers, len(tasks)), scheduler) as client:
        yield from _results(client, work, tasks, gone)


def _results(
    client: "Client", work: Work, tasks: list[Task], gone: Callable[[int], None]
) -> Iterator[dict[str, Any] | Lost]:
    from distributed import KilledWorker, as_completed

    waiting = iter(tasks)
    with_scheduler: dict[str, Task] = {}
    done = as_completed()

    def submit(count: int) -> None:
        for task in islice(waiting, max(0, count)):
            future = client.submit(work, task, key=f"filter-{task.name}", pure=False)
            with_scheduler[str(future.key)] = task
            done.add(future)

    seen: set[str] = set()
    while True:
        cores = client.ncores()  # a cluster may grow while it runs
        seen |= set(cores)
        gone(len(seen) - len(cores))
        submit(max(1, sum(cores.values())) - len(with_scheduler))
        if not with_scheduler:
            return
        for future in next(done.batches()):
            task = with_scheduler.pop(str(future.key))
            try:
                yield future.result()
            except KilledWorker:
                yield Lost(task, "its workers were killed, most likely for want of memory")
            future.release()


@contextmanager
def _client(workers: int, scheduler: str) -> Iterator["Client"]:
    import dask
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        if scheduler:
            try:
                client = stack.enter_context(Client(scheduler, timeout=PATIENCE))
            except (OSError, ValueError) as error:
                raise TextureError(f"no Dask scheduler answers at {scheduler} ({error}); start one first") from None
        else:
            stack.enter_context(dask.config.set({"distributed.nanny.pre-spawn-environ": ENVIRONMENT}))
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="filter-", ignore_cleanup_errors=True))
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    memory_limit=MEMORY,
                    host="127.0.0.1",
                    dashboard_address=None,
                    local_directory=folder,
                    silence_logs=logging.CRITICAL,
                )
            )
            client = stack.enter_context(Client(cluster))
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise TextureError(f"the Dask scheduler {scheduler} has no workers; start some first") from None
        yield client
