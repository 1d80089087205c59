"""The explorer without a browser: what its controls do to the picture, the words and the files."""

import base64
import io
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import lib
from lib.companion import explorer as module
from lib.companion.explorer import Explorer, Strip
from lib.images import read_image
from lib.samplers.match import Targets, blend, mismatch

SIZE = 32
STRIP = torch.rand(5, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model() -> lib.Model:
    torch.manual_seed(0)
    return lib.Model().eval().requires_grad_(False)


@pytest.fixture
def explorer(model: lib.Model, tmp_path: Path) -> Explorer:
    return Explorer(model, {("pebble", "grass", "mu"): STRIP}, SIZE, tmp_path / "kept")


def test_the_slider_changes_the_picture_at_once(explorer: Explorer) -> None:
    seen = []
    for t in (0.0, 0.25, 0.5, 0.75, 1.0):
        explorer.t.value = t
        seen.append(bytes(explorer.picture.value))
        assert f"Sampled at t = {t:.2f}" in explorer.words.value
    assert len(set(seen)) == 5
    assert all(value.startswith(b"\x89PNG") for value in seen)
    assert explorer.thread is None  # nothing was computed for it
    explorer.t.value = 0.3  # between two pictures: the nearer one, and it says which
    assert explorer.picture.value == seen[1]
    assert "t = 0.25" in explorer.words.value


def test_what_is_unknown_is_said_and_never_blended(explorer: Explorer) -> None:
    explorer.space.value = "lambda"
    explorer.t.value = 0.2
    assert explorer.frame(explorer.strip, 0.2).image.equal(lib.exemplar("pebble")[None, :, :SIZE, :SIZE])
    assert "The exemplar itself, pebble" in explorer.words.value
    explorer.t.value = 0.8
    assert "The exemplar itself, grass" in explorer.words.value
    explorer.space.value, explorer.seed.value = "mu", 3  # the strip was drawn with seed 0
    assert "The exemplar itself, grass" in explorer.words.value
    before = explorer.thumbnails[1].value
    explorer.b.value = "rug"
    assert explorer.thumbnails[1].value != before


@pytest.mark.parametrize("space", ["mu", "lambda"])
def test_a_sample_is_that_of_the_library(explorer: Explorer, model: lib.Model, space: str) -> None:
    explorer.space.value, explorer.t.value, explorer.seed.value, explorer.side.value = space, 0.4, 7, 40
    explorer.sample_here(steps=3)
    assert explorer.start.disabled
    assert explorer.wait(60)
    assert not explorer.start.disabled
    assert explorer.halt.disabled
    frame = explorer.frame(explorer.strip, 0.4)
    xa, xb = (lib.exemplar(name)[:, :SIZE, :SIZE] for name in ("pebble", "grass"))
    *_, expected = lib.between_steps(model, xa, xb, 0.4, space, seed=7, size=40, steps=3)
    assert frame.image.equal(expected.image)
    assert "Sampled at t = 0.40" in explorer.words.value
    assert explorer.bar.value == explorer.bar.max == 3


def test_the_mismatch_shown_is_the_samplers(explorer: Explorer, model: lib.Model) -> None:
    explorer.t.value = 0.4
    explorer.sample_here(steps=2)
    explorer.wait(60)
    left = explorer.settings()["mismatch"]
    xa, xb = (lib.exemplar(name)[None, :, :SIZE, :SIZE] for name in ("pebble", "grass"))
    targets = blend(Targets.of(model, xa), Targets.of(model, xb), 0.4)
    image = explorer.frame(explorer.strip, 0.4).image
    assert left == pytest.approx(mismatch(model, targets, image).item(), rel=1e-4)
    assert f"{left:.3g}" in explorer.words.value


@pytest.mark.parametrize("space", ["mu", "lambda"])
def test_stop_is_heard_between_two_steps(explorer: Explorer, space: str) -> None:
    explorer.space.value, explorer.t.value = space, 0.4
    explorer.sample_here(steps=20)
    explorer.halt.click()
    assert explorer.wait(60)
    assert "stopped at step 1 of 20" in explorer.words.value
    assert not explorer.start.disabled
    explorer.space.value = "mu"
    assert explorer.frame(explorer.strip, 0.4).t == 0.5  # what was broken off is not kept


def test_a_running_sample_leaves_other_pictures_alone(explorer: Explorer) -> None:
    explorer.t.value = 0.4
    explorer.start.click()
    first = explorer.thread
    explorer.sample_here(steps=1)  # a second one has to wait
    assert explorer.thread is first
    explorer.t.value = 1.0
    assert explorer.picture.value == module.png(STRIP[4:], module.SHOWN)
    explorer.stop()
    assert explorer.wait(60)
    assert explorer.picture.value == module.png(STRIP[4:], module.SHOWN)


def test_what_goes_wrong_in_the_thread_is_said(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise lib.TextureError("no paint left")

    monkeypatch.setattr(module, "Line", broken)
    explorer.sample_here()
    assert explorer.wait(60)
    assert "no paint left" in explorer.words.value
    assert not explorer.start.disabled


def test_a_picture_is_saved_with_its_settings(explorer: Explorer, tmp_path: Path) -> None:
    explorer.t.value = 0.75
    explorer.keep.click()
    path = tmp_path / "kept" / "pebble-grass_mu_t0.75_seed0_32.png"
    assert (read_image(path) - STRIP[3]).abs().max() <= 0.5 / 255 + 1e-6
    known = json.loads(path.with_suffix(".json").read_text())
    assert {k: known[k] for k in Strip._fields} == {"a": "pebble", "b": "grass", "space": "mu", "seed": 0, "size": 32}
    assert known["t"] == 0.75
    assert known["sampled"] is True
    assert known["mismatch"] > 0


def test_a_page_without_a_kernel_gets_the_strip(explorer: Explorer) -> None:
    data, metadata = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "pebble to grass" in metadata["image/png"]["alt"]
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.size == (5 * SIZE, SIZE)


def test_the_public_face(model: lib.Model) -> None:
    assert isinstance(lib.explorer(model, size=SIZE), Explorer)
    for a, b, space, images in (
        ("pebble", "grass", "nu", STRIP),
        ("pebble", "moon", "mu", STRIP),
        ("pebble", "grass", "mu", STRIP[0]),
    ):
        with pytest.raises(lib.TextureError, match="is no line of images"):
            lib.explorer(model, {(a, b, space): images}, SIZE)
