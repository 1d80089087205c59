"""Dask: workers and whole runs killed at random moments, and nothing is lost or doubled."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from dataset_pictures import encode, make_tar, noise

from lib.dataset import cluster, shards
from lib.dataset.filter import filter_sources
from lib.dataset.sources import Task
from lib.errors import TextureError

ROOT = Path(__file__).resolve().parents[1]
TARS = 8


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight tars, a third of a second's work each."""
    folder = tmp_path_factory.mktemp("library")
    for t in range(TARS):
        members = {f"n{t}_{i}.JPEG": encode(noise(256, 256, 10 * t + i), "JPEG", quality=90) for i in range(10)}
        make_tar(folder / f"n{t}.tar", members)
    return folder


@pytest.fixture(scope="module")
def whole(library: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("whole") / "out"
    filter_sources([library], out, workers=1)
    return digest(out)


def digest(out: Path) -> dict[str, str]:
    """Every patch, every row, every table of a data set; done.json and gzip hold times."""
    files = [*out.rglob("*.npy"), *out.rglob("*.tsv"), out / "DATA.md"]
    found = {p.relative_to(out).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    return found | {"manifest": hashlib.sha256(repr(list(shards.read_manifest(out))).encode()).hexdigest()}


SCRIPT = """
import sys
from pathlib import Path
from lib.dataset import filter as room
if __name__ == "__main__":
    room.filter_sources([Path(sys.argv[1])], Path(sys.argv[2]), workers=2)
"""


def start(library: Path, out: Path, script: Path) -> subprocess.Popen[bytes]:
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, str(script), str(library), str(out)], env=environment)


def wait_for(happens: Any, seconds: float = 60) -> None:
    deadline = time.time() + seconds
    while not happens() and time.time() < deadline:
        time.sleep(0.01)
    assert happens()


def test_a_run_killed_at_random_moments_ends_as_one_that_was_not(
    library: Path, whole: dict[str, str], tmp_path: Path
) -> None:
    out, moments = tmp_path / "out", random.Random(0)
    for _ in range(2):
        before = {*out.glob(".n*"), *out.glob("n*")}
        process = start(library, out, tmp_path / "run.py")
        wait_for(lambda seen=before: {*out.glob(".n*"), *out.glob("n*")} - seen)
        time.sleep(moments.uniform(0, 0.15))
        mine = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
        # No worker outlives the run: it would work against the next one.
        assert not psutil.wait_procs(mine, timeout=20)[1]
    filter_sources([library], out, workers=1)
    assert not list(out.glob(".n*"))
    assert digest(out) == whole


def works(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:  # it has ended meanwhile
        return False


def test_a_killed_worker_is_replaced_and_its_task_done_again(
    library: Path, whole: dict[str, str], tmp_path: Path
) -> None:
    out, before = tmp_path / "out", {p.pid for p in psutil.Process().children(recursive=True)}
    killed: list[int] = []

    def kill(report: Any, tasks: int) -> None:
        workers = [p for p in psutil.Process().children(recursive=True) if p.pid not in before and works(p)]
        if report.tasks == 2 and not killed and workers:
            killed.append(random.Random(1).choice(workers).pid)
            os.kill(killed[0], signal.SIGKILL)

    report = filter_sources([library], out, workers=2, progress=kill)
    assert killed
    assert report.tasks == TARS
    assert report.workers_lost == 1
    assert not list(out.glob(".n*"))
    assert digest(out) == whole


def die(task: Task) -> dict[str, Any]:
    """Takes its worker with it, if it is the first task."""
    if task.root.name == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"task": task.root.name}


def test_a_task_that_kills_every_worker_is_given_up_and_the_others_done() -> None:
    distributed = pytest.importorskip("distributed")
    import dask

    tasks = [Task(Path(str(i)), ("x",)) for i in range(20)]
    options: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(**options, silence_logs=50) as local,
    ):
        results = list(cluster.run_tasks(die, tasks, 1, local.scheduler_address))
    lost = [result for result in results if isinstance(result, cluster.Lost)]
    assert [one.task.root.name for one in lost] == ["0"]
    done = sorted(int(result["task"]) for result in results if not isinstance(result, cluster.Lost))
    assert done == list(range(1, 20))


def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    with pytest.raises(TextureError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        list(cluster.run_tasks(die, [Task(Path("0"))], 1, "tcp://127.0.0.1:9"))
