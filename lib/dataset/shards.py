"""Patches on disk: memory-mapped uint8 shards, a manifest of every window, and a split by source image.

    out/filter.json                  what was asked for, and the tasks it came to
    out/<task>/train.npy             uint8 [n,128,128,3]; also validation.npy and test.npy
    out/<task>/manifest.csv.gz       one row a window: where it is, its scores, kept or why not
    out/<task>/pictures.tsv          one row a picture that gave patches: where from, licence, split, hash
    out/<task>/done.json             the counts
    out/duplicates.tsv               pictures whose patches are left out, being near-duplicates of others
    out/DATA.md, out/sources.tsv     the card, and the patches of each source

A task's folder appears whole, by one rename, or not at all: that it is there means that the task is done.
"""

import bisect
import csv
import gzip
import hashlib
import itertools
import json
import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lib.dataset.criterion import LIMITS, SIDE
from lib.dataset.sources import spread
from lib.errors import TextureError
from lib.whole import write_whole

SPLITS: Mapping[str, float] = {"train": 0.9, "validation": 0.05, "test": 0.05}
PLACE = ("image", "row", "column", "scale", "split", "verdict")
COLUMNS = (*PLACE, *LIMITS)
DUPLICATES = "duplicates.tsv"
_SCORES = ",".join(["%.4g"] * len(LIMITS))
OPEN = 256  # shards mapped at a time: each holds a file open, of which a process may often have but a thousand
_HEADER = 128  # bytes before the first patch; npy asks for a multiple of 64
_PATCH = SIDE * SIDE * 3  # bytes


def split_of(image: str) -> str:
    """train, validation or test, by a hash of the image's name: all its patches go the same way, for ever."""
    point = int.from_bytes(hashlib.sha256(image.encode()).digest()[:8], "big") / 2**64
    for name, share in SPLITS.items():
        point -= share
        if point < 0:
            return name
    return "train"


@dataclass(frozen=True)
class Kept:
    """A picture that gave patches. They follow one another in its split's shard, pictures in the order of the table."""

    image: str
    source: str
    licence: str
    split: str
    patches: int
    hash: int


class Writer:
    """Writes one task's shards and manifest; as a context manager, done at its end, or without a trace."""

    def __init__(self, out: Path, task: str) -> None:
        self._final = out / task
        self._draft = out / f".{task}.{uuid.uuid4().hex[:8]}"
        self._pictures: Counter[str] = Counter()
        self._windows: Counter[str] = Counter()
        self._splits: Counter[str] = Counter()
        self._kept: list[Kept] = []
        self._start = time.perf_counter()

    @property
    def kept(self) -> int:
        """Windows kept so far."""
        return self._splits.total()

    @property
    def counts(self) -> dict[str, Any]:
        """What done.json says: pictures and windows by verdict, patches by split, seconds."""
        return {
            "pictures": dict(self._pictures),
            "windows": dict(self._windows),
            "splits": dict(self._splits),
            "seconds": round(time.perf_counter() - self._start, 3),
        }

    def __enter__(self) -> "Writer":
        self._draft.mkdir(parents=True)
        self._shards = {name: open(self._draft / f"{name}.npy", "wb") for name in SPLITS}  # noqa: SIM115
        for shard in self._shards.values():
            shard.write(bytes(_HEADER))
        self._text = gzip.open(self._draft / "manifest.csv.gz", "wt", compresslevel=3, newline="")
        self._rows = csv.writer(self._text)
        self._rows.writerow(COLUMNS)
        return self

    def picture(self, what: str) -> None:
        """Count a picture under what became of it."""
        self._pictures[what] += 1

    def gave(self, picture: Kept) -> None:
        """A picture whose windows have all been written, and that gave patches."""
        self._kept.append(picture)

    def window(self, row: Mapping[str, Any], patch: np.ndarray | None) -> None:
        """A window into the manifest, a row with keys COLUMNS; if kept, uint8 [128,128,3] into its shard."""
        place, scores = [row[key] for key in PLACE], tuple(row[key] for key in LIMITS)
        self._rows.writerow([*place, *(_SCORES % scores).split(",")])
        self._windows[row["verdict"]] += 1
        if patch is not None and row["verdict"] == "kept":
            self._shards[row["split"]].write(np.ascontiguousarray(patch).tobytes())
            self._splits[row["split"]] += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._text.close()
        for shard in self._shards.values():
            n = (shard.tell() - _HEADER) // _PATCH
            shard.seek(0)
            shard.write(_npy_header(n))
            shard.close()
        if kind is not None:
            shutil.rmtree(self._draft, ignore_errors=True)
            return
        with (self._draft / "pictures.tsv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, delimiter="\t", lineterminator="\n")
            table.writerow(Kept.__dataclass_fields__)
            table.writerows([*astuple(kept)[:-1], f"{kept.hash:016x}"] for kept in self._kept)
        (self._draft / "done.json").write_text(json.dumps(self.counts, indent=1) + "\n")
        try:
            os.replace(self._draft, self._final)
        except OSError:  # another worker was faster with the same task: its result is as good
            shutil.rmtree(self._draft, ignore_errors=True)


@dataclass(frozen=True)
class Piece:
    """Patches `start` to `stop` of a shard's `total`; written: when, in ns."""

    file: Path
    written: int
    total: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, i: int) -> np.ndarray:
        return _mapped(self.file, self.written, self.total)[self.start + i]


class Patches:
    """All patches of one split as one array, uint8 [n,128,128,3], without reading them.

    patches[i] is one patch, patches[i:j] and patches[indices] are arrays; len, shape, dtype as of an array.
    Shards stay on disk, and are mapped when they are needed, OPEN at a time: only what is indexed is read.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = [piece for piece in pieces if len(piece)]
        self._ends = np.cumsum([len(piece) for piece in self._pieces], dtype=np.int64).tolist()

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self), SIDE, SIDE, 3)

    def __getitem__(self, index: Any) -> np.ndarray:
        if isinstance(index, int | np.integer):
            return self._one(int(index))
        if isinstance(index, slice):
            index = range(*index.indices(len(self)))
        indices = [int(i) for i in index]
        return np.stack([self._one(i) for i in indices]) if indices else np.empty((0, *self.shape[1:]), np.uint8)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)

    def _one(self, i: int) -> np.ndarray:
        if not -len(self) <= i < len(self):
            raise IndexError(f"patch {i} of {len(self)}")
        i %= len(self)
        k = bisect.bisect_right(self._ends, i)
        return self._pieces[k][i - (self._ends[k - 1] if k else 0)]


def open_patches(path: str | os.PathLike[str], split: str) -> Patches:
    """The patches of a split (train, validation or test) of a filtered data set, memory-mapped.

    Raises:
        TextureError: no such data set or split, a filter not yet finished, or a damaged shard.
    """
    return Patches([piece for _, piece in _pieces(Path(path), split, by_source=False)])


def open_sources(path: str | os.PathLike[str], split: str) -> dict[str, Patches]:
    """The same, for each source (a synset, or a folder of pictures) that has patches in this split."""
    pieces: dict[str, list[Piece]] = {}
    for source, piece in _pieces(Path(path), split, by_source=True):
        pieces.setdefault(source, []).append(piece)
    return {source: Patches(those) for source, those in pieces.items()}


def _pieces(out: Path, split: str, by_source: bool) -> Iterator[tuple[str, Piece]]:
    """Sources and their patches, piece by piece, without near-duplicates."""
    if split not in SPLITS:
        raise TextureError(f"there is no split {split!r}; choose one of {', '.join(SPLITS)}")
    folders, missing = finished_tasks(out)
    if missing:
        raise TextureError(f"{out} is not finished: {missing} tasks are left; run the same filter command again")
    copies = read_duplicates(out)
    for folder in folders:
        shard = _whole(folder / f"{split}.npy")
        left = copies.get(folder.name, set())
        start = 0
        if by_source or left:
            rows = (row for row in read_pictures(folder) if row.split == split)
            named = ((row.source, row.image in left) for row in rows for _ in range(row.patches))
            for (source, copy), run in itertools.groupby(named):
                end = start + sum(1 for _ in run)
                if not copy:
                    yield source, replace(shard, start=start, stop=end)
                start = end
        if start < len(shard):  # not asked by whom, or a data set that does not say
            yield folder.name.rpartition("-")[0], replace(shard, start=start)


def _whole(file: Path) -> Piece:
    """All patches of a shard, after a look at its header and its length."""
    try:
        with file.open("rb") as shard:
            header, status = shard.read(_HEADER), os.fstat(shard.fileno())
    except OSError as error:
        raise TextureError(f"{file} cannot be read ({error}); delete its folder, run the filter again") from None
    total = (status.st_size - _HEADER) // _PATCH
    if header != _npy_header(total) or status.st_size != _HEADER + total * _PATCH:
        raise TextureError(f"{file} is damaged; delete its folder, run the filter again")
    return Piece(file, status.st_mtime_ns, total, 0, total)


@lru_cache(maxsize=OPEN)
def _mapped(file: Path, written: int, total: int) -> np.ndarray:
    return np.memmap(file, np.uint8, "r", _HEADER, (total, SIDE, SIDE, 3))


def read_pictures(folder: Path) -> list[Kept]:
    """The pictures of a finished task that gave patches; [] for a data set from before there was such a table."""
    file = folder / "pictures.tsv"
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as text:
        rows = csv.reader(text, delimiter="\t")
        next(rows)
        return [Kept(image, of, by, to, int(n), int(code, 16)) for image, of, by, to, n, code in rows]


def write_duplicates(out: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    """Write out/duplicates.tsv: task and name of each picture that is left out, and the picture it is like."""

    def write(draft: Path) -> None:
        with draft.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, delimiter="\t", lineterminator="\n")
            table.writerow(("task", "image", "like"))
            table.writerows(rows)

    write_whole(out / DUPLICATES, write)


def read_duplicates(out: Path) -> dict[str, set[str]]:
    """Task -> names of its pictures that are left out."""
    left: dict[str, set[str]] = {}
    if (out / DUPLICATES).exists():
        with (out / DUPLICATES).open(encoding="utf-8", newline="") as text:
            for row in csv.DictReader(text, delimiter="\t"):
                left.setdefault(row["task"], set()).add(row["image"])
    return left


def finished_tasks(out: Path) -> tuple[list[Path], int]:
    """The folders of finished tasks, in the order of the plan, and how many tasks are left."""
    plan = read_plan(out)
    if plan is None:
        raise TextureError(f"{out} holds no filtered data set; make one: python -m lib filter SOURCE --out {out}")
    folders = [out / task for task in plan["tasks"]]
    done = [folder for folder in folders if (folder / "done.json").exists()]
    return done, len(folders) - len(done)


def read_counts(folder: Path) -> dict[str, Any] | None:
    """A finished task's done.json; None if the task is not finished."""
    file = folder / "done.json"
    return json.loads(file.read_text()) if file.exists() else None


def read_plan(out: Path) -> dict[str, Any] | None:
    """What out/filter.json says; None without one."""
    file = out / "filter.json"
    return json.loads(file.read_text()) if file.exists() else None


def write_plan(out: Path, plan: dict[str, Any]) -> None:
    """Write out/filter.json, whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    draft = out / f".filter.{uuid.uuid4().hex[:8]}"
    draft.write_text(json.dumps(plan, indent=1) + "\n")
    draft.replace(out / "filter.json")


def read_manifest(out: str | os.PathLike[str], tasks: int | None = None) -> Iterator[dict[str, Any]]:
    """The windows of a data set, one dictionary each with the keys of COLUMNS; scores are floats.

    verdict is "kept" or the reason why not ("duplicate": the picture is nearly another).
    The k-th kept row of a split is the split's k-th patch.

    Args:
        tasks: at most so many tasks, evenly spread; all when not given.
    """
    folders, copies = finished_tasks(Path(out))[0], read_duplicates(Path(out))
    for folder in spread(folders, tasks or len(folders)):
        left = copies.get(folder.name, set())
        with gzip.open(folder / "manifest.csv.gz", "rt", newline="") as text:
            for row in csv.DictReader(text):
                if row["verdict"] == "kept" and row["image"] in left:
                    row["verdict"] = "duplicate"
                whole = {key: int(row[key]) for key in ("row", "column", "scale")}
                yield {**row, **whole, **{key: float(row[key]) for key in LIMITS}}


def _npy_header(n: int) -> bytes:
    """The npy format's first 128 bytes (version 1.0), for uint8 [n,128,128,3]."""
    magic = b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little")
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({n}, {SIDE}, {SIDE}, 3), }}".encode()
    return magic + text.ljust(_HEADER - 11) + b"\n"
