"""Shards: what is written is what is read, without reading it all; the split depends on the image alone."""

import resource
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lib.dataset import shards
from lib.dataset.criterion import LIMITS
from lib.errors import TextureError


def row(image: str, split: str, verdict: str = "kept") -> dict:
    place = {"image": image, "row": 1, "column": 2, "scale": 1, "split": split, "verdict": verdict}
    return {**place, **dict.fromkeys(LIMITS, 0.25)}


def patch(value: int) -> np.ndarray:
    return np.full((128, 128, 3), value, np.uint8)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two tasks: patches 0, 1, 2 and 3, 4 of train, 9 of test, none of validation."""
    shards.write_plan(tmp_path, {"settings": {}, "tasks": ["b", "a"]})
    for task, values in (("b", [0, 1, 2]), ("a", [3, 4])):
        with shards.Writer(tmp_path, task) as writer:
            for value in values:
                writer.window(row(f"{value}.jpg", "train", "flat"), patch(77))
                writer.window(row(f"{value}.jpg", "train"), patch(value))
            if task == "a":
                writer.window(row("9.jpg", "test"), patch(9))
    return tmp_path


def test_patches_are_one_array_over_all_shards(out: Path) -> None:
    patches = shards.open_patches(out, "train")
    assert len(patches) == 5
    assert patches.shape == (5, 128, 128, 3)
    assert patches.dtype == np.uint8
    assert [int(p[0, 0, 0]) for p in patches] == [0, 1, 2, 3, 4]
    assert patches[np.array([4, 0, 3])][:, 5, 6, 2].tolist() == [4, 0, 3]
    assert patches[1:4][:, 0, 0, 0].tolist() == [1, 2, 3]
    assert patches[-1].mean() == 4
    assert np.asarray(patches).shape == patches.shape
    assert patches[[]].shape == shards.open_patches(out, "validation")[:].shape == (0, 128, 128, 3)
    with pytest.raises(IndexError):
        patches[5]


def test_shards_are_ordinary_npy_files_mapped_not_read(out: Path) -> None:
    assert np.load(out / "b" / "train.npy").shape == (3, 128, 128, 3)
    assert np.load(out / "b" / "validation.npy").shape == (0, 128, 128, 3)
    one = shards.open_patches(out, "train")[0]
    assert isinstance(one, np.memmap)
    assert not one.flags.writeable


def test_more_shards_than_files_may_be_open(tmp_path: Path) -> None:
    """ImageNet-21K has twenty thousand tars, a process often a thousand files."""
    many = shards.OPEN + 90
    tasks = [f"t{i}" for i in range(many)]
    shards.write_plan(tmp_path, {"settings": {}, "tasks": tasks})
    for i, task in enumerate(tasks):
        with shards.Writer(tmp_path, task) as writer:
            writer.window(row(f"{i}.jpg", "train"), patch(i % 256))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (shards.OPEN + 60, hard))
    try:
        patches = shards.open_patches(tmp_path, "train")
        assert [int(p[3, 3, 1]) for p in patches] == [i % 256 for i in range(many)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_kth_kept_row_is_the_kth_patch(out: Path) -> None:
    rows = list(shards.read_manifest(out))
    assert len(rows) == 11
    kept = [r["image"] for r in rows if r["verdict"] == "kept" and r["split"] == "train"]
    patches = shards.open_patches(out, "train")
    assert kept == [f"{p[0, 0, 0]}.jpg" for p in patches]
    assert rows[0]["row"] == 1
    assert rows[0]["colour"] == 0.25


def test_a_task_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    def fail() -> None:
        with shards.Writer(tmp_path, "task") as writer:
            writer.window(row("x", "train"), patch(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_the_slower_of_two_workers_with_one_task_gives_way(tmp_path: Path) -> None:
    with shards.Writer(tmp_path, "task") as slow:
        slow.window(row("x", "train"), patch(1))
        with shards.Writer(tmp_path, "task") as fast:
            fast.window(row("x", "train"), patch(1))
    assert [path.name for path in tmp_path.iterdir()] == ["task"]


def test_the_split_is_by_image_stable_and_of_the_asked_for_shares() -> None:
    names = [f"n{i // 100}/n{i // 100}_{i}.JPEG" for i in range(20000)]
    counts = Counter(shards.split_of(name) for name in names)
    for split, share in shards.SPLITS.items():
        assert counts[split] / len(names) == pytest.approx(share, abs=0.006)
    assert sum(shards.SPLITS.values()) == pytest.approx(1)
    # Values that must never change: else a patch trained on yesterday is a test patch tomorrow.
    assert [shards.split_of(f"{i}.jpg") for i in (0, 62, 13)] == list(shards.SPLITS)


def test_what_cannot_be_opened_is_said(out: Path) -> None:
    with pytest.raises(TextureError, match="choose one of train"):
        shards.open_patches(out, "training")
    with pytest.raises(TextureError, match="python -m lib filter"):
        shards.open_patches(out / "nowhere", "train")
    file = out / "a" / "train.npy"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(TextureError, match="damaged"):
        shards.open_patches(out, "train")
    (out / "a" / "done.json").unlink()
    with pytest.raises(TextureError, match="1 tasks are left"):
        shards.open_patches(out, "train")
