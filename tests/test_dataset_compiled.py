"""Compiled functions: who pays for the compiler, where nothing may be written, and who does without."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULE = """
from compiled import compiled


@compiled
def doubled(x):
    return 2 * x


print(doubled(3), sum(doubled.stats.cache_hits.values()))
"""


def run(folder: Path, **environment: str) -> list[int]:
    """What a new process says of twice three: the result, and how often it found machine code."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA", "XDG"))}
    path = str(ROOT / "lib" / "dataset")  # the file alone: the package brings torch
    done = subprocess.run(
        [sys.executable, str(folder / "module.py")],
        env=ours | {"PYTHONPATH": path, "HOME": "/dev/null"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def test_the_second_process_compiles_nothing(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(MODULE)
    assert run(tmp_path) == [6, 0]
    assert run(tmp_path) == [6, 1]


def test_nor_where_only_the_users_cache_may_be_written(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "__pycache__").write_text("not a folder")
    assert run(tmp_path, XDG_CACHE_HOME=str(tmp_path / "home")) == [6, 0]
    assert run(tmp_path, XDG_CACHE_HOME=str(tmp_path / "home")) == [6, 1]


def test_where_nothing_may_be_written_each_process_compiles(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "__pycache__").write_text("not a folder")
    assert run(tmp_path) == [6, 0]
    assert not list(tmp_path.rglob("*.nbi"))
    assert run(tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "said")) == [6, 0]
    assert list((tmp_path / "said").rglob("*.nbi"))


def test_the_library_and_its_models_do_without_the_compiler() -> None:
    code = "import sys, lib, lib.training.cli; lib.load; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
