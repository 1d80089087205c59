"""The comparison of models: rows and pictures that belong together, a run that goes on, and what the README quotes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import lib
from lib.errors import TextureError
from lib.evaluation import field

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def run(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lib.evaluation.field", str(out), "--size", "32", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("field") / "a run"
    done = run(out, "--model", "noise", "--model", "gaussian", "--exemplar", "grass", "--set", "periodic=False",
               "--set", "backbone=untrained")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def test_rows_tell_what_was_made_and_what_it_cost(made: Path) -> None:
    rows = field.shipped(made)
    assert [row.model for row in rows] == ["noise", "gaussian"]
    plain, spot = rows
    assert plain.settings == {}
    assert spot.settings == {"periodic": False}  # a setting goes to those that have it
    assert 0 < spot.seconds < 60
    assert 100 < spot.mebibytes < 4000  # torch alone is more than the one
    x = lib.synthesize(lib.exemplar("grass")[:, :32, :32], "gaussian", periodic=False)[0]
    assert (field.picture(spot, made) - x).square().mean().sqrt() < 0.03  # but for the JPEG


def test_a_second_run_makes_only_what_is_missing(made: Path) -> None:
    before = field.shipped(made)
    done = run(made, "--model", "noise", "--model", "random-phase", "--exemplar", "grass")
    assert done.stdout.split()[0] == "random-phase"
    assert field.shipped(made)[:2] == before
    assert len(field.shipped(made)) == 3


def test_a_picture_that_was_changed_is_not_shown(made: Path, tmp_path: Path) -> None:
    row = field.shipped(made)[0]
    (tmp_path / row.picture).write_bytes((made / row.picture).read_bytes() + b"x")
    with pytest.raises(TextureError, match="is not the picture"):
        field.picture(row, tmp_path)
    with pytest.raises(TextureError, match="is not the picture"):
        field.picture(row, tmp_path / "elsewhere")


def test_wrong_words_are_told_in_a_line(tmp_path: Path) -> None:
    for arguments, said in ((["--model", "vae"], "no model 'vae'; known are"), (["--exemplar", "tiger"], "tiger")):
        done = run(tmp_path, *arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    (tmp_path / field.TABLE).write_text("[{]")
    with pytest.raises(TextureError, match=r"holds no field\.json"):
        field.shipped(tmp_path)


def test_every_model_was_measured_in_one_run_and_its_picture_is_there() -> None:
    rows = [row for row in field.shipped() if row.size == 256]
    assert [row.model for row in rows] == list(lib.MODELS)
    assert len({row.threads for row in rows}) == 1
    x0 = lib.exemplar("pebble")[:, :256, :256]
    for row in rows:
        x = field.picture(row)
        assert x.shape == (3, 256, 256)
        assert torch.allclose(x.mean((1, 2)), x0.mean((1, 2)), atol=0.06), row.model


def test_the_readme_quotes_that_run() -> None:
    cost = {row.model: row for row in field.shipped() if row.size == 256}
    (table,) = re.findall(r"^\| `lib\.MODELS` .*?\n\n", README, re.MULTILINE | re.DOTALL)
    for line in table.strip().splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|\n ").split("|")]
        name = cells[0].strip("`")
        assert float(cells[-2]) == float(f"{cost[name].seconds:.2g}"), name
        assert int(cells[-1].replace(",", "")) == round(cost[name].mebibytes, -1), name
        assert lib.MODELS[name].number in line, name
        assert str(lib.MODELS[name].year) in line, name


def test_networks_are_named_and_no_machine_is() -> None:
    text = (field.SHIPPED / field.TABLE).read_text(encoding="utf-8")
    for row in json.loads(text):
        assert bool(row["network"]) == ("backbone" in lib.MODELS[row["model"]].settings)
    assert "/" not in text.replace("N/A", "")
