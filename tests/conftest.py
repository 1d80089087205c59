"""What tests share: the order, an untrained model, a small series of notebooks, a newcomer who runs the real one."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import browser as chromium
import pytest
import torch
from playwright.sync_api import Browser

import lib

ROOT = Path(__file__).resolve().parents[1]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The newcomer's tests share one long run: at the end, or beside all others where there are several processes."""
    parallel = config.getoption("numprocesses", None) or os.environ.get("PYTEST_XDIST_WORKER")
    items.sort(key=lambda item: bool(item.get_closest_marker("last")) != bool(parallel))
    for item in items:
        if item.get_closest_marker("last"):
            item.add_marker(pytest.mark.xdist_group("newcomer"))


@pytest.fixture(scope="module")
def model() -> lib.Model:
    """As at the start of training: the network's multipliers are zero, the Gaussian's are not."""
    torch.manual_seed(0)
    return lib.Model().eval().requires_grad_(False)


@pytest.fixture
def small_tori(monkeypatch: pytest.MonkeyPatch) -> None:
    """Multipliers for a torus of 64 pixels: enough for an untrained model, in a quarter of the time."""
    monkeypatch.setattr(sys.modules["lib.samplers.diffuse"], "LEAST", 64)


def write_notebook(path: Path, cells: Sequence[str], figures: Sequence[str] = (), tables: Sequence[str] = ()) -> None:
    """A notebook from strings: those that start with "# " and a capital are prose, the rest is code."""
    rows: list[dict[str, Any]] = []
    parameters = 'profile = "laptop"\ndata = ""\ndevice = "cpu"'
    for i, source in enumerate([cells[0], parameters, *cells[1:]]):
        tags = {"tags": ["parameters"]} if source == parameters else {}
        row = {"id": f"cell-{i}", "metadata": tags, "source": source}
        if source.startswith("# ") and source[2].isupper():
            rows.append({**row, "cell_type": "markdown"})
        else:
            rows.append({**row, "cell_type": "code", "execution_count": None, "outputs": []})
    metadata = {
        "companion": {"figures": list(figures), "tables": list(tables)},
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": rows, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A clone in a folder with a space: the real runner, two toy rooms, a notebook for each."""
    root = tmp_path / "a clone"
    (root / "lib").mkdir(parents=True)
    shutil.copytree(ROOT / "lib" / "companion", root / "lib" / "companion")
    for name in ("__main__.py", "errors.py"):
        shutil.copy(ROOT / "lib" / name, root / "lib" / name)
    (root / "lib" / "__init__.py").write_text('ROOMS = {"far": "lib.far:value"}\n')
    (root / "lib" / "near.py").write_text("value = 1\n")
    (root / "lib" / "far.py").write_text("value = 2\n")
    (root / "environment.yml").write_text((ROOT / "environment.yml").read_text())
    save = "figures.save(figures.show_images([[[value / 3]]], scale=8), {!r}, alt='One grey')"
    start = "from lib.companion import figures\nfigures.use_style()"
    write_notebook(
        root / "notebooks" / "00_near.ipynb",
        [
            "# Near\n\n$$f(x) = \\mu \\tag{1}$$",
            "from lib.near import value",
            start,
            save.format("near_figure"),
        ],
        ["near_figure"],
    )
    write_notebook(
        root / "notebooks" / "01_far.ipynb",
        [
            "# Far",
            'own = {"smoke": {"n": 1}, "laptop": {"n": 2}}[profile]',
            "from lib.far import value",
            start,
            save.format("far_figure"),
            "print(own, profile)",
        ],
        ["far_figure"],
    )
    return root


@pytest.fixture
def companion(toy: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`python -m lib ...` in the toy repository."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lib", *arguments],
            cwd=toy,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env=clean_environment(),
        )

    return call


@dataclass(frozen=True)
class Newcomer:
    """Someone who has just cloned the repository: may write there and nowhere else, and has nothing but a Python."""

    clone: Path
    rights: dict[str, Any]  # for subprocess

    @property
    def environment(self) -> dict[str, str]:
        """PATH, and how packages are reached from here; a home that is not there."""
        kept = ("PIP_", "SSL_", "REQUESTS_", "HTTP", "NO_PROXY", "OMP_")
        ours = {k: v for k, v in os.environ.items() if k.upper().startswith(kept)}
        return ours | {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "COLUMNS": "200", "NO_COLOR": "1"}

    def command(self, *arguments: str) -> dict[str, Any]:
        """`./run_all.sh ...` as arguments of subprocess.run or Popen."""
        given = {"cwd": self.clone, "env": self.environment, "text": True, **self.rights}
        return {"args": ["./run_all.sh", *arguments], **given}


@dataclass(frozen=True)
class Series:
    """The whole series, run in the smoke profile by a newcomer."""

    newcomer: Newcomer
    done: subprocess.CompletedProcess[str]

    @property
    def clone(self) -> Path:
        return self.newcomer.clone

    @property
    def site(self) -> Path:
        return self.clone / ".cache" / "smoke" / "site"


@pytest.fixture(scope="session")
def newcomer() -> Iterator[Newcomer]:
    """What is committed, cloned into a folder with a space; by another user, where tests may choose one."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    with tempfile.TemporaryDirectory(prefix="newcomer ") as folder:  # pytest's own folders are closed to others
        clone, rights = Path(folder) / "a clone", {}
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
        if os.geteuid() == 0 and _python_for(NOBODY):
            rights = NOBODY
            Path(folder).chmod(0o755)
            for path in (clone, *clone.rglob("*")):
                os.chown(path, NOBODY["user"], NOBODY["group"], follow_symlinks=False)
        yield Newcomer(clone, rights)


NOBODY: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []}


def _python_for(rights: dict[str, Any]) -> bool:
    """Whether this user can start a Python that is new enough."""
    for name in ("python3.11", "python3.12", "python3.13", "python3"):
        with contextlib.suppress(OSError):
            probe = [name, "-c", "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))"]
            if subprocess.run(probe, capture_output=True, check=False, cwd="/", **rights).returncode == 0:
                return True
    return False


@pytest.fixture(scope="session")
def series(newcomer: Newcomer) -> Series:
    """The first command of the README, at toy size, installation included; run once for all tests that look at it."""
    done = subprocess.run(**newcomer.command("--profile", "smoke"), capture_output=True, timeout=1800, check=False)
    return Series(newcomer, done)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; where there is none, a failure under CI and a skip elsewhere."""
    path = chromium.find()
    if path is None:
        tell = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        tell("no browser; `python tests/browser.py` brings one")
    with chromium.launched(path) as launched:
        yield launched


def clean_environment() -> dict[str, str]:
    """A wide terminal, and nothing of the run that the tests themselves may be in."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TEXTURES_") and k != "PYTHONPATH"}
    return kept | {"COLUMNS": "200", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
