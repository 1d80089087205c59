"""Which files of lib a notebook depends on, found without running anything."""

from pathlib import Path

import pytest

from lib.companion import cache, series


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "lib/__init__.py": '_PUBLIC = {"load": "model", "match": "lib.samplers.match:match"}\n',
        "lib/errors.py": "",
        "lib/model.py": "from lib.errors import TextureError\nfrom . import images\n",
        "lib/images.py": "",
        "lib/alone.py": "import torch\n",
        "lib/samplers/__init__.py": "from .match import match\n",
        "lib/samplers/match.py": "from ..energy import score\n",
        "lib/samplers/langevin.py": "from lib.samplers.match import match\n",
        "lib/energy.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


FACE = {"__init__", "model", "errors", "images", "samplers/__init__", "samplers/match", "energy"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import numpy", set()),
        ("import lib", FACE),
        ("import lib.alone", FACE | {"alone"}),  # this binds the name lib as well
        ("import lib.alone as alone", {"__init__", "alone"}),
        ("from lib import alone", {"__init__", "alone"}),
        ("from lib import load", FACE),
        ("from lib.model import Model", {"__init__", "model", "errors", "images"}),
        ("from lib.samplers import match", {"__init__", "samplers/__init__", "samplers/match", "energy"}),
        (
            "from lib.samplers.langevin import langevin",
            {"__init__", "samplers/__init__", "samplers/langevin", "samplers/match", "energy"},
        ),
    ],
)
def test_modules_follow_imports(root: Path, source: str, expected: set[str]) -> None:
    found = {p.relative_to(root / "lib").with_suffix("").as_posix() for p in cache.modules([source], root)}
    assert found == expected


def test_what_cannot_be_parsed_depends_on_everything(root: Path) -> None:
    assert cache.modules(["import lib as"], root) == set((root / "lib").rglob("*.py"))


def test_a_record_is_trusted_only_whole(tmp_path: Path) -> None:
    output, record = tmp_path / "a.png", tmp_path / "a.json"
    output.write_bytes(b"1")
    assert cache.reason(record, {"x": "1"}, [output], tmp_path) == "not computed yet"
    cache.write(record, {"x": "1"}, [output], tmp_path)
    assert cache.reason(record, {"x": "1"}, [output], tmp_path) == ""
    assert cache.reason(record, {"x": "2"}, [output], tmp_path) == "x changed"
    assert cache.reason(record, {"x": "1", "y": "1"}, [output], tmp_path) == "y changed"
    output.write_bytes(b"2")
    assert cache.reason(record, {"x": "1"}, [output], tmp_path) == "a.png is not what was computed"
    output.unlink()
    assert cache.reason(record, {"x": "1"}, [output], tmp_path) == "a.png is missing"
    record.write_text(record.read_text()[:20])
    assert cache.reason(record, {"x": "1"}, [output], tmp_path) == "not computed yet"


def test_data_count_by_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"1")
    before = cache.listing(tmp_path)
    assert cache.listing(tmp_path) == before
    (tmp_path / "b.jpg").write_bytes(b"")
    assert cache.listing(tmp_path) != before


def test_what_a_compiler_leaves_beside_the_code_is_no_input(toy: Path) -> None:
    notebook = series.find(toy / "notebooks")[0]
    before = cache.inputs(notebook, toy, {})
    kept = toy / "lib" / "__pycache__" / "near.loop-1.py311.nbi"
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(b"machine code")
    assert cache.inputs(notebook, toy, {}) == before
    (toy / "lib" / "weights.safetensors").write_bytes(b"1")
    assert cache.inputs(notebook, toy, {}) != before
