"""The explorer without a browser: what its controls do to the picture, the words and the files."""

import base64
import hashlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lib
from lib.companion import explorer as module
from lib.companion.explorer import Explorer, Strip
from lib.companion.html import outside_resources
from lib.images import read_image
from lib.interpolate import carried
from lib.samplers.match import Targets, blend, mismatch

pytestmark = pytest.mark.usefixtures("small_tori")
SIZE = 32
STRIP = torch.rand(5, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


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


@pytest.mark.parametrize("space", ["transport", "mu", "lambda"])
def test_a_sample_is_that_of_the_library(explorer: Explorer, model: lib.Model, space: str) -> None:
    explorer.space.value, explorer.t.value, explorer.seed.value, explorer.side.value = space, 0.4, 7, 40
    explorer.sample_here(steps=3)
    assert explorer.start.disabled
    assert explorer.wait(60)
    assert not explorer.start.disabled
    assert explorer.halt.disabled
    frame = explorer.frame(explorer.strip, 0.4)
    xa, xb = (lib.exemplar(name)[:, :SIZE, :SIZE] for name in ("pebble", "grass"))
    *_, expected = lib.between_steps(model, xa, xb, 0.4, space, seed=7, size=40, iterations=3)
    assert frame.image.equal(expected.image)
    assert "Sampled at t = 0.40" in explorer.words.value
    assert explorer.bar.value == explorer.bar.max == 3


@pytest.mark.parametrize("space", ["transport", "mu"])
def test_the_mismatch_shown_is_the_samplers(explorer: Explorer, model: lib.Model, space: str) -> None:
    explorer.space.value, explorer.t.value = space, 0.4
    explorer.sample_here(steps=2)
    explorer.wait(60)
    left = explorer.settings()["mismatch"]
    xa, xb = (lib.exemplar(name)[None, :, :SIZE, :SIZE] for name in ("pebble", "grass"))
    a, b = Targets.of(model, xa), Targets.of(model, xb)
    targets = carried(model, a, b, 0.4) if space == "transport" else blend(a, b, 0.4)
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


def test_what_cannot_be_saved_is_said(explorer: Explorer, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file where the folder should be")
    explorer.keep.click()
    assert "this cannot be saved" in explorer.words.value


def test_a_page_without_a_kernel_gets_a_player(explorer: Explorer) -> None:
    data, _ = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    html = data["text/html"]
    row = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)" alt="(t = [^"]+)">', html)
    assert [t for _, t in row] == ["t = 0.00", "t = 0.25", "t = 0.50", "t = 0.75", "t = 1.00"]
    known = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[0])
    assert [line["name"] for line in known] == ["pebble to grass, μ, straight"]
    assert known[0]["t"] == [0, 0.25, 0.5, 0.75, 1]
    for k, (text, _) in enumerate(row):
        assert known[0]["frames"][k].endswith(text)
        picture = torch.from_numpy(np.array(Image.open(io.BytesIO(base64.b64decode(text)))))
        off = (picture.permute(2, 0, 1) / 255 - STRIP[k]).square().mean().sqrt()
        assert off < 0.05  # JPEGs of noise; two of them are 0.4 apart
    assert outside_resources(html) == []


def picture(image: torch.Tensor, kind: str = "png") -> bytes:
    with io.BytesIO() as file:
        Image.fromarray((255 * image).round().byte().permute(1, 2, 0).numpy()).save(file, kind)
        return file.getvalue()


def test_images_of_ones_own(explorer: Explorer, model: lib.Model, tmp_path: Path) -> None:
    mine = torch.rand(3, 50, 70, generator=torch.Generator().manual_seed(1))
    files = [{"name": "wall.png", "content": picture(mine)}, {"name": "grass.jpg", "content": picture(mine, "jpeg")}]
    explorer.take(files)
    assert (explorer.a.value, explorer.b.value) == ("wall", "grass 2")  # no exemplar is hidden by a name
    shown = explorer.frame(explorer.strip, 0.0).image
    assert (shown - mine[None, :, 9:41, 19:51]).abs().max() < 1 / 255  # its middle
    explorer.sample_here(steps=1)
    assert explorer.wait(60)
    settings = json.loads(explorer.save().with_suffix(".json").read_text())
    kept = tmp_path / "kept" / "own" / "wall.png"
    assert settings["own"]["wall"] == {"file": str(kept), "sha256": hashlib.sha256(picture(mine)).hexdigest()}
    explorer.take([{"name": "wall.png", "content": picture(1 - mine)}])
    assert (explorer.a.value, explorer.b.value) == ("wall 2", "grass 2")
    assert kept.read_bytes() == picture(mine)


def test_images_of_ones_own_outlive_the_session(explorer: Explorer, model: lib.Model) -> None:
    """Saved settings name them: a later session neither writes over them nor takes them away."""
    first, other = (picture(torch.rand(3, 50, 70, generator=torch.Generator().manual_seed(k))) for k in range(2))
    explorer.take([{"name": "wall.png", "content": first}])
    kept = explorer.own["wall"][0]
    for content, name in ((first, "wall"), (other, "wall 2")):
        later = Explorer(model, size=SIZE, folder=explorer.folder)
        later.take([{"name": "wall.png", "content": content}])
        assert list(later.own) == [name]
    Explorer(model, size=SIZE, folder=explorer.folder).take([{"name": "wall.png", "content": b"nothing"}])
    assert kept.read_bytes() == first
    assert sorted(path.name for path in kept.parent.iterdir()) == ["wall 2.png", "wall.png"]



def test_a_large_image_of_ones_own_is_reduced(explorer: Explorer) -> None:
    """Its grain is then that of the exemplars; a ramp of 1024 pixels becomes one of 512."""
    ramp = torch.linspace(0, 1, 2048).expand(3, 1024, 2048)
    explorer.take([{"name": "ramp.png", "content": picture(ramp)}])
    shown = explorer.frame(explorer.strip, 0.0).image
    assert shown.shape == (1, 3, SIZE, SIZE)
    assert shown[..., -1].mean() - shown[..., 0].mean() == pytest.approx((SIZE - 1) / 1024, abs=2 / 255)


@pytest.mark.parametrize(
    ("content", "said"), [(b"nothing", "not an image"), (picture(torch.zeros(3, 8, 40)), "at least 32")]
)
def test_an_image_that_is_none_is_said_and_left_out(explorer: Explorer, content: bytes, said: str) -> None:
    before = explorer.strip
    explorer.take([{"name": "../bad.png", "content": content}])
    assert said in explorer.words.value
    assert "bad.png" in explorer.words.value
    assert explorer.strip == before
    assert not explorer.own
    assert not list(explorer.folder.rglob("*.png"))


def test_the_public_face(model: lib.Model) -> None:
    assert isinstance(lib.explorer(model, size=SIZE), Explorer)
    for a, b, space, images in (
        ("pebble", "grass", "nu", STRIP),
        ("pebble", "moon", "mu", STRIP),
        ("pebble", "grass", "mu", STRIP[0]),
    ):
        with pytest.raises(lib.TextureError, match="is no line of images"):
            lib.explorer(model, {(a, b, space): images}, SIZE)
