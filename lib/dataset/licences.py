"""What LICENCES.tsv beside the sources says of a picture.

A table parted by tabs, with a column `path` (or `member`, or `file`), relative to its folder, and a column `licence`.
A path may be a picture, a tar, or a folder: then it holds for all that is in it.
"""

import csv
from functools import lru_cache
from pathlib import Path

from lib.dataset.sources import Task, synset
from lib.errors import TextureError

NAME = "LICENCES.tsv"
UNKNOWN = "unknown"


def licence_of(task: Task, picture: str) -> str:
    """The licence of a picture of a task, by its name; "unknown" where no table names it."""
    table, place = _table(task.root)
    # Of a tar, names begin with its synset, wherever it lies.
    path = f"{place}/{picture}" if task.files else f"{place.rpartition('/')[0]}/{picture}"
    path = path.strip("/")
    above = [path[:i] for i in range(len(path) - 1, 0, -1) if path[i] == "/"]
    for name in (path, *([] if task.files else [place]), *above):
        if name in table:
            return table[name]
    return UNKNOWN


def check(source: Path) -> None:
    """Raise TextureError if the table beside a source cannot be read."""
    _table(source)


def source_of(task: Task, picture: str) -> str:
    """Where a picture comes from, as training balances it: its synset, or its folder."""
    if not task.files:
        return synset(task.root)
    return f"{task.root.name}/{picture}".rpartition("/")[0]


@lru_cache(maxsize=1024)
def _table(root: Path) -> tuple[dict[str, str], str]:
    """The table nearest above a source, and the source's path relative to it."""
    root = root.resolve()
    for folder in (root, *list(root.parents)[:2]):
        if (folder / NAME).is_file():
            place = root.relative_to(folder).as_posix()
            return _read(folder / NAME), "" if place == "." else place
    return {}, root.name


@lru_cache(maxsize=8)
def _read(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        key = next((name for name in ("path", "member", "file") if name in (rows.fieldnames or ())), None)
        if key is None or "licence" not in (rows.fieldnames or ()):
            raise TextureError(f"{path} must have the columns path and licence, parted by tabs")
        return {(row[key] or "").strip("/"): row["licence"] or UNKNOWN for row in rows}
