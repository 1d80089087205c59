"""The numbered notebooks: which there are, what each declares, and which of them is meant by a name."""

import ast
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.errors import TextureError


@dataclass(frozen=True)
class Notebook:
    """One notebook, as its author wrote it."""

    path: Path
    node: dict[str, Any]

    @property
    def stem(self) -> str:
        return self.path.stem

    @property
    def title(self) -> str:
        return title(self.node)

    @property
    def figures(self) -> tuple[str, ...]:
        """What it declares to make, in metadata.companion.figures."""
        return tuple(self.node["metadata"].get("companion", {}).get("figures", ()))

    @property
    def tables(self) -> tuple[str, ...]:
        """Files of text that lie beside its figures, in metadata.companion.tables."""
        return tuple(self.node["metadata"].get("companion", {}).get("tables", ()))

    @property
    def code(self) -> list[str]:
        """The code cells, without lines that are IPython's and not Python."""
        cells = [cell["source"] for cell in self.node["cells"] if cell["cell_type"] == "code"]
        return [re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE) for source in cells]

    @property
    def source_sha256(self) -> str:
        return source_sha256(self.node)

    @property
    def parameters(self) -> dict[str, Any]:
        """Name -> default, from the cell tagged `parameters`.

        Raises:
            TextureError: there is no such cell.
        """
        for cell in self.node["cells"]:
            if "parameters" in cell["metadata"].get("tags", []):
                try:
                    lines = [line for line in ast.parse(cell["source"]).body if isinstance(line, ast.Assign)]
                    return {ast.unparse(line.targets[0]): ast.literal_eval(line.value) for line in lines}
                except (SyntaxError, ValueError) as error:
                    raise TextureError(f"{self.path}: a parameter is a plain name = value; {error}") from error
        raise TextureError(f"{self.path} has no cell tagged 'parameters'; give one to its first code cell")

    def settings(self, profile: str) -> dict[str, Any]:
        """What a cell `name = {"smoke": {...}, ...}[profile]` comes to; {} without such a cell."""
        for source in self.code:
            try:
                tree = ast.parse(source)
            except SyntaxError:
                continue
            for part in ast.walk(tree):
                if isinstance(part, ast.Subscript) and ast.unparse(part.slice) == "profile":
                    try:
                        return dict(ast.literal_eval(part.value)[profile])
                    except (ValueError, TypeError, KeyError):
                        continue
        return {}


def title(node: dict[str, Any]) -> str:
    """The first heading."""
    prose = (cell["source"] for cell in node["cells"] if cell["cell_type"] == "markdown")
    for source in prose:
        found = re.search(r"^#+\s*(.+)$", source, re.MULTILINE)
        if found:
            return re.sub(r"[*_`]", "", found[1]).strip()
    return "Untitled"


def source_sha256(node: dict[str, Any]) -> str:
    """A digest of what an author writes: the cells' kinds, texts and tags; not outputs, ids or counts."""
    cells = [[c["cell_type"], c["source"], sorted(c["metadata"].get("tags", []))] for c in node["cells"]]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def read(path: Path) -> dict[str, Any]:
    """A notebook file, each cell's source as one text."""
    node: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for cell in node["cells"]:
        cell["source"] = "".join(cell["source"])
        cell.setdefault("metadata", {})
    return node


def find(folder: Path) -> list[Notebook]:
    """All notebooks NN_name.ipynb of a folder, in order.

    Raises:
        TextureError: there is none, one cannot be read, or two declare the same figure.
    """
    notebooks = []
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        try:
            notebooks.append(Notebook(path, read(path)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TextureError(f"{path} is not a readable notebook: {error!r}") from error
    if not notebooks:
        raise TextureError(f"{folder} has no notebooks named like 00_start_here.ipynb")
    owner: dict[str, str] = {}
    for notebook in notebooks:
        for figure in notebook.figures:
            if owner.setdefault(figure, notebook.stem) != notebook.stem:
                both = f"{owner[figure]} and {notebook.stem}"
                raise TextureError(f"figure {figure!r} is declared by {both}; rename one")
    return notebooks


def choose(notebooks: Sequence[Notebook], only: Sequence[str]) -> list[Notebook]:
    """Those meant by numbers ("06", "6") or names ("06_interpolation", "interpolation"); all for none.

    Raises:
        TextureError: a name means no notebook, or several.
    """
    chosen = set()
    for name in only:
        wanted = Path(name).name.removesuffix(".ipynb")
        if wanted.isdigit():
            hits = [n.stem for n in notebooks if int(n.stem[:2]) == int(wanted)]
        else:
            hits = [n.stem for n in notebooks if wanted == n.stem] or [n.stem for n in notebooks if wanted in n.stem]
        if len(hits) != 1:
            what = f"means {' and '.join(hits)}" if hits else "is no notebook"
            raise TextureError(f"--only {name} {what}; known are {', '.join(n.stem for n in notebooks)}")
        chosen.update(hits)
    return [n for n in notebooks if not only or n.stem in chosen]
