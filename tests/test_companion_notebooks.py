"""The committed notebooks: executed, sound, and small."""

import re
from pathlib import Path

import nbformat
import pytest

from lib.companion import html
from lib.companion.series import find, read, source_sha256

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@each
def test_outputs_belong_to_the_sources_beside_them(path: Path) -> None:
    node = read(path)
    executed = node["metadata"]["companion"].get("executed", {})
    assert executed.get("source_sha256") == source_sha256(node), "run ./run_all.sh --update"
    assert executed["profile"] == "laptop"
    code = [cell for cell in node["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    assert not any(output["output_type"] == "error" for cell in code for output in cell["outputs"])


@each
def test_outputs_name_no_place_of_the_machine_that_made_them(path: Path) -> None:
    for cell in read(path)["cells"]:
        outputs = str(cell.get("outputs", ""))
        assert not re.search(r"PosixPath|/(tmp|home|root|Users)/", outputs), "".join(cell["source"])


@each
def test_every_picture_has_words(path: Path) -> None:
    for cell in read(path)["cells"]:
        for output in cell.get("outputs", []):
            for kind in output.get("data", {}).keys() & {"image/png", "image/jpeg"}:
                assert output["metadata"].get(kind, {}).get("alt"), "".join(cell["source"])


@each
def test_a_notebook_is_prose_first(path: Path) -> None:
    nbformat.validate(nbformat.read(path, as_version=4))
    node = read(path)
    html.check_equations(node)
    assert node["cells"][0]["cell_type"] == "markdown"
    assert node["cells"][0]["source"].startswith("# ")
    links = re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", "\n".join(c["source"] for c in node["cells"]))
    for link in links:
        assert (path.parent / link).exists(), link


def test_the_notebooks_read_on_a_forge() -> None:
    assert sum(path.stat().st_size for path in NOTEBOOKS) <= 15e6


def test_every_declared_figure_is_committed_as_it_was_made() -> None:
    import hashlib
    import json

    rows = json.loads((ROOT / "figures" / "manifest.json").read_text())
    declared = {name: n.stem for n in find(ROOT / "notebooks") for name in n.figures}
    assert {name: row["notebook"] for name, row in rows.items()} == declared
    for name, row in rows.items():
        path = ROOT / "figures" / f"{name}.png"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"], name
        assert row["alt"], name
