"""What a notebook's outputs depend on, by content, and whether those at hand can be trusted.

A record lies beside the outputs it describes. It is worth something only if every input has the digest it had
and every output still has the digest it was given: presence and dates prove nothing.
"""

import ast
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lib.companion.series import Notebook


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inputs(notebook: Notebook, root: Path, parameters: dict[str, Any]) -> dict[str, str]:
    """Name -> digest of everything the outputs are made of.

    The code is the notebook's cells and the modules of lib that they import, directly or through others. The
    files that lib ships (exemplars, checkpoints) count for every notebook: which of them is read is decided
    at run time. A parameter that names a file or folder counts by its text and by what is there.
    """
    found = {
        "cells": notebook.source_sha256,
        "declared figures": _digest(sorted([*notebook.figures, *notebook.tables])),
        "parameters": _digest(parameters),
    }
    for value in parameters.values():
        if isinstance(value, str) and value and (root / value).exists():
            found[f"content of {value}"] = listing(root / value)
    files = (p for p in (root / "lib").rglob("*") if p.is_file() and p.suffix not in (".py", ".part"))
    shipped = (p for p in files if "__pycache__" not in p.parts)  # compilers' own
    beside = (p for p in notebook.path.parent.iterdir() if p.is_file() and p.suffix != ".ipynb")
    for path in {root / "environment.yml", *modules(notebook.code, root), *shipped, *beside}:
        found[path.relative_to(root).as_posix()] = sha256(path) if path.exists() else "absent"
    return dict(sorted(found.items()))


def listing(path: Path) -> str:
    """Digest of a folder's names, sizes and times (a million pictures are not read again), or of a file."""
    if path.is_file():
        return sha256(path)
    rows = ((p, p.stat()) for p in sorted(path.rglob("*")) if p.is_file())
    return _digest([[p.relative_to(path).as_posix(), s.st_size, s.st_mtime_ns] for p, s in rows])


def modules(sources: Iterable[str], root: Path) -> set[Path]:
    """The files of lib that code imports, through whatever those import themselves.

    `import lib` opens the whole public face: it loads lazily, so every module that lib/__init__.py names in a
    string counts. Code that cannot be parsed is taken to import everything.
    """
    files: set[Path] = set()
    waiting = [(source, "") for source in sources]
    opened = False
    while waiting:
        source, package = waiting.pop()
        try:
            tree = ast.parse(source)
        except SyntaxError:
            return set((root / "lib").rglob("*.py"))
        names, opens = _imported(tree, package, root)
        if opens and not opened:
            opened = True
            names |= _named_in_strings(root / "lib" / "__init__.py")
        if "import_module" in source and package != "lib":
            names |= _strings(tree)
        for name in names:
            for file in _files(name, root) - files:
                files.add(file)
                inside = file.relative_to(root).parent.as_posix().replace("/", ".")
                waiting.append((file.read_text(encoding="utf-8"), inside))
    return files


def named(sources: Iterable[str], root: Path) -> set[Path]:
    """The files of lib that code imports by name, not those that they import."""
    names = set().union(*(_imported(ast.parse(source), "", root)[0] for source in sources))
    return {file for name in names if (file := _file(name, root)) and file.name != "__init__.py"}


def reason(record: Path, now: dict[str, str], outputs: Iterable[Path], root: Path) -> str:
    """Why the outputs must be computed (again), in a few words; "" when they can be reused."""
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        then, made = known["inputs"], known["outputs"]
    except (OSError, ValueError, KeyError, TypeError):
        return "not computed yet"
    changed = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        return f"{changed[0]} changed{more}"
    for path in outputs:
        if not path.exists():
            return f"{path.name} is missing"
        if made.get(_name(path, root)) != sha256(path):
            return f"{path.name} is not what was computed"
    return ""


def write(record: Path, known: dict[str, str], outputs: Iterable[Path], root: Path, **more: Any) -> None:
    """Remember a finished computation; the record appears whole or not at all."""
    made = {_name(path, root): sha256(path) for path in outputs}
    record.parent.mkdir(parents=True, exist_ok=True)
    part = record.with_suffix(".part")
    part.write_text(json.dumps({"inputs": known, "outputs": made, **more}, indent=1), encoding="utf-8")
    part.replace(record)


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _imported(tree: ast.AST, package: str, root: Path) -> tuple[set[str], bool]:
    """Dotted names of lib's modules in the import statements, and whether lib itself is opened."""
    names: set[str] = set()
    opens = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            ours = [alias for alias in node.names if alias.name.split(".")[0] == "lib"]
            names.update(alias.name for alias in ours)
            opens = opens or any(alias.name == "lib" or alias.asname is None for alias in ours)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [base])])
            if base.split(".")[0] != "lib":
                continue
            inner = {f"{base}.{alias.name}" for alias in node.names}
            names |= {base} | inner
            opens = opens or (base == "lib" and any(not _file(name, root) for name in inner))
    return names, opens


def _file(name: str, root: Path) -> Path | None:
    """The file of the module with this dotted name, if there is one."""
    place = root / Path(*name.split("."))
    return next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()), None)


def _files(name: str, root: Path) -> set[Path]:
    """A module's file and those of the packages around it, which Python runs first."""
    parts = name.split(".")
    found = (_file(".".join(parts[:n]), root) for n in range(1, len(parts) + 1))
    return {path for path in found if path}


def _strings(tree: ast.AST) -> set[str]:
    """What the strings of a module may name: "lib.model:load", ".model" and "model" are all lib.model."""
    texts = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    bare = {text.split(":")[0].removeprefix("lib.").strip(".") for text in texts}
    return {f"lib.{name}" for name in bare if name.replace(".", "").isidentifier()}


def _named_in_strings(path: Path) -> set[str]:
    return _strings(ast.parse(path.read_text(encoding="utf-8"))) if path.exists() else set()
