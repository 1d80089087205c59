"""What the README promises is there: its links, its commands, and its first lines of Python."""

import re
import subprocess
from pathlib import Path

import pytest

import lib
from lib.samplers import match

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_opens_with_a_picture_a_paragraph_and_two_commands() -> None:
    parts = README.split("\n\n")
    assert parts[0].startswith("# ")
    assert parts[1].startswith("![")
    assert len(parts[2]) > 200
    assert re.findall(r"^    (\./run_all\.sh.*?)\s+#", parts[3], re.MULTILINE) == ["./run_all.sh", "./run_all.sh --lab"]


def test_what_it_links_to_and_names_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    named = re.findall(r"`((?:lib|figures|notebooks|tests)/[\w./]*)`", README)
    assert len(links) > 10
    assert len(named) > 10
    for path in {*links, *named}:
        assert (ROOT / path).exists(), path


def test_its_table_names_every_model() -> None:
    (table,) = re.findall(r"^\| `lib\.MODELS` .*?\n\n", README, re.MULTILINE | re.DOTALL)
    first = [row.split("|")[1] for row in table.strip().splitlines()[2:]]
    assert [name for cell in first for name in re.findall(r"`([\w-]+)`", cell)] == list(lib.MODELS)


def test_its_options_are_known() -> None:
    told = subprocess.run([ROOT / "run_all.sh", "--help"], capture_output=True, text=True, check=True).stdout
    for option in set(re.findall(r"run_all\.sh (--\w+)", README)):
        assert option in told, option


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    defaults = list(match.match_steps.__defaults__ or ())
    monkeypatch.setattr(match.match_steps, "__defaults__", (*defaults[:-1], 1))  # one step for all
    exec(source, {})
    assert lib.read_image(tmp_path / "more.png").shape == (3, 256, 256)
