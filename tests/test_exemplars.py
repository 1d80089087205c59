"""The nine exemplars: there, licensed, unlike one another, and not among the training pictures."""

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lib.images
from lib.errors import TextureError
from lib.exemplars.hashes import hashes, near, read_index, write_index
from lib.exemplars.render import glitter, rubber
from lib.images import EXEMPLARS, exemplar, read_image, save_image

FOLDER = Path(lib.images.__file__).parent / "exemplars"
FREE = ("CC0-1.0", "public domain", "CC-BY-", "CC-BY-SA-", "GPL-2", "MIT")


def licences():
    with (FOLDER / "LICENCES.tsv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}


def coded_again(x, quality=60):
    """The image through a lossy file, [3, H, W]."""
    buffer = io.BytesIO()
    pixels = (x * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(buffer), dtype=np.float32) / 255).permute(2, 0, 1)


@pytest.mark.parametrize("name", EXEMPLARS)
def test_an_exemplar_is_large_and_in_colour(name):
    x = exemplar(name)
    assert x.dtype == torch.float32
    assert x.shape[0] == 3
    assert min(x.shape[1:]) >= 512
    assert 0 <= x.min() < x.max() <= 1
    assert (x.amax(0) - x.amin(0)).mean() > 0.005, "grey"


@pytest.mark.parametrize("name", EXEMPLARS)
def test_an_exemplar_has_author_licence_and_the_recorded_bytes(name):
    row = licences()[name]
    assert row["licence"].startswith(FREE)
    assert all(row[key] for key in ("title", "author", "origin", "changes"))
    assert hashlib.sha256((FOLDER / row["file"]).read_bytes()).hexdigest() == row["sha256"]


def test_every_picture_has_its_row_and_nothing_else_does():
    assert list(licences()) == list(EXEMPLARS)
    assert {path.stem for path in FOLDER.glob("*.jpg")} == set(EXEMPLARS)


def test_callers_cannot_spoil_an_exemplar_for_one_another():
    exemplar("grass").zero_()
    assert exemplar("grass").max() > 0


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(TextureError, match="pebble"):
        exemplar("gras")


@pytest.mark.parametrize("name", EXEMPLARS)
def test_no_exemplar_is_among_the_training_pictures(name):
    index = read_index()
    assert len(index) > 600
    assert near(exemplar(name), index) == []


def test_the_exemplars_are_unlike_one_another():
    index = {name: hashes(exemplar(name)) for name in EXEMPLARS}
    for name in EXEMPLARS:
        assert [other for other, _ in near(exemplar(name), index)] == [name]


@pytest.mark.parametrize("name", ["pebble", "rug", "flower"])
def test_a_copy_would_be_found(name):
    """Coded again, brighter, smaller, mirrored, turned, or cut to a corner: none of it hides a picture."""
    x = exemplar(name)
    smaller = torch.nn.functional.interpolate(x[None], scale_factor=0.6, mode="area")[0]
    disguises = {
        "coded": coded_again(x),
        "brighter": 0.7 * x + 0.25,
        "smaller": smaller,
        "mirrored": x.flip(2),
        "turned": torch.rot90(x, 1, (1, 2)),
        "a corner": x[:, :256, 256:],
    }
    for how, copy in disguises.items():
        index = {"copy": hashes(copy), "noise": hashes(torch.rand(3, 64, 64))}
        found = near(x, index)
        assert [other for other, _ in found] == ["copy"], how


def test_hashes_do_not_see_contrast_or_brightness():
    x = exemplar("marble")
    assert hashes(x) == hashes(0.5 * x + 0.1)


def test_the_index_is_written_and_read_back(tmp_path):
    pictures = tmp_path / "photos"
    for name in ("grass", "star"):
        save_image(exemplar(name), pictures / "deep" / f"{name}.png")
    (pictures / "notes.txt").write_text("not a picture")
    assert write_index([pictures], tmp_path / "index.tsv") == 2
    index = read_index(tmp_path / "index.tsv")
    assert set(index) == {"photos/deep/grass.png", "photos/deep/star.png"}
    assert index["photos/deep/star.png"] == hashes(read_image(pictures / "deep" / "star.png"))
    assert near(exemplar("star"), index)[0] == ("photos/deep/star.png", 0)


@pytest.mark.parametrize("make", [rubber, glitter])
def test_rendering_depends_on_the_seed_alone(make):
    x = make(64, seed=3)
    assert x.shape == (3, 64, 64)
    assert torch.equal(x, make(64, seed=3))
    assert not torch.equal(x, make(64, seed=4))
    # On a torus the step over the border is like the steps within.
    step = (x - x.roll(1, 2)).abs().mean((0, 1))
    assert step[0] < 2 * step.mean()


@pytest.mark.parametrize("make", [rubber, glitter])
def test_the_shipped_renderings_are_what_the_code_renders(make):
    assert (make(512, seed=0) - exemplar(make.__name__)).abs().mean() < 0.02  # the file is a JPEG
