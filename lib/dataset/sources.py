"""Where the pictures come from: folders of images, and ImageNet-21K's own layout, one tar of JPEGs a synset.

Both are cut into tasks, pieces of work that are done or not done. Tars are read as a stream, never unpacked.
Millions of pictures hold some of every kind of broken file: none of them stops anything, each is counted.
"""

import hashlib
import io
import tarfile
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from lib.errors import TextureError

TARS = (".tar", ".tar.gz", ".tgz")
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm")
FILES_A_TASK = 500  # of a folder; a minute's work or less, which is what a kill costs
SMALLEST = 128  # pixels on the short side: one window
HUGE = 50_000_000  # pixels; a decompression bomb, or a scan that would take all memory
HEAVY = 200_000_000  # bytes of a file: as much
NARROW = 32  # times as long as wide: a strip would not be reduced, for it is too short to be halved
LONGEST = 1536  # pixels on the long side; larger photographs are soft at their finest scale, and are halved

Item = TypeVar("Item")


@dataclass(frozen=True)
class Task:
    """One tar, or some files of one folder.

    root is what names are relative to: the tar itself, or the folder that was asked for.
    """

    root: Path
    files: tuple[str, ...] = ()  # relative to root; none for a tar

    @cached_property
    def name(self) -> str:
        """The same for the same pictures, wherever they lie: what tells that the task is done already."""
        if not self.files:
            return f"{synset(self.root)}-{_digest(self.root.name, str(self.root.stat().st_size))}"
        return f"{self.root.name}-{_digest(*(f'{file} {_size(self.root / file)}' for file in self.files))}"

    def pictures(self) -> Iterator["Picture"]:
        """The pictures of this task, one after another, good and bad."""
        if not self.files:
            yield from _members(self.root)
        for file in self.files:
            path = self.root / file
            try:
                content = path.read_bytes() if path.stat().st_size <= HEAVY else None
            except OSError:
                yield Picture(file, problem="unreadable")
            else:
                yield Picture(file, problem="huge") if content is None else decode(file, content)


@dataclass(frozen=True)
class Picture:
    """A picture, or why there is none.

    pixels: uint8 [H,W,3], reduced by `scale` (1, 2, 4, ...) from the file's size; None if there is a problem.
    note: what had to be converted ("grey", "16-bit"), if anything.
    """

    name: str
    pixels: np.ndarray | None = None
    scale: int = 1
    problem: str = ""
    note: str = ""


def find_tasks(sources: list[Path]) -> list[Task]:
    """All tasks of the sources: image folders (searched deeply), folders of tars, tars.

    Raises:
        TextureError: a source is missing, holds no picture, or is given twice.
    """
    tasks: list[Task] = []
    for source in sources:
        if not source.exists():
            raise TextureError(f"{source} does not exist; give a folder of images, a tar, or a folder of tars")
        if source.is_file():
            if not _is_tar(source.name):
                raise TextureError(f"{source} is neither a tar nor a folder; put single images into a folder")
            tasks.append(Task(source))
            continue
        paths = sorted(path for path in source.rglob("*") if path.is_file())
        tars = [path for path in paths if _is_tar(path.name)]
        files = [path.relative_to(source).as_posix() for path in paths if path.suffix.lower() in PICTURES]
        if not tars and not files:
            raise TextureError(f"{source} holds no images and no tars ({' '.join(PICTURES + TARS)}); name another")
        tasks += [Task(path) for path in tars]
        tasks += [Task(source, tuple(files[i : i + FILES_A_TASK])) for i in range(0, len(files), FILES_A_TASK)]
    for name, count in Counter(task.name for task in tasks).items():
        if count > 1:
            raise TextureError(f"two sources hold the same pictures ({name}); give each one once")
    return tasks


def spread(items: list[Item], count: int) -> list[Item]:
    """At most `count` of the items, evenly spread."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def find_pictures(tasks: list[Task], names: set[str]) -> dict[str, Picture]:
    """The pictures of these names, for a second look; stops reading when all are found."""
    found: dict[str, Picture] = {}
    synsets = {name.split("/")[0] for name in names}
    for task in tasks:
        if task.files:
            task = Task(task.root, tuple(file for file in task.files if file in names))
        if not task.files and synset(task.root) not in synsets:
            continue
        for picture in task.pictures():
            if picture.name in names:
                found[picture.name] = picture
            if len(found) == len(names):
                return found
    return found


def decode(name: str, content: bytes) -> Picture:
    """A file's content as a picture; whatever is wrong becomes the picture's `problem`.

    CMYK is left out, not converted: without its ink profile the colours are a guess. So is an
    animation, whose frames lack colours. Grey and 16-bit pictures are converted and noted.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata; a bomb is refused below by its size
            image = Image.open(io.BytesIO(content))
            problem = _problem(image)
            if problem:
                return Picture(name, problem=problem)
            scale = 1
            while max(image.size) / scale > LONGEST and min(image.size) / (2 * scale) >= SMALLEST:
                scale *= 2
            full = image.width
            if scale > 1:
                image.draft("RGB", (image.width // scale, image.height // scale))  # JPEG can decode at half size
            image.load()
            left = scale // max(1, round(full / image.width))
            pixels, note = _rgb(image)
            if left > 1:
                pixels = np.asarray(Image.fromarray(pixels).reduce(left))
        return Picture(name, pixels, scale=scale, note=note)
    except (Image.DecompressionBombError, MemoryError):
        return Picture(name, problem="huge")
    except UnidentifiedImageError:
        return Picture(name, problem="no image")
    except Exception as error:  # a damaged file raises OSError, ValueError, SyntaxError, struct.error, ...
        return Picture(name, problem="truncated" if "truncated" in str(error).lower() else "corrupt")


def _problem(image: Image.Image) -> str:
    """What the header already says against a picture."""
    if image.width * image.height > HUGE:
        return "huge"
    if min(image.size) < SMALLEST:
        return "tiny"
    if max(image.size) > NARROW * min(image.size):
        return "narrow"
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # a telephone's MPO is a JPEG and its preview
        return "animated"
    return {"CMYK": "cmyk", "F": "floating point"}.get(image.mode, "")


def _rgb(image: Image.Image) -> tuple[np.ndarray, str]:
    """uint8 [H,W,3], and what was converted; transparency is laid over white."""
    if image.mode.startswith("I"):
        grey = (np.asarray(image, dtype=np.float32).clip(0, 65535) / 257).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2), "16-bit"
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    note = "grey" if image.mode in ("1", "L", "LA") else ""
    return np.asarray(image.convert("RGB")), note


def _members(path: Path) -> Iterator[Picture]:
    """The pictures of a tar, read as a stream.

    A picture's name is "<synset>/<member>", the same as in a folder that the tar was unpacked to.
    """
    folder = synset(path)
    try:
        with tarfile.open(path, "r|*") as tar:
            for member in tar:
                if not member.isfile() or not member.name.lower().endswith(PICTURES):
                    continue
                name = f"{folder}/{member.name.removeprefix('./').removeprefix(folder + '/')}"
                if member.size > HEAVY:
                    yield Picture(name, problem="huge")
                    continue
                stream = tar.extractfile(member)
                yield decode(name, stream.read() if stream else b"")
    except (tarfile.TarError, OSError, EOFError) as error:  # what is left of it cannot be found
        yield Picture(f"{folder}/", problem="tar cut short" if "unexpected end" in str(error) else "tar damaged")


def synset(tar: Path) -> str:
    """What a tar is called in the names of its pictures."""
    return tar.name.split(".")[0]


def _is_tar(name: str) -> bool:
    return name.lower().endswith(TARS)


def _size(path: Path) -> int:
    """Bytes of a file; -1 for one that went while it was looked for."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
