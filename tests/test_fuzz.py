"""Files and command lines made to hurt: each gives a result, or one line that says what was wrong."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import lib
from lib.__main__ import COMMANDS, main
from lib.images import check_image

KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA")
often = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def encoded(kind: str, mode: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 36, 4), dtype=np.uint8)
    with io.BytesIO() as file:
        Image.fromarray(pixels, "RGBA").convert(mode).save(file, kind)
        return file.getvalue()


WHOLE = {(kind, mode): encoded(kind, mode) for kind in KINDS for mode in ("RGB", "L")}


def outcome(read: Callable[[], torch.Tensor]) -> tuple[torch.Tensor | None, str]:
    """What was read, or what the error said; any other error than ours passes, and fails the test."""
    try:
        return read(), ""
    except lib.TextureError as error:
        return None, str(error)


@often
@given(
    which=st.sampled_from(sorted(WHOLE)),
    cut=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
)
def test_a_mangled_picture_is_read_or_refused(
    tmp_path: Path, which: tuple[str, str], cut: float, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(WHOLE[which])
    for place, value in changes:
        data[int(place * len(data))] = value
    path = tmp_path / "mangled"
    path.write_bytes(data[: round(cut * len(data))])
    image, said = outcome(lambda: lib.read_image(path))
    assert "\n" not in said
    if image is None:
        assert str(path) in said
    else:
        assert image.dtype == torch.float32
        assert image.shape[0] == 3
        assert min(image.shape[1:]) >= 32
        assert 0 <= image.min() <= image.max() <= 1


@often
@given(
    shape=st.lists(st.integers(0, 40), max_size=5),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float16, torch.uint8, torch.bool, torch.complex64]),
    scale=st.sampled_from([1.0, 255.0, -1.0, float("nan"), float("inf"), 1e-30]),
)
def test_any_tensor_is_taken_or_refused(shape: list[int], dtype: torch.dtype, scale: float) -> None:
    x = (scale * torch.rand(shape)).to(dtype)
    image, said = outcome(lambda: check_image(x, "x0"))
    assert "\n" not in said
    if image is None:
        assert said.startswith("x0 ")
    else:
        assert image.shape == (1, 3, *shape[-2:])
        assert 0 <= image.min() <= image.max() <= 1


WORDS = st.one_of(
    st.sampled_from([
        "--help", "--data", "--out", "--only", "--profile", "--size", "--steps", "--seed", "--n", "--device", "smoke",
        "-1", "0", "1e9", "nan", "64x", "x", "--", "-", "", "/nowhere/at all", "--fresh", "--list", "--dry-run",
        "--model", "--method", "both", "99", "\u03bb",
    ]),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
)  # fmt: skip


@often
@given(arguments=st.lists(WORDS, max_size=4), command=st.sampled_from([*sorted(COMMANDS), "paint"]))
def test_a_wrong_command_line_is_told_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
    command: str,
    arguments: list[str],
) -> None:
    """What would really compute is left out: a run, a filter, a training or a bench that has all it needs."""
    monkeypatch.chdir(tmp_path)
    for module in ("lib.companion.run", "lib.training.cli", "lib.dataset.cli"):
        pytest.importorskip(module)
    monkeypatch.setattr("lib.companion.run.run", lambda *a, **k: [])
    monkeypatch.setattr("lib.training.cli.Trainer", refuse)
    monkeypatch.setattr("lib.training.bench.Trainer", refuse)
    code = main([command, *arguments])
    out, err = capfd.readouterr()
    assert code in (0, 1, 2)
    assert "Traceback" not in out + err
    if code:
        said = [line for line in err.strip().split("\n") if line.startswith("error: ")]
        assert len(said) == 1, err


def refuse(*_: object, **__: object) -> None:
    raise lib.TextureError("nothing is trained here")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    for name in [name for name in sys.modules if name.startswith("lib.dataset.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tqdm", None)  # what Python keeps of a failed import
    assert main(["filter", "photographs"]) == 1
    assert capfd.readouterr().err == "error: filter needs the package tqdm; ./run_all.sh installs everything\n"
