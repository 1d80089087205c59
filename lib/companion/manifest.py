"""figures/manifest.json: one row a figure, saying how it was made."""

import json
from pathlib import Path
from typing import Any


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """Figure -> how it was made; {} where nothing was made yet."""
    path = folder / "manifest.json"
    known: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return known


def add(folder: Path, rows: dict[str, dict[str, Any]], notebook: str = "") -> None:
    """Merge rows, by figure's name, into the folder's manifest.json.

    If they are all of a `notebook`, those of its figures that it makes no more are dropped.
    """
    path = folder / "manifest.json"
    others = {name: row for name, row in read(folder).items() if not notebook or row.get("notebook") != notebook}
    text = json.dumps(dict(sorted((others | rows).items())), indent=1, ensure_ascii=False)
    part = path.with_suffix(".part")
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)
