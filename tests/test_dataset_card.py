"""The card: counts by source and by licence, and where a picture's licence is looked up."""

from pathlib import Path

import numpy as np
import pytest
from dataset_pictures import encode, make_tar, noise

from lib import exemplars
from lib.dataset import shards
from lib.dataset.filter import filter_sources
from lib.dataset.licences import licence_of, source_of
from lib.dataset.sources import Task
from lib.errors import TextureError
from lib.training import batches

TABLE = """path\tauthor\tlicence
photos/fur/0.png\tAnn\tCC0-1.0
photos/fur\tBob "the \tCC-BY-4.0
n1.tar\t\tresearch only
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Fur by two authors, bark by nobody knows whom, and a tar."""
    folder = tmp_path / "library"
    for name, count in (("fur", 6), ("bark", 2)):
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(count):
            (folder / "photos" / name / f"{i}.png").write_bytes(encode(noise(seed=i + 10 * count)))
    make_tar(folder / "n1.tar", {f"n1_{i}.JPEG": encode(noise(seed=i), "JPEG", quality=95) for i in range(3)})
    (folder / "LICENCES.tsv").write_text(TABLE)
    return folder


def test_sources_and_licences_are_counted(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    filter_sources([library / "photos", library / "n1.tar"], out, workers=1)
    card = (out / "DATA.md").read_text()
    for row in ("CC-BY-4.0 | 5 | 5", "research only | 3 | 3", "unknown | 2 | 2", "CC0-1.0 | 1 | 1", "read | 11"):
        assert f"| {row} |" in card
    rows = (out / "sources.tsv").read_text().splitlines()
    assert rows == ["source\tpatches", "photos/fur\t6", "n1\t3", "photos/bark\t2"]


def test_the_nearest_table_and_the_longest_path_decide(library: Path, tmp_path: Path) -> None:
    photos, tar = Task(library / "photos", ("fur/0.png",)), Task(library / "n1.tar")
    assert [licence_of(photos, name) for name in ("fur/0.png", "fur/1.png", "bark/1.png")] == [
        "CC0-1.0",
        "CC-BY-4.0",
        "unknown",
    ]
    assert licence_of(tar, "n1/n1_0.JPEG") == "research only"
    assert licence_of(Task(tmp_path / "elsewhere.tar"), "elsewhere/x.JPEG") == "unknown"
    assert [source_of(photos, "fur/0.png"), source_of(photos, "0.png"), source_of(tar, "n1/x.JPEG")] == [
        "photos/fur",
        "photos",
        "n1",
    ]


def test_a_table_that_is_none_is_named(library: Path) -> None:
    (library / "LICENCES.tsv").write_text("file\tterms\n")
    with pytest.raises(TextureError, match=r"LICENCES\.tsv must have the columns path and licence"):
        licence_of(Task(library / "n1.tar"), "n1/x.JPEG")


def test_training_draws_sources_by_the_root_of_their_size(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    filter_sources([library / "photos", library / "n1.tar"], out, workers=1)
    train, _ = batches.load([out], 64)
    sizes = {name: len(patches) for name, patches in train.items()}
    assert sum(sizes.values()) == len(shards.open_patches(out, "train"))
    assert set(sizes) >= {"out/photos/fur", "out/n1"}
    crops = batches.Crops(train, seed=3)
    roots = np.sqrt([sizes[name] for name in sorted(sizes)])
    np.testing.assert_allclose(crops.weights, roots / roots.sum())
    assert (crops.batch(5, 3, 64) == batches.Crops(train, seed=3).batch(5, 3, 64)).all()


def test_the_exemplars_own_table_is_read() -> None:
    folder = Path(exemplars.__file__).parent
    found = {name: licence_of(Task(folder, (name,)), name) for name in ("pebble.jpg", "rubber.jpg")}
    assert found == {"pebble.jpg": "GPL-2+", "rubber.jpg": "MIT"}
