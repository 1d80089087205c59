"""The card of a filtered data set, DATA.md: what it was made from, by which rule, and how much of what is in it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lib.dataset import shards
from lib.dataset.duplicates import NEAR, left_out
from lib.whole import write_whole

CARD, SOURCES = "DATA.md", "sources.tsv"
SHOWN = 40  # sources in the card; sources.tsv has all


def finish(out: Path, pictures: Mapping[str, int], windows: Counter[str]) -> Counter[str]:
    """What is left to do when all tasks are done: near-duplicates, the card, the table of sources.

    Args:
        pictures, windows: what became of them; patches of near-duplicates are moved from "kept" to "duplicate".

    Returns:
        patches by split, without those of near-duplicates.
    """
    kept = [(folder.name, row) for folder in shards.finished_tasks(out)[0] for row in shards.read_pictures(folder)]
    rows = [row for _, row in kept]
    copies = left_out([row.hash for row in rows], [row.split for row in rows], list(shards.SPLITS))
    shards.write_duplicates(out, [(kept[i][0], rows[i].image, rows[k].image) for i, k in sorted(copies.items())])
    stay = [row for i, row in enumerate(rows) if i not in copies]
    splits, sources, licences, owners = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for row in stay:
        splits[row.split] += row.patches
        sources[row.source] += row.patches
        licences[row.licence] += row.patches
        owners[row.licence] += 1
    if copies:
        doubled = sum(rows[i].patches for i in copies)
        windows.update({"kept": -doubled, "duplicate": doubled})
    crossing = sum(rows[i].split != rows[k].split for i, k in copies.items())
    lines = [
        "# Texture patches",
        "",
        f"{splits.total():,} patches of 128x128 pixels (uint8, RGB) from {len(stay):,} of "
        f"{pictures.get('read', 0):,} pictures: windows that the homogeneity criterion of "
        "lib/dataset/criterion.py keeps. Patches of one picture are in one split.",
        "",
        f"Left out: {len(copies):,} near-duplicates (perceptual hashes within {NEAR} of 64 bits), of which "
        f"{crossing:,} would have stood in another split than the picture they are like.",
        "",
        *_table("split", ("patches",), ((name, splits[name]) for name in shards.SPLITS)),
        *_table("licence", ("patches", "pictures"), ((name, n, owners[name]) for name, n in licences.most_common())),
        *_table("source", ("patches",), sources.most_common(SHOWN)),
        *([f"and {len(sources) - SHOWN:,} more, see {SOURCES}", ""] if len(sources) > SHOWN else []),
        *_table("what became of pictures", ("pictures",), sorted(pictures.items(), key=_most)),
        *_table("what became of windows", ("windows",), sorted(windows.items(), key=_most)),
    ]
    table = ["source\tpatches", *(f"{name}\t{count}" for name, count in sources.most_common())]
    write_whole(out / CARD, lambda draft: draft.write_text("\n".join(lines), encoding="utf-8"))
    write_whole(out / SOURCES, lambda draft: draft.write_text("\n".join(table) + "\n", encoding="utf-8"))
    return splits


def _most(item: Sequence[Any]) -> tuple[int, str]:
    return -item[1], item[0]


def _table(name: str, columns: tuple[str, ...], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of a table in Markdown."""
    lines = [f"| {name} | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for first, *numbers in rows:
        lines.append(f"| {first.replace('|', '/')} | " + " | ".join(f"{n:,}" for n in numbers) + " |")
    return [*lines, ""]
