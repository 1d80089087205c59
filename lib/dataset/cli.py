"""`python -m lib filter`: options, a line of progress, and the tables at the end."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from lib.dataset.card import CARD
from lib.dataset.filter import PER_IMAGE, Report, filter_sources, precision_recall, read_labels


def filter(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Folders of images, tars, folders of tars.", metavar="SOURCE..."),
    ],
    out: Annotated[Path, typer.Option(help="Where the patches and the manifest go.")] = Path("data/patches"),
    per_image: Annotated[int, typer.Option(min=1, help="At most so many patches of one image.")] = PER_IMAGE,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes of a local Dask cluster, each below 2 GiB; 0: one a core.")
    ] = 0,
    scheduler: Annotated[
        str, typer.Option(help="A Dask scheduler that shares this file system, tcp://HOST:PORT.")
    ] = "",
) -> None:
    """Cut homogeneous 128x128 patches out of photographs; run again, it goes on where it was."""
    start = time.perf_counter()
    with _Line() as line:
        report = filter_sources(sources, out, per_image, workers=workers, scheduler=scheduler, progress=line.update)
    console = Console(highlight=False)
    console.print(tables(report))
    _print_labelled(console, out, read_labels(sources))
    if report.workers_lost:
        print(f"{report.workers_lost} workers were lost on the way; their tasks were done again")
    seconds = time.perf_counter() - start
    print(f"{report.splits.total()} patches in {out}, see {CARD}; {seconds:.0f} s")


def tables(report: Report) -> Table:
    """What became of pictures and of windows, and how the patches are split."""
    whole = Table.grid(padding=(0, 4))
    columns = [("pictures", report.pictures), ("windows", report.windows), ("patches", report.splits)]
    whole.add_row(*[_table(title, counts) for title, counts in columns])
    return whole


def _table(title: str, counts: Mapping[str, int]) -> Table:
    table = Table(title, "")
    table.columns[1].justify = "right"
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{count:,}")
    return table


def _print_labelled(console: Console, out: Path, labels: Mapping[str, str]) -> None:
    counts = precision_recall(out, labels) if labels else {}
    for what in ("images", "windows"):
        total = counts.get(f"texture {what}", 0)
        kept, wrong = counts.get(f"texture {what} kept", 0), counts.get(f"scene {what} kept", 0)
        if total and kept:
            console.print(
                f"labels.tsv, {what}: precision {kept}/{kept + wrong} = {kept / (kept + wrong):.3f}, "
                f"recall {kept}/{total} = {kept / total:.3f}"
            )


class _Line:
    """Progress over tasks: rate and time left by tqdm, pictures and patches beside it."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def __enter__(self) -> "_Line":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, report: Report, tasks: int) -> None:
        if self._bar is None:  # what an earlier run did is neither rate nor time
            every = 0.1 if sys.stderr.isatty() else 30
            self._bar = tqdm(total=tasks, initial=report.tasks, unit="task", desc="filter", mininterval=every)
            self._start, self._read = time.perf_counter(), report.pictures["read"]
            return
        rate = (report.pictures["read"] - self._read) / max(time.perf_counter() - self._start, 1e-9)
        text = f"{report.pictures['read']:,} pictures, {rate:.0f}/s, {report.splits.total():,} patches"
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(report.tasks - self._bar.n)
