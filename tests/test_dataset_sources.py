"""Reading: folders and tars give the same pictures; what is wrong with a file is counted, stops nothing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dataset_pictures import BAD, encode, make_tar, random_picture

from lib.dataset.sources import FILES_A_TASK, LONGEST, Task, decode, find_tasks, spread
from lib.errors import TextureError

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("problem", BAD)
def test_each_kind_of_bad_file_is_named(problem: str) -> None:
    picture = decode("name", BAD[problem])
    assert picture.problem == problem
    assert picture.pixels is None


def test_pixels_are_those_of_the_file() -> None:
    picture = decode("name", encode(random_picture()))
    np.testing.assert_array_equal(picture.pixels, random_picture())
    assert (picture.problem, picture.note, picture.scale) == ("", "", 1)


def test_grey_and_16_bit_are_converted_and_noted() -> None:
    grey = random_picture()[..., 0]
    for note, content in (("grey", encode(grey)), ("16-bit", encode(grey.astype(np.uint16) * 257))):
        picture = decode("name", content)
        assert picture.note == note
        np.testing.assert_array_equal(picture.pixels, np.repeat(grey[..., None], 3, axis=2))


def test_transparency_is_laid_over_white() -> None:
    pixels = np.zeros((130, 130, 4), np.uint8)
    pixels[65:, :, 3] = 255
    picture = decode("name", encode(pixels))
    assert picture.pixels is not None
    assert (picture.pixels[:65] == 255).all()
    assert (picture.pixels[65:] == 0).all()


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_large_pictures_are_halved_until_they_fit(form: str) -> None:
    big = np.full((900, 4 * LONGEST, 3), 77, np.uint8)
    picture = decode("name", encode(big, form))
    assert picture.pixels is not None
    assert picture.scale == 4
    assert picture.pixels.shape == (225, LONGEST, 3)
    assert abs(picture.pixels.astype(int) - 77).max() <= 1


def test_a_tar_and_the_folder_it_came_from_give_the_same(tmp_path: Path) -> None:
    members = {f"n01_{i}.JPEG": encode(random_picture(seed=i), "JPEG") for i in range(3)}
    make_tar(tmp_path / "n01.tar", {**members, "n01_list.txt": b"not a picture"})
    (tmp_path / "out" / "n01").mkdir(parents=True)
    for name, content in members.items():
        (tmp_path / "out" / "n01" / name).write_bytes(content)
    (streamed,), (unpacked,) = find_tasks([tmp_path / "n01.tar"]), find_tasks([tmp_path / "out"])
    for one, other in zip(streamed.pictures(), unpacked.pictures(), strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(one.pixels, other.pixels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n01.tar", "out"]


def test_bad_members_stop_nothing(tmp_path: Path) -> None:
    make_tar(
        tmp_path / "n02.tar",
        {f"{i}.JPEG": c for i, c in enumerate([*BAD.values(), encode(random_picture())])},
    )
    pictures = list(Task(tmp_path / "n02.tar").pictures())
    assert [picture.problem for picture in pictures] == [*BAD, ""]


def test_a_tar_cut_short_gives_what_it_has(tmp_path: Path) -> None:
    whole = tmp_path / "whole.tar"
    make_tar(whole, {f"{i}.png": encode(random_picture(seed=i)) for i in range(4)})
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (tmp_path / "junk.tar").write_bytes(b"junk" * 1000)
    cut, junk = list(Task(tmp_path / "cut.tar").pictures()), list(Task(tmp_path / "junk.tar").pictures())
    assert cut[0].pixels is not None
    assert cut[-1].problem.startswith("tar")
    assert [picture.problem for picture in junk] == ["tar damaged"]


def test_tasks_have_names_of_their_content_not_of_their_place(tmp_path: Path) -> None:
    for place in ("a", "b"):
        folder = tmp_path / place / "photos" / "deep"
        folder.mkdir(parents=True)
        for i in range(FILES_A_TASK + 1):
            (folder / f"{i}.JPG").write_bytes(b"")
        (folder / "notes.txt").write_bytes(b"")
    here, there = (find_tasks([tmp_path / place / "photos"]) for place in ("a", "b"))
    assert [len(task.files) for task in here] == [FILES_A_TASK, 1]
    assert [task.name for task in here] == [task.name for task in there]
    with pytest.raises(TextureError, match="two sources"):
        find_tasks([tmp_path / "a" / "photos", tmp_path / "b" / "photos"])


@pytest.mark.parametrize("make", [lambda p: p, lambda p: p.mkdir() or p, lambda p: p.write_text("x") and p])
def test_sources_that_hold_nothing_are_refused(tmp_path: Path, make) -> None:
    with pytest.raises(TextureError, match="source"):
        find_tasks([make(tmp_path / "source")])


def test_strips_and_scans_are_refused_before_they_are_decoded() -> None:
    for size, problem in (((128 * 40, 128), "narrow"), ((1, 1), "tiny"), ((10_000, 10_000), "huge")):
        assert decode("name", encode(np.zeros(size, np.uint8), compress_level=1)).problem == problem


def test_memory_is_bounded_whatever_the_pictures() -> None:
    """The largest that are read, in the kinds that need most: a worker of 2 GiB is never near its limit."""
    script = """
import io, resource
import numpy as np
from PIL import Image
from lib.dataset.filter import select
from lib.dataset.sources import decode, HUGE
side = int(HUGE**0.5)
for form, mode, options in (("JPEG", "RGB", {"progressive": True}), ("PNG", "RGBA", {"compress_level": 1})):
    file = io.BytesIO()
    Image.new(mode, (side, side), 77).save(file, form, **options)
    picture = decode("name", file.getvalue())
    assert picture.pixels is not None, picture
    select(picture.pixels)
many = np.random.default_rng(0).integers(0, 256, (400, 500, 3), dtype=np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for i in range(60):
    select(many[i:, i:])
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(before, after)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = (int(kilobytes) / 2**20 for kilobytes in done.stdout.split())
    assert before < 1.5
    assert after == pytest.approx(before, abs=0.05)


def test_a_glance_is_spread_over_all() -> None:
    assert spread(list(range(10)), 6) == [0, 1, 3, 5, 6, 8]
    assert spread(list(range(199)), 100)[-1] == 197
    assert spread([1, 2], 5) == [1, 2]
