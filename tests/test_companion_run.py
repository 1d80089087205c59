"""The runner: what it reuses, what it recomputes, what it says when something is wrong."""

import base64
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from conftest import clean_environment, write_notebook
from PIL import Image

from lib.companion import manifest, paper
from lib.companion.run import Settings, _lighten
from lib.model import Model
from lib.training import checkpoint

Companion = Callable[..., subprocess.CompletedProcess[str]]


def statuses(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The table's last column, by notebook."""
    rows = [line.strip("│ ").split("│") for line in done.stdout.splitlines() if line.startswith("│")]
    return {row[0].strip(): row[-1].strip() for row in rows if row[0].strip() != "in all"}


def test_reuse_is_by_content(toy: Path, companion: Companion) -> None:
    first = companion("run")
    assert first.returncode == 0, first.stdout + first.stderr
    assert statuses(first) == {"00_near": "done", "01_far": "done"}

    os.utime(toy / "lib" / "far.py")  # a new date is no new content
    (toy / "lib" / "near.py").write_text("value = 3\n")
    assert "lib/near.py changed" in companion("run", "--dry-run").stdout
    assert statuses(companion("run")) == {"00_near": "done", "01_far": "reused"}

    figure = toy / "figures" / "far_figure.png"
    figure.write_bytes(figure.read_bytes()[:-1] + b"x")
    (toy / "site" / "00_near.html").unlink()
    assert statuses(companion("run")) == {"00_near": "done", "01_far": "done"}

    (toy / "figures" / "manifest.json").unlink()
    fresh = companion("run", "--fresh", "--only", "1")
    assert statuses(fresh) == {"01_far": "done"}
    assert statuses(companion("run")) == {"00_near": "reused", "01_far": "reused"}
    assert set(json.loads((toy / "figures" / "manifest.json").read_text())) == {"near_figure", "far_figure"}


def test_a_figure_that_its_notebook_makes_no_more_is_forgotten(tmp_path: Path) -> None:
    manifest.add(tmp_path, {"old": {"notebook": "00_near"}, "kept": {"notebook": "01_far"}})
    manifest.add(tmp_path, {"new": {"notebook": "00_near"}}, "00_near")
    assert list(manifest.read(tmp_path)) == ["kept", "new"]


def test_figures_say_how_they_were_made(toy: Path, companion: Companion) -> None:
    import hashlib

    assert companion("run", "--profile", "smoke", "--only", "near").returncode == 0
    assert not (toy / "figures").exists()  # toy figures do not take the place of real ones
    folder = toy / ".cache" / "smoke" / "figures"
    row = json.loads((folder / "manifest.json").read_text())["near_figure"]
    assert row["sha256"] == hashlib.sha256((folder / "near_figure.png").read_bytes()).hexdigest()
    assert (row["profile"], row["notebook"], row["alt"]) == ("smoke", "00_near", "One grey")
    assert row["command"] == "./run_all.sh --profile smoke --only 00"
    text = Image.open(folder / "near_figure.png").text  # type: ignore[attr-defined]
    assert json.loads(text["profile"]) == "smoke"
    assert {"command", "commit", "parameters", "seconds"} <= set(text)
    page = (toy / ".cache" / "smoke" / "site" / "00_near.html").read_text()
    assert 'alt="One grey"' in page
    assert "<math" in page
    assert "(1)" in page


def test_failures_are_told_and_do_not_stop_the_others(toy: Path, companion: Companion) -> None:
    write_notebook(toy / "notebooks" / "02_wrong.ipynb", ["# Wrong", "x = 1", "x / 0"])
    write_notebook(toy / "notebooks" / "03_promise.ipynb", ["# Promise", "1 + 1"], ["never_made"])
    (toy / "figures").mkdir()
    (toy / "figures" / "never_made.png").write_bytes(b"an old one")  # being there is not being new
    write_notebook(toy / "notebooks" / "04_right.ipynb", ["# Right", "1 + 1"])
    done = companion("run", "--only", "02", "--only", "03", "--only", "04")
    assert done.returncode == 1
    assert statuses(done) == {"02_wrong": "failed", "03_promise": "no figure never_made", "04_right": "done"}
    assert "x / 0" in done.stdout
    assert "ZeroDivisionError: division by zero" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert (toy / "site" / "02_wrong.failed.ipynb").exists()
    assert statuses(companion("run", "--only", "03"))["03_promise"] == "no figure never_made"


def test_tables_lie_beside_the_figures(toy: Path, companion: Companion) -> None:
    made = "from lib.companion import figures\nfigures.save_table('a,b\\n1,2\\n', 'numbers.csv')"
    write_notebook(toy / "notebooks" / "02_table.ipynb", ["# Table", made], tables=["numbers.csv"])
    write_notebook(toy / "notebooks" / "03_undeclared.ipynb", ["# Undeclared", made.replace("numbers", "others")])
    write_notebook(toy / "notebooks" / "04_promise.ipynb", ["# Promise", "1 + 1"], tables=["never.md"])
    done = companion("run", "--only", "02", "--only", "03", "--only", "04")
    assert done.stdout, done.stderr
    assert statuses(done) == {
        "02_table": "done",
        "03_undeclared": "table others.csv is not declared",
        "04_promise": "no table never.md",
    }
    table = toy / "figures" / "numbers.csv"
    assert table.read_text() == "a,b\n1,2\n"
    assert statuses(companion("run", "--only", "02")) == {"02_table": "reused"}
    table.unlink()
    assert statuses(companion("run", "--only", "02")) == {"02_table": "done"}
    assert table.exists()


def test_a_kernel_that_dies_is_told_and_stops_nothing(toy: Path, companion: Companion) -> None:
    """As it does when the machine runs out of memory."""
    write_notebook(toy / "notebooks" / "00_near.ipynb", ["# Near", "import os\nos.kill(os.getpid(), 9)"])
    done = companion("run")
    assert done.returncode == 1
    assert statuses(done) == {"00_near": "failed", "01_far": "done"}
    assert "Traceback" not in done.stderr
    assert "died" in done.stdout + done.stderr


def test_interruption_keeps_what_is_finished(toy: Path, companion: Companion) -> None:
    begun = toy / "begun"
    cell = f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(120)"
    write_notebook(toy / "notebooks" / "01_far.ipynb", ["# Far", cell])
    command = [sys.executable, "-m", "lib", "run"]
    run = subprocess.Popen(
        command,
        cwd=toy,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background job ignores Ctrl-C, and so would its children: these tests may be run in one
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 90
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.2)

    second = companion("run")  # one at a time
    assert second.returncode == 1
    assert f"process {run.pid}" in second.stderr

    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "goes on where it was" in errors
    assert "Traceback" not in errors
    assert statuses(companion("run", "--only", "00")) == {"00_near": "reused"}


def test_the_lock_of_a_killed_run_is_free(toy: Path, companion: Companion) -> None:
    (toy / ".cache").mkdir()
    (toy / ".cache" / "run.lock").write_text("1")  # a process that lives, but holds nothing
    assert companion("run", "--only", "00").returncode == 0


def test_update_puts_outputs_beside_their_sources(toy: Path, companion: Companion) -> None:
    before = nbformat.read(toy / "notebooks" / "00_near.ipynb", as_version=4)
    assert companion("run", "--update").returncode == 0
    after = nbformat.read(toy / "notebooks" / "00_near.ipynb", as_version=4)
    assert [(c.id, c.source) for c in after.cells] == [(c.id, c.source) for c in before.cells]
    assert after.cells[-1].outputs[0].metadata["image/png"]["alt"] == "One grey"
    assert after.metadata["companion"]["figures"] == ["near_figure"]
    assert statuses(companion("run")) == {"00_near": "reused", "01_far": "reused"}
    refused = companion("run", "--update", "--profile", "smoke")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)


def test_heavy_pictures_are_lightened_and_light_ones_left() -> None:
    rng = np.random.default_rng(0)
    encoded = []
    for side in (20, 500):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(buffer, "png")
        encoded.append(base64.b64encode(buffer.getvalue()).decode())
    words = {"image/png": {"alt": "Noise"}}
    outputs = [
        nbformat.v4.new_output("display_data", {"image/png": picture}, metadata=dict(words)) for picture in encoded
    ]
    cell = nbformat.v4.new_code_cell(outputs=outputs)
    _lighten(cell)
    assert cell.outputs[0].data["image/png"] == encoded[0]
    assert list(cell.outputs[1].data) == ["image/jpeg"]
    assert cell.outputs[1].metadata == {"image/jpeg": {"alt": "Noise"}}
    assert len(cell.outputs[1].data["image/jpeg"]) < 0.6 * len(encoded[1])
    assert Image.open(io.BytesIO(base64.b64decode(cell.outputs[1].data["image/jpeg"]))).size == (500, 500)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--speed", "9"], ["--speed", "--profile", "--only", "--fresh"]),
        (["run", "--profile", "huge"], ["huge", "smoke, laptop, paper"]),
        (["run", "--only", "sky"], ["sky", "00_near, 01_far"]),
        (["run", "--profile", "paper"], ["--data DIR"]),
        (["run", "--data", "nowhere"], ["nowhere", "does not exist"]),
        (["run", "--device", "abacus"], ["abacus", "cpu, cuda, mps"]),
        (["rum"], ["rum", "run, filter, train"]),
    ],
)
def test_a_wrong_command_line_says_what_is_known(companion: Companion, arguments: list[str], words: list[str]) -> None:
    done = companion(*arguments)
    assert done.returncode != 0
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words)


def test_the_paper_profile_asks_training_for_what_it_knows(companion: Companion) -> None:
    """Five million crops, by the command that is shown; stopped here by data that are not there."""
    at = paper.RECIPE.index("--batch") + 1, paper.RECIPE.index("--steps") + 1
    assert math.prod(int(paper.RECIPE[k]) for k in at) == 5_000_000
    done = companion("train", *paper.RECIPE, "--data", "nowhere", "--out", "run")
    assert done.stderr.startswith("error: nowhere is not a folder")


def test_the_paper_profile_learns_the_bases_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filter, train, bases, each by its command; called again, the bases that the model has stay."""
    asked = list[str]()
    path = paper.model_path(tmp_path)

    def run(step: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(" ".join(step[2:4]) if step[2] == "lib" else step[2])
        if asked[-1] == "lib train" and not path.exists():
            path.parent.mkdir(parents=True)
            checkpoint.save(Model(), path, "", {"seed": 1})
        if asked[-1] == "lib.training.bases":
            assert step[3:] == [str(path), "--data", str(tmp_path / "data" / "patches")]
            checkpoint.save(checkpoint.load(path), path, "", {"seed": 1, "bases": {"photographs": 2}})
        return subprocess.CompletedProcess(step, 0)

    monkeypatch.setattr(subprocess, "run", run)
    settings = Settings(tmp_path, "paper", data="photographs")
    paper.prepare(settings)
    assert asked == ["lib filter", "lib train", "lib.training.bases"]
    paper.prepare(settings)
    assert asked[3:] == ["lib filter", "lib train"]


def test_list_and_dry_run_compute_nothing(toy: Path, companion: Companion) -> None:
    listed = companion("run", "--list")
    assert "01_far" in listed.stdout
    assert "far_figure" in listed.stdout
    planned = companion("run", "--dry-run", "--profile", "smoke", "--device", "cpu")
    assert planned.returncode == 0
    for words in ("smoke", "cpu", ".cache/smoke/figures", "run: not computed yet (n=1)"):
        assert words in planned.stdout
    assert not (toy / "site").exists()
    assert not (toy / ".cache").exists()
