"""One style for every figure, and figures that say how they were made.

figures.use_style()
figure = figures.show_images([exemplar, sample], titles=["exemplar", "sample"], scale=2)
figures.save(figure, "matching", alt="Pebbles beside a sample of pebbles", seed=0)
"""

import functools
import hashlib
import json
import math
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from lib.companion import manifest
from lib.errors import TextureError

ROOT = Path(__file__).resolve().parents[2]

# Okabe & Ito 2008: told apart with every common colour blindness, and in grey. Yellow is left out: too pale
# for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DPI = 144  # two pixels for each pixel of a page 72 to the inch: sharp on today's screens
LETTER = 0.56  # mean width of a letter, of the size of the type: a title is set no wider than its image
COLUMN = 6.5  # inches; the width of the text column

_clock = time.perf_counter()  # the last figure's end, or the import: what a figure's seconds count from


def use_style() -> None:
    """Set matplotlib's defaults for every figure of the series."""
    plt.rcdefaults()
    plt.rcParams.update(
        {
            "figure.figsize": (COLUMN, 3.0),
            "figure.dpi": DPI,
            "savefig.dpi": "figure",
            "figure.constrained_layout.use": True,
            "font.size": 9,
            "axes.titlesize": 9,
            "axes.labelsize": 9,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "legend.fontsize": 8,
            "legend.frameon": False,
            "axes.prop_cycle": plt.cycler(color=COLOURS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#DDDDDD",
            "grid.linewidth": 0.6,
            "lines.linewidth": 1.6,
            "image.cmap": "cividis",
            "image.interpolation": "nearest",
        }
    )


def show_images(
    images: Sequence[Any], titles: Sequence[str] | None = None, columns: int | None = None, scale: int = 1
) -> Figure:
    """Images side by side, each pixel of an image on scale x scale pixels of the figure, none resampled.

    Args:
        images: [3,H,W] or [H,W], pixels in [0,1] (clipped beyond); tensors or arrays, sizes may differ.
        titles: one for each image, above it; fewer are allowed, "" leaves one out.
        columns: images a row; as many as there are images when not given.
        scale: a whole number.

    Raises:
        TextureError: no image, a shape that is no image, or a scale that would blur.
    """
    arrays = [_pixels(image) for image in images]
    if not arrays:
        raise TextureError("show_images was given no images; pass at least one [3,H,W]")
    if scale != int(scale) or scale < 1:
        raise TextureError(f"scale must be a whole number from 1, so that no pixel is blurred; it is {scale}")
    labels = [*(titles or []), *[""] * len(arrays)]
    columns = min(columns or len(arrays), len(arrays))
    rows = math.ceil(len(arrays) / columns)
    gap = 8
    heading = [26 * max(_lines(label) for label in row) for row in _rows(labels, columns, rows)]
    height = [max(a.shape[0] for a in row) * scale for row in _rows(arrays, columns, rows)]
    width = [max(a.shape[1] for a in arrays[c::columns]) * scale for c in range(columns)]
    total_width = sum(width) + gap * (columns + 1)
    total_height = sum(height) + sum(heading) + gap * (rows + 1)

    figure = plt.figure(figsize=(total_width / DPI, total_height / DPI), dpi=DPI, layout="none")
    for i, (array, label) in enumerate(zip(arrays, labels, strict=False)):
        row, column = divmod(i, columns)
        h, w = array.shape[0] * scale, array.shape[1] * scale
        left = gap + sum(width[:column]) + gap * column
        top = gap + sum(height[:row]) + sum(heading[: row + 1]) + gap * row
        box = (left / total_width, 1 - (top + h) / total_height, w / total_width, h / total_height)
        axes = figure.add_axes(box)
        axes.imshow(array, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        longest = max(map(len, label.split("\n")))
        axes.set_title(label, pad=3, fontsize=min(9.0, 72 * w / DPI / (LETTER * max(1, longest))))
    return figure


def save(figure: Figure, name: str, alt: str = "", **parameters: Any) -> Path:
    """Write `<name>.png` with its provenance, show it once in the notebook, and return its path.

    The picture carries the profile, the command, the commit, the parameters and the seconds it took since the
    figure before; manifest.json beside it has the same in one row, and the file's sha256. The runner says
    where to write (TEXTURES_FIGURES) and under which profile; by hand it is figures/ and "laptop".

    Args:
        alt: what the picture shows, in a sentence, for those who cannot see it.
        parameters: what made this figure: seeds, sizes, steps.
    """
    global _clock
    if not name.replace("_", "").isalnum():
        raise TextureError(f"a figure's name is made of letters, digits and _; this one is {name!r}")
    folder = _folder()
    row: dict[str, Any] = {
        "profile": os.environ.get("TEXTURES_PROFILE") or "laptop",
        "command": os.environ.get("TEXTURES_COMMAND") or "run by hand",
        "commit": commit(),
        "checkpoint": os.environ.get("TEXTURES_CHECKPOINT") or "",
        "parameters": {key: _plain(value) for key, value in parameters.items()},
        "seconds": round(time.perf_counter() - _clock, 1),
        "alt": alt,
    }
    path = folder / f"{name}.png"
    metadata = {"Title": name, "Description": alt, "Software": "textures"}
    metadata |= {key: json.dumps(value) for key, value in row.items() if key != "alt"}
    figure.savefig(path, metadata=metadata)
    row["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest.add(folder, {name: row})
    _show(path, alt)
    plt.close(figure)
    _clock = time.perf_counter()
    return path


def save_table(text: str, name: str) -> Path:
    """Write a table beside the figures, such as `table_1.csv`, and return its path; the runner wants it declared."""
    stem, dot, suffix = name.rpartition(".")
    if not dot or not stem.replace("_", "").isalnum() or suffix not in ("csv", "md"):
        raise TextureError(f"a table's name is letters, digits and _, then .csv or .md; this one is {name!r}")
    path = _folder() / name
    path.write_text(text, encoding="utf-8")
    return path


def _folder() -> Path:
    folder = Path(os.environ.get("TEXTURES_FIGURES") or ROOT / "figures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@functools.cache
def commit() -> str:
    """The commit of this repository, "+" after it when lib has changed since; "unknown" without git."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != ROOT:
            return "unknown"
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno", "--", "lib") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _show(path: Path, alt: str) -> None:
    """Display the very file in the notebook, at most as wide as the column, with its alternative text."""
    try:
        from IPython.core.getipython import get_ipython
        from IPython.display import Image, display
    except ImportError:
        return
    if get_ipython() is not None:
        display(Image(data=path.read_bytes(), alt=alt))


def _pixels(image: Any) -> np.ndarray:
    """[3,H,W], [1,H,W] or [H,W] -> [H,W,3] or [H,W], clipped to [0,1]."""
    array = np.asarray(image.detach().cpu() if hasattr(image, "detach") else image, dtype=np.float32)
    if array.ndim == 3 and array.shape[0] in (1, 3):
        array = array[0] if array.shape[0] == 1 else array.transpose(1, 2, 0)
    elif array.ndim != 2:
        raise TextureError(f"an image is [3,H,W] or [H,W]; this one is {list(array.shape)}")
    return array.clip(0, 1)


def _rows(items: Sequence[Any], columns: int, rows: int) -> list[Sequence[Any]]:
    return [items[r * columns : (r + 1) * columns] for r in range(rows)]


def _lines(label: str) -> int:
    return label.count("\n") + 1 if label else 0


def _plain(value: Any) -> Any:
    """What JSON can hold; anything else by its text."""
    try:
        json.dumps(value)
    except TypeError:
        return str(value)
    return value
