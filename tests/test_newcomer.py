"""Both commands of the README, by someone who has just cloned it, held against what the README promises."""

import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from conftest import ROOT, Newcomer, Series

from lib.companion import html
from lib.companion.series import find

pytestmark = pytest.mark.last
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_command_makes_what_is_promised(series: Series) -> None:
    """Every notebook, every figure, the pages; and nothing where it would be committed."""
    assert series.done.returncode == 0, series.done.stdout + series.done.stderr
    assert "Traceback" not in series.done.stdout + series.done.stderr
    notebooks = find(series.clone / "notebooks")
    assert f"{len(notebooks)} of {len(notebooks)} good" in series.done.stdout
    figures = {path.stem for path in (series.site.parent / "figures").glob("*.png")}
    declared = {name for n in notebooks for name in n.figures}
    assert figures == declared
    promised = set(re.findall(r"\(figures/(\w+)\.png\)", README))
    assert len(promised) > 8
    assert promised <= figures
    for page in series.site.glob("*.html"):
        assert html.outside_resources(page.read_text()) == []
    front = (series.site / "index.html").read_text()
    assert {name for name in declared if f"../figures/{name}.png" in front} == declared
    assert front.count("default, sha256 ") == len(declared)
    status = subprocess.run(
        ["git", "-c", "safe.directory=*", "status", "--porcelain"],
        cwd=series.clone, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert status.stdout == ""


def test_again_it_reuses(series: Series) -> None:
    asked = series.newcomer.command("--profile", "smoke")
    done = subprocess.run(**asked, capture_output=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Installing" not in done.stdout
    assert done.stdout.count("│ reused") == len(find(series.clone / "notebooks"))


def test_the_second_command_opens_the_notebooks(newcomer: Newcomer, series: Series) -> None:
    assert series.done.returncode == 0
    asked = newcomer.command("--lab")
    asked["env"]["BROWSER"] = "true"
    log = newcomer.clone / ".cache" / "lab.log"
    with log.open("w") as said:
        lab = subprocess.Popen(**asked, stdout=said, stderr=said)
        try:
            address = ""
            for _ in range(240):
                time.sleep(0.5)
                assert lab.poll() is None, log.read_text()
                found = re.search(r"(http://(?:localhost|127\.0\.0\.1):\d+)/lab\?token=(\w+)", log.read_text())
                if found:
                    address = f"{found[1]}/api/contents?token={found[2]}"
                    break
            assert address, log.read_text()
            listed = answer(address)
        finally:
            lab.send_signal(signal.SIGTERM)
            lab.wait(60)
    for notebook in find(newcomer.clone / "notebooks"):
        assert notebook.path.name in listed


def answer(address: str, patience: float = 60) -> str:
    """What a server says, which may print its address before it listens there."""
    deadline = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(address, timeout=patience) as said:
                return str(said.read().decode())
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def test_folders_that_may_not_be_written_are_named(newcomer: Newcomer, series: Series) -> None:
    if not newcomer.rights:
        pytest.skip("who runs the tests cannot act for another user")
    assert series.done.returncode == 0
    photo = "lib/exemplars/pebble.jpg"
    for options, named in {
        ("synthesize", photo, "--out", "/usr/more.png"): "/usr/more.png",
        ("run", "--profile", "smoke", "--only", "00", "--out", "/usr/elsewhere"): "/usr/elsewhere",
        ("train", "--data", "lib/exemplars", "--steps", "1", "--out", "/usr/run"): "/usr/run",
        ("filter", "lib/exemplars", "--out", "/usr/patches"): "/usr/patches",
    }.items():
        asked = newcomer.command() | {"args": [".venv/bin/python", "-m", "lib", *options]}
        done = subprocess.run(**asked, capture_output=True, timeout=300, check=False)
        assert done.returncode == 1, options
        (said,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert named in said
        assert "Traceback" not in done.stderr, done.stderr
