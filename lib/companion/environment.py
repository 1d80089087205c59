"""environment.yml for those without conda: its pip section as a requirements list, and a stamp of it all.

Run as a script, by a bare Python, before anything is installed; hence the standard library alone:

    python lib/companion/environment.py requirements
    python lib/companion/environment.py stamp
"""

import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def requirements(text: str) -> list[str]:
    """The pip section of an environment file: "name==version" lines, in order.

    Raises:
        ValueError: there is no pip section, or a line of it is not pinned.
    """
    found: list[str] = []
    depth = None  # the column where "- pip:" stands, once seen; its items stand deeper
    for number, line in enumerate(text.splitlines(), 1):
        item = line.split(" #")[0].strip()
        if not item or item.startswith("#"):
            continue
        column = len(line) - len(line.lstrip())
        if item == "- pip:":
            depth = column
        elif depth is not None and column > depth:
            item = item.removeprefix("-").strip()
            name, pinned, version = item.partition("==")
            if not (name and pinned and version):
                raise ValueError(
                    f"environment.yml, line {number}: {item!r} is not pinned; write name==version"
                )
            found.append(f"{name}=={version}")
        else:
            depth = None
    if not found:
        raise ValueError("environment.yml has no pip section; nothing would be installed")
    return found


def stamp(root: Path = ROOT) -> str:
    """What an installation is made of: what is asked for, by content, and where lib is (it is editable)."""
    digest = hashlib.sha256(str(root).encode())
    for name in ("environment.yml", "pyproject.toml"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    if sys.argv[1:] == ["requirements"]:
        print("\n".join(requirements((ROOT / "environment.yml").read_text(encoding="utf-8"))))
    elif sys.argv[1:] == ["stamp"]:
        print(stamp())
    else:
        sys.exit("say 'requirements' or 'stamp'")
