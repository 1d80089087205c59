"""The filter as a whole: on a small library, interrupted, killed, spread over workers, and as a command."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from dataset_pictures import BAD, encode, make_tar, noise

from lib.dataset import filter as room
from lib.dataset import shards, sources
from lib.dataset.filter import cut, filter_sources, precision_recall, read_labels, select
from lib.errors import TextureError

ROOT = Path(__file__).resolve().parents[1]


def scene(seed: int) -> np.ndarray:
    """Discs of even colour before a gradient."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:256, :256]
    picture = np.stack([x / 3 + 60, y / 3 + 60, (x + y) / 5 + 40], axis=-1) + rng.normal(0, 3, (256, 256, 1))
    for _ in range(4):
        centre, radius = rng.integers(0, 256, 2), rng.integers(25, 70)
        picture[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2] = rng.integers(0, 255, 3)
    return picture.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tars of textures, scenes and bad members, and labels."""
    folder = tmp_path_factory.mktemp("library")
    labels = ["member\tlabel"]
    for t in range(3):
        members = {f"n{t}_texture{i}.JPEG": encode(noise(256, 192, 10 * t + i), "JPEG", quality=95) for i in range(4)}
        members |= {f"n{t}_scene{i}.JPEG": encode(scene(10 * t + i), "JPEG") for i in range(3)}
        labels += [f"{name}\t{'texture' if 'texture' in name else 'scene'}" for name in members]
        bad = {f"n{t}_bad_{problem}.JPEG": content for problem, content in BAD.items() if problem != "huge"}
        make_tar(folder / f"n{t}.tar", members | (bad if t == 1 else {}))
    (folder / "labels.tsv").write_text("\n".join(labels) + "\n")
    return folder


def digest(out: Path) -> dict[str, str]:
    """What the data set holds, file by file; done.json holds seconds, and gzip the time, so rows are read."""
    arrays = {p.relative_to(out).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in out.rglob("*.npy")}
    return arrays | {"manifest": hashlib.sha256(repr(list(shards.read_manifest(out))).encode()).hexdigest()}


def test_textures_are_kept_scenes_are_not_bad_members_are_counted(library: Path, tmp_path: Path) -> None:
    report = filter_sources([library], tmp_path / "out", workers=1)
    assert report.tasks == 3
    assert report.pictures["read"] == 21
    assert report.pictures["with patches"] == 12
    for problem in BAD:
        assert report.pictures[problem] == (problem != "huge")
    counts = precision_recall(tmp_path / "out", read_labels([library]))
    assert counts["texture images"] == counts["texture images kept"] == 12
    assert counts["scene images"] == 9
    assert counts["scene images kept"] == 0
    assert (
        report.splits.total()
        == report.windows["kept"]
        == sum(len(shards.open_patches(tmp_path / "out", split)) for split in shards.SPLITS)
    )


def test_patches_are_cut_where_the_manifest_says(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    filter_sources([library], out, workers=1)
    names = {row["image"] for row in shards.read_manifest(out)}
    pictures = sources.find_pictures(sources.find_tasks([library]), names)
    number = dict.fromkeys(shards.SPLITS, 0)
    for row in shards.read_manifest(out):
        if row["verdict"] != "kept":
            continue
        patch = shards.open_patches(out, row["split"])[number[row["split"]]]
        number[row["split"]] += 1
        picture = pictures[row["image"]]
        np.testing.assert_array_equal(patch, cut(picture, row))
        if row["scale"] == 1:
            there = picture.pixels[row["row"] : row["row"] + 128, row["column"] : row["column"] + 128]
            np.testing.assert_array_equal(patch, there)
    assert sum(number.values()) > 20


def test_no_image_is_in_two_splits(library: Path, tmp_path: Path) -> None:
    filter_sources([library], tmp_path / "out", workers=1)
    splits: dict[str, set[str]] = {}
    for row in shards.read_manifest(tmp_path / "out"):
        splits.setdefault(row["image"], set()).add(row["split"])
    assert len(splits) == 21
    assert all(found == {shards.split_of(image)} for image, found in splits.items())


def test_interrupted_after_one_task_the_next_run_does_only_the_rest(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filter_sources([library], tmp_path / "whole", workers=1)

    def stop(report: room.Report, tasks: int) -> None:
        if report.tasks == 1:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        filter_sources([library], out, workers=1, progress=stop)
    with pytest.raises(TextureError, match="2 tasks are left"):
        shards.open_patches(out, "train")
    done: list[str] = []
    work = room.run_task
    monkeypatch.setattr(room, "run_task", lambda task, **rest: done.append(task.name) or work(task, **rest))
    report = filter_sources([library], out, workers=1)
    assert len(done) == 2
    assert report.tasks == 3
    assert digest(out) == digest(tmp_path / "whole")
    filter_sources([library], out, workers=1)
    assert len(done) == 2


def test_killed_in_the_middle_of_a_task_then_finished(library: Path, tmp_path: Path) -> None:
    """A real process, killed so that it can clean nothing up, while the second tar is being read."""
    filter_sources([library], tmp_path / "whole", workers=1)
    out = tmp_path / "out"
    slow = (
        "import sys, time; from pathlib import Path; from lib.dataset import filter as room\n"
        "read = room._filter_picture\n"
        "def slowly(picture, *rest):\n"
        "    time.sleep(.3 if picture.name.startswith('n1/') else 0); read(picture, *rest)\n"
        "room._filter_picture = slowly\n"
        "room.filter_sources([Path(sys.argv[1])], Path(sys.argv[2]), workers=1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", slow, str(library), str(out)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not list(out.glob(".n1-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(list(out.glob(".n1-*"))) == 1
    assert len(list(out.glob("n*/done.json"))) == 1
    filter_sources([library], out, workers=1)
    assert list(out.glob(".n*")) == []
    assert digest(out) == digest(tmp_path / "whole")


def test_workers_change_nothing(library: Path, tmp_path: Path) -> None:
    filter_sources([library], tmp_path / "one", workers=1)
    filter_sources([library], tmp_path / "two", workers=2)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


def test_a_dask_scheduler_changes_nothing(library: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    filter_sources([library], tmp_path / "one", workers=1)
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        filter_sources([library], tmp_path / "two", scheduler=cluster.scheduler_address)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


def test_another_question_needs_another_folder(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    filter_sources([library], out, workers=1)
    with pytest.raises(TextureError, match="other per_image"):
        filter_sources([library], out, per_image=3, workers=1)
    with pytest.raises(TextureError, match="other sources"):
        filter_sources([library / "n0.tar"], out, workers=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(TextureError, match="not empty"):
        filter_sources([library], tmp_path / "mine", workers=1)
    assert (tmp_path / "mine" / "letter.txt").exists()


def test_a_folder_that_grew_is_filtered_again_without_duplicates(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(2):
        (photos / f"{i}.png").write_bytes(encode(noise(seed=i)))
    assert filter_sources([photos], tmp_path / "out", workers=1).splits.total() == 2
    (photos / "2.png").write_bytes(encode(noise(seed=2)))
    assert filter_sources([photos], tmp_path / "out", workers=1).splits.total() == 3
    assert len(list(shards.read_manifest(tmp_path / "out"))) == 3


def test_at_most_so_many_of_an_image_and_the_most_even_first() -> None:
    picture = noise(640, 640)
    everything, few = select(picture, 10_000), select(picture, 5)
    assert [found.scale for found in everything] == [1, 2, 4]
    kept = [h for f in few for h, v in zip(f.windows.scores["heterogeneity"], f.verdicts, strict=True) if v == "kept"]
    rest = [h for f in few for h, v in zip(f.windows.scores["heterogeneity"], f.verdicts, strict=True) if v == "enough"]
    assert len(kept) == 5
    assert len(kept) + len(rest) == sum(f.verdicts.count("kept") for f in everything)
    assert max(kept) <= min(rest)


def test_the_command(library: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "lib",
        "filter",
        str(library),
        "--out",
        str(tmp_path / "out"),
        "--workers",
        "1",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "precision 12/12 = 1.000, recall 12/12 = 1.000" in done.stdout
    assert "cmyk" in done.stdout
    assert "3/3" in done.stderr
    wrong = subprocess.run([*command[:4], "nowhere"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert wrong.stderr.strip() == "error: nowhere does not exist; give a folder of images, a tar, or a folder of tars"


def test_a_glance_takes_so_many_tasks(library: Path, tmp_path: Path) -> None:
    report = filter_sources([library], tmp_path / "out", at_most=2, workers=1)
    assert report.tasks == 2
    assert {row["image"][:2] for row in shards.read_manifest(tmp_path / "out")} == {"n0", "n1"}
    assert {row["image"][:2] for row in shards.read_manifest(tmp_path / "out", tasks=1)} == {"n0"}


def test_finished_work_goes_for_no_other_pictures_and_no_glance(library: Path, tmp_path: Path) -> None:
    out, places = tmp_path / "out", [tmp_path / year / "img" for year in ("2019", "2021")]
    for k, place in enumerate(places):
        place.mkdir(parents=True)
        for name in ("a.png", "b.png"):
            (place / name).write_bytes(encode(noise(seed=k)))
    filter_sources(places[:1], out, workers=1)
    with pytest.raises(TextureError, match="holds 1 finished tasks that are none of these 1"):
        filter_sources(places[1:], out, workers=1)
    assert len(list(shards.read_manifest(out))) == 2
    assert filter_sources(places, tmp_path / "both", workers=1).tasks == 2  # files of one name are not one picture
    filter_sources([library], tmp_path / "all", workers=1)
    with pytest.raises(TextureError, match="holds 1 finished tasks"):
        filter_sources([library], tmp_path / "all", at_most=2, workers=1)
    assert filter_sources([library], tmp_path / "all", workers=1).tasks == 3
