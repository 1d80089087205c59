"""`python -m lib synthesize`: what it writes, what it refuses before computing, and what an interruption leaves."""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
import torch

import lib
from lib.__main__ import main
from lib.model import Model
from lib.models import cli
from lib.training.checkpoint import save


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save(Model(), tmp_path_factory.mktemp("model") / "tiny.safetensors", "# tiny", {})


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture in an empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return lib.save_image(lib.exemplar("grass")[:, :40, :48], tmp_path / "lawn.png")


def quick(checkpoint: Path) -> list[str]:
    return ["--set", f"checkpoint={checkpoint}", "--set", "iterations=3"]


def test_it_writes_more_of_a_texture(photo: Path, checkpoint: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["synthesize", str(photo), *quick(checkpoint)]) == 0
    assert capsys.readouterr().out == "lawn-matching.png\n"
    written = lib.read_image("lawn-matching.png")
    wanted = lib.match_steps(lib.load(checkpoint), lib.read_image(photo), steps=3)
    assert torch.allclose(written, list(wanted)[-1].image[0], atol=0.6 / 255)


def test_several_of_a_size_by_diffusion(photo: Path, checkpoint: Path) -> None:
    options = ["--model", "diffusion", "--n", "2", "--size", "32", "45", "--out", "more.jpg", "--tileable"]
    own = ["--set", "levels=3", "--set", f"checkpoint={checkpoint}"]
    assert main(["synthesize", str(photo), *options, *own]) == 0
    assert sorted(p.name for p in Path().iterdir()) == ["lawn.png", "more-1.jpg", "more-2.jpg"]
    one, two = (lib.read_image(f"more-{i}.jpg") for i in (1, 2))
    assert one.shape == two.shape == (3, 32, 45)
    assert not torch.equal(one, two)


def test_large_photographs_are_brought_to_the_scale_of_textures() -> None:
    assert cli.reduced(torch.rand(3, 100, 600)).shape == (3, 100, 600)
    assert cli.reduced(torch.rand(3, 1024, 1536)).shape == (3, 512, 768)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--size", "20"], "size 20"),
        (["--size", "64x"], "HEIGHT WIDTH"),
        (["--size", "big"], "HEIGHT WIDTH"),
        (["--size", "64", "20"], "size (64, 20)"),
        (["--out", "lawn"], "end it in .png"),
        (["--out", "lawn.txt"], "end it in .png"),
        (["--out", "nowhere/lawn.png"], "no folder nowhere"),
        (["--model", "guess"], "no model 'guess'; known are "),
        (["--set", "brightness=2"], "matching has no setting 'brightness'; known are checkpoint, iterations"),
        (["--set", "iterations"], "write --set NAME=VALUE"),
        (["--set", "iterations=many"], "iterations"),
        (["--set", "checkpoint=1"], "checkpoint is 1; it is a word or a path, such as 'default'"),
        (["--model", "gaussian", "--set", "periodic=maybe"], "periodic is 'maybe'; it is True or False"),
        (["--n", "0"], "--n"),
        (["--seed", "-1"], "--seed"),
        (["--set", "checkpoint=huge"], "no model 'huge'"),
        (["--colour"], "--tileable"),
    ],
    ids=" ".join,
)
def test_errors_are_one_line(photo: Path, options: list[str], said: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["synthesize", str(photo), *options]) in (1, 2)
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
    assert [p.name for p in Path().iterdir()] == ["lawn.png"]


def test_a_disk_that_is_full_is_told_in_one_line(
    photo: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "lawn-matching.png")

    monkeypatch.setattr(cli, "save_image", full)
    assert main(["synthesize", str(photo), *quick(checkpoint)]) == 1
    said = capsys.readouterr().err.strip().split("\n")[-1]
    assert said.startswith("error: lawn-matching.png: No space left on device;")


def test_a_photograph_that_is_not_there(photo: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["synthesize", "lane.png"]) == 1
    assert capsys.readouterr().err == "error: lane.png does not exist; check the path.\n"


@pytest.mark.parametrize("when", ["computing", "writing"])
def test_an_interruption_leaves_nothing_half_written(
    photo: Path, checkpoint: Path, when: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def interrupted(*_: object, **__: object) -> Iterator[lib.Step]:
        yield lib.Step(torch.rand(1, 3, 40, 48), 1.0, 1, 2)
        raise KeyboardInterrupt

    def torn(_: object, file: BinaryIO, **__: object) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    if when == "computing":
        monkeypatch.setattr(cli, "synthesize_steps", interrupted)
    else:
        monkeypatch.setattr("PIL.Image.Image.save", torn)
    with pytest.raises(SystemExit) as exit_:
        main(["synthesize", str(photo), *quick(checkpoint)])
    assert exit_.value.code == 130
    assert capsys.readouterr().err.endswith("error: interrupted; nothing more was written\n")
    assert [p.name for p in Path().iterdir()] == ["lawn.png"]


def test_settings_are_read_as_they_are_written() -> None:
    read = {"false": False, "True": True, "none": None, "3": 3, "0.5": 0.5, "wide": "wide"}
    assert {text: cli.setting(f"a={text}") for text in read} == {text: ("a", value) for text, value in read.items()}
