"""Sources -> tasks -> patches and manifest, on all cores or a Dask cluster; may be interrupted at any time."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lib.dataset import licences, shards
from lib.dataset.card import finish
from lib.dataset.cluster import Lost, run_tasks
from lib.dataset.criterion import LIMITS, SIDE, TEXT, Windows, score_scales
from lib.dataset.duplicates import picture_hash
from lib.dataset.sources import Picture, Task, find_tasks, spread
from lib.errors import TextureError

SCALES = 3  # a picture is looked at whole, halved and quartered: a texture's elements may need the distance
LIKED = ("kept", "enough", "duplicate")  # verdicts on windows that the criterion would keep
PER_IMAGE = 16  # patches at most, the most even ones: a single large wall must not fill the set


@dataclass
class Report:
    """What a filter did, summed over tasks."""

    tasks: int = 0
    seconds: float = 0.0  # of work, summed over workers
    pictures: Counter[str] = field(default_factory=Counter)  # read, with patches, and each problem and note
    windows: Counter[str] = field(default_factory=Counter)  # kept, and each reason why not
    splits: Counter[str] = field(default_factory=Counter)
    workers_lost: int = 0  # died or left; what they had begun was done again by others

    def add(self, counts: Mapping[str, Any]) -> None:
        self.tasks += 1
        self.seconds += counts["seconds"]
        self.pictures.update(counts["pictures"])
        self.windows.update(counts["windows"])
        self.splits.update(counts["splits"])


def filter_sources(
    sources: list[Path],
    out: Path,
    per_image: int = PER_IMAGE,
    at_most: int | None = None,
    workers: int = 0,
    scheduler: str = "",
    progress: Callable[[Report, int], None] | None = None,
) -> Report:
    """Filter the sources into `out`; what is already done there is not done again.

    Args:
        sources: folders of images, tars, folders of tars.
        out: where shards and manifests go; see lib.dataset.shards.
        per_image: at most so many patches of one image.
        at_most: a glance: so many tasks, evenly spread; all when not given.
        workers: processes of a Dask cluster on this machine; 0: one a core, 1: none but this one.
        scheduler: address of a Dask scheduler that shares this file system ("tcp://..."), instead of workers.
        progress: called with the report so far and the number of all tasks, at the start and after each task.

    Raises:
        TextureError: sources that cannot be used, or an `out` that was made from others or by other settings.
    """
    tasks = [replace(task, root=task.root.absolute()) for task in find_tasks(sources)]  # workers may start elsewhere
    tasks = spread(tasks, at_most or len(tasks))
    for source in sources:
        licences.check(source)
    _plan(sources, tasks, out, per_image, whole=at_most is None)
    report, todo = Report(), []
    for task in tasks:
        counts = shards.read_counts(out / task.name)
        if counts is None:
            todo.append(task)
        else:
            report.add(counts)
    if progress:
        progress(report, len(tasks))

    def gone(count: int) -> None:
        report.workers_lost = count

    work = partial(run_task, out=out.resolve(), per_image=per_image)
    lost: list[Lost] = []
    for result in run_tasks(work, todo, workers or os.cpu_count() or 1, scheduler, gone):
        if isinstance(result, Lost):
            lost.append(result)
            continue
        report.add(result)
        if progress:
            progress(report, len(tasks))
    if lost:
        raise TextureError(
            f"{len(lost)} of {len(tasks)} tasks are left, first {lost[0].task.root}: {lost[0].why}; "
            "run the same command with fewer --workers"
        )
    left = shards.finished_tasks(out)[1]
    if left:
        raise TextureError(f"{left} of {len(tasks)} tasks did not reach {out}; workers must share its file system")
    _sweep(out, tasks)
    report.splits = finish(out, report.pictures, report.windows)
    return report


def run_task(task: Task, out: Path, per_image: int) -> dict[str, Any]:
    """Filter one task's pictures into its folder in `out`; returns its counts. What is done is not done again."""
    counts = shards.read_counts(out / task.name)
    if counts is not None:  # by a worker that died before it could say so
        return counts
    try:
        with shards.Writer(out, task.name) as writer:
            for picture in task.pictures():
                _filter_picture(picture, writer, per_image, task)
    except OSError as error:
        raise TextureError(f"{out} cannot be written ({error}); make room and run the same command") from None
    return writer.counts


def _filter_picture(picture: Picture, writer: shards.Writer, per_image: int, task: Task) -> None:
    """All windows of a picture into the manifest, kept ones into a shard; positions in the file's pixels."""
    writer.picture(picture.problem or "read")
    if picture.note:
        writer.picture(f"{picture.note}, converted")
    if picture.pixels is None:
        return
    before, split = writer.kept, shards.split_of(picture.name)
    for found in select(picture.pixels, per_image):
        scale = picture.scale * found.scale
        scores = [values.tolist() for values in found.windows.scores.values()]
        for i, verdict in enumerate(found.verdicts):
            row = {
                "image": picture.name,
                "row": int(found.windows.rows[i]) * scale,
                "column": int(found.windows.columns[i]) * scale,
                "scale": scale,
                "split": split,
                "verdict": verdict,
                **{name: values[i] for name, values in zip(found.windows.scores, scores, strict=True)},
            }
            writer.window(row, found.patch(i) if verdict == "kept" else None)
    if writer.kept > before:
        writer.picture("with patches")
        source, licence = licences.source_of(task, picture.name), licences.licence_of(task, picture.name)
        of_picture = shards.Kept(
            picture.name, source, licence, split, writer.kept - before, picture_hash(picture.pixels)
        )
        writer.gave(of_picture)


@dataclass(frozen=True)
class Found:
    """The windows of a picture at one scale.

    whole: uint8 [H,W,3], the picture before it was reduced by `scale`; verdicts: [n] "kept", or the reason why not.
    """

    whole: np.ndarray
    scale: int
    windows: Windows
    verdicts: list[str]

    def patch(self, i: int) -> np.ndarray:
        """uint8 [128,128,3]; window i."""
        row, column = self.windows.rows[i] * self.scale, self.windows.columns[i] * self.scale
        return _reduced(self.whole, int(row), int(column), self.scale)


def select(pixels: np.ndarray, per_image: int = PER_IMAGE) -> list[Found]:
    """All windows of a picture, uint8 [H,W,3], at every scale, and which of them are kept."""
    found = [
        Found(pixels, 2**octave, windows, [reason or "kept" for reason in windows.reasons()])
        for octave, windows in enumerate(score_scales(pixels, SCALES))
    ]
    kept = [(h, k, i) for k, f in enumerate(found) for i, h in enumerate(f.windows.scores["heterogeneity"])]
    kept = sorted(place for place in kept if found[place[1]].verdicts[place[2]] == "kept")
    for _, k, i in kept[per_image:]:
        found[k].verdicts[i] = "enough"
    return found


def cut(picture: Picture, row: Mapping[str, Any]) -> np.ndarray:
    """The window of a row of the manifest, uint8 [128,128,3], from its picture; kept or not."""
    if picture.pixels is None:
        raise TextureError(f"{picture.name} cannot be read any more ({picture.problem})")
    return _reduced(
        picture.pixels,
        row["row"] // picture.scale,
        row["column"] // picture.scale,
        row["scale"] // picture.scale,
    )


def _reduced(pixels: np.ndarray, row: int, column: int, scale: int) -> np.ndarray:
    """uint8 [128,128,3]; a window at a pixel of a picture, halved until it is reduced by `scale`."""
    window = pixels[row : row + SIDE * scale, column : column + SIDE * scale]
    for _ in range(scale.bit_length() - 1):  # rounding after each halving, as the criterion saw it
        window = np.asarray(Image.fromarray(window).reduce(2))
    return window


def precision_recall(out: Path, labels: Mapping[str, str]) -> dict[str, int]:
    """Images and windows kept, by label, of a filtered data set.

    Args:
        labels: file name (without folders) -> "texture" or "scene"; other images are not counted.

    Returns:
        counts with keys "<label> images", "<label> images kept", "<label> windows", "<label> windows kept".
        Windows that were only too many, or of a near-duplicate, count as kept: the criterion liked them.
    """
    counts: Counter[str] = Counter()
    liked: dict[str, bool] = {}
    for row in shards.read_manifest(out):
        name = row["image"].rsplit("/", 1)[-1]
        if name in labels:
            kept = row["verdict"] in LIKED
            counts[f"{labels[name]} windows"] += 1
            counts[f"{labels[name]} windows kept"] += kept
            liked[name] = liked.get(name, False) or kept
    for name, kept in liked.items():
        counts[f"{labels[name]} images"] += 1
        counts[f"{labels[name]} images kept"] += kept
    return dict(counts)


def read_labels(sources: list[Path]) -> dict[str, str]:
    """File name -> label, from labels.tsv beside the sources (columns member and label); {} without one."""
    labels: dict[str, str] = {}
    for folder in dict.fromkeys(source if source.is_dir() else source.parent for source in sources):
        file = folder / "labels.tsv"
        if file.exists():
            rows = [line.split("\t") for line in file.read_text().splitlines()[1:] if line.strip()]
            if any(len(row) != 2 for row in rows):
                raise TextureError(f"{file} must have two columns, member and label, parted by tabs")
            labels |= {member.rsplit("/", 1)[-1]: label.strip() for member, label in rows}
    return labels


def _plan(sources: list[Path], tasks: list[Task], out: Path, per_image: int, whole: bool) -> None:
    """Write what is about to be done, after looking that it fits what was done there before.

    What was finished goes only if it is gone from where it was: not for other pictures, nor for a glance at fewer.
    """
    settings = {
        "sources": sorted(source.resolve().name for source in sources),
        "per_image": per_image,
        "scales": SCALES,
        "limits": {name: limit.value for name, limit in LIMITS.items()},
        "text": {kind: {name: list(marks) for name, marks in signs.items()} for kind, signs in TEXT.items()},
    }
    places = sorted(str(source.resolve()) for source in sources)
    before = shards.read_plan(out)
    if before is None and out.exists() and any(out.iterdir()):
        raise TextureError(f"{out} is not empty and no data set of this filter; name a new folder")
    if before is not None:
        changed = [key for key in settings if before["settings"].get(key) != settings[key]]
        if changed:
            raise TextureError(f"{out} was filtered with other {' and '.join(changed)}; name a new folder")
        going = set(before["tasks"]) - {task.name for task in tasks}
        finished = sum(shards.read_counts(out / task) is not None for task in going)
        if finished and not (whole and before.get("places", places) == places):
            raise TextureError(
                f"{out} holds {finished} finished tasks that are none of these {len(tasks)}; name a new folder"
            )
        _sweep(out, tasks)
    shards.write_plan(out, {"settings": settings, "places": places, "tasks": [task.name for task in tasks]})


def _sweep(out: Path, tasks: list[Task]) -> None:
    """Drafts that a killed run or worker left go, and so do pictures that are no longer there."""
    planned = {task.name for task in tasks}
    for folder in out.iterdir():
        if folder.is_dir() and folder.name not in planned:
            shutil.rmtree(folder, ignore_errors=True)
