"""What filtering costs: decoding beside the criterion on one core, and a pilot extrapolated to ImageNet-21K.

    python -m lib.dataset.cost SOURCE [SOURCE ...]

Pictures are decoded and judged by turns, so that both meet the machine in the same mood; the best of three counts.
The pilot filters the same pictures, the first thousand or the tars that they are in, into a folder that is thrown away:
reading, decoding, judging, hashing, writing.
"""

import io
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from lib.command import run
from lib.dataset.criterion import SIDE
from lib.dataset.duplicates import picture_hash
from lib.dataset.filter import PER_IMAGE, SCALES, run_task, select
from lib.dataset.sources import PICTURES, Task, decode, find_tasks
from lib.dataset.tiles import read_tiles
from lib.errors import TextureError

IMAGENET = 14_197_122  # pictures in 21,841 tars
PILOT = 1000  # pictures that are timed and filtered; a tar that is begun is filtered to its end
REPEATS = 3
CORES = (16, 64, 256)


@dataclass(frozen=True)
class Cost:
    """Of one picture, on one core: milliseconds, and what it leaves.

    jpeg: its bytes to an array, nothing else; decoded: with every check, and reduced where it is large; judged: the
    criterion at all scales, from pixels to verdicts; tiled: its pass over the pixels; whole: the filter from tar to
    shard. patches, table: patches, and bytes of everything else.
    """

    pictures: int
    pixels: float
    size: float
    jpeg: float
    decoded: float
    judged: float
    tiled: float
    whole: float
    patches: float
    table: float


def measure(tasks: list[Task]) -> Cost:
    """The mean cost of the first pictures of the tasks that can be read.

    Raises:
        TextureError: none can be read.
    """
    times, pixels, sizes = [], [], []
    tasks = pilot(tasks)
    for name, content in islice(_contents(tasks), PILOT):
        picture = decode(name, content).pixels
        if picture is None:
            continue
        ways: tuple[Callable[[], object], ...] = (
            partial(_array, content),
            partial(decode, name, content),
            partial(select, picture),
            partial(read_tiles, picture, SCALES),
        )
        rounds = [[_seconds(way) for way in ways] for _ in range(REPEATS)]
        times.append(np.min(rounds, axis=0))
        pixels.append(picture.shape[0] * picture.shape[1])
        sizes.append(len(content))
    if not times:
        raise TextureError("no picture of the sources can be read; name others")
    picture_hash(np.zeros((SIDE, SIDE, 3), np.uint8))  # what is imported once is no cost of a picture
    jpeg, decoded, judged, tiled = 1000 * np.mean(times, axis=0)
    with tempfile.TemporaryDirectory() as folder:
        counts = [run_task(task, Path(folder), PER_IMAGE) for task in tasks]
        read = sum(count["pictures"].get("read", 0) for count in counts)
        written = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    patches = sum(sum(count["splits"].values()) for count in counts)
    return Cost(
        pictures=len(times),
        pixels=float(np.mean(pixels)),
        size=float(np.mean(sizes)),
        jpeg=float(jpeg),
        decoded=float(decoded),
        judged=float(judged),
        tiled=float(tiled),
        whole=1000 * sum(count["seconds"] for count in counts) / read,
        patches=patches / read,
        table=(written - patches * SIDE * SIDE * 3) / read,
    )


def pilot(tasks: list[Task]) -> list[Task]:
    """The first tasks, until they hold PILOT pictures; of a folder no more files than that."""
    chosen, left = list[Task](), PILOT
    for task in tasks:
        if left <= 0:
            break
        chosen.append(Task(task.root, task.files[:left]))
        left -= len(chosen[-1].files) or sum(1 for _ in _contents(chosen[-1:]))
    return chosen


def lines(cost: Cost) -> Iterator[str]:
    """The table of a measurement, and what it comes to for ImageNet-21K."""
    yield f"{cost.pictures} pictures of {cost.pixels / 1000:.0f} thousand pixels, {cost.size / 1000:.0f} kB; one core"
    for name, ms in (
        ("JPEG to array", cost.jpeg),
        ("decoding, with all checks", cost.decoded),
        ("criterion, three scales", cost.judged),
        ("    of which, pixels to tiles", cost.tiled),
        ("whole, from tar to shard", cost.whole),
    ):
        yield f"{name:<28}{ms:8.2f} ms {1000 / ms:8.0f} pictures/s"
    yield f"criterion over decoding {cost.judged / cost.decoded:.2f}, over JPEG to array {cost.judged / cost.jpeg:.2f}"
    hours = cost.whole * IMAGENET / 3.6e6
    yield (
        f"ImageNet-21K, {IMAGENET:,} pictures: {hours:.0f} core hours ("
        + ", ".join(f"{hours / cores:.1f} h on {cores}" for cores in CORES)
        + f" cores), {cost.patches * IMAGENET / 1e6:.1f} million patches,"
    )
    yield (
        f"{cost.patches * IMAGENET * SIDE * SIDE * 3 / 1e9:,.0f} GB of shards, "
        f"{cost.table * IMAGENET / 1e9:,.0f} GB of manifests, if its pictures were like these"
    )


def report(
    sources: Annotated[list[Path], typer.Argument(help="Folders of images, tars, folders of tars.", metavar="SOURCE")],
) -> None:
    """Print what decoding and filtering cost here, and what that comes to for ImageNet-21K."""
    for line in lines(measure(find_tasks(sources))):
        print(line)


def _contents(tasks: list[Task]) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the pictures of the tasks, of a damaged tar what can be read."""
    for task in tasks:
        if task.files:
            yield from ((file, (task.root / file).read_bytes()) for file in task.files)
            continue
        with suppress(tarfile.TarError, EOFError), tarfile.open(task.root, "r|*") as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.name.lower().endswith(PICTURES) else None
                if stream:
                    yield member.name, stream.read()


def _array(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def _seconds(way: Callable[[], object]) -> float:
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


if __name__ == "__main__":
    run(report)
