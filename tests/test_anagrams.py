"""The anagram panel without a browser: what its controls do to the pictures, the words and the files."""

import base64
import json
import re
from pathlib import Path

import pytest
import torch

import lib
from lib.companion import anagrams as module
from lib.companion.anagrams import SHOWN, TURNED, Anagrams, Asked
from lib.companion.html import outside_resources
from lib.companion.player import png
from lib.images import read_image
from lib.samplers.match import Targets, mismatch

SIZE = 32
PICTURE = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def panel(model: lib.Model, tmp_path: Path) -> Anagrams:
    return Anagrams(model, {("pebble", "grass", "turned"): PICTURE}, SIZE, tmp_path / "kept")


def test_a_known_picture_is_shown_in_both_views(panel: Anagrams) -> None:
    assert panel.upright.value == png(PICTURE, SHOWN)
    assert panel.seen.value == png(PICTURE.rot90(1, (-2, -1)), SHOWN)
    assert "Mismatch left" in panel.words.value
    panel.view.value = "negative"
    assert "Not drawn yet: pebble as it stands, grass when negative" in panel.words.value
    assert panel.upright.value == png(torch.full((1, 3, SIZE, SIZE), 0.5), SHOWN)
    assert panel.thread is None


def test_a_drawing_is_that_of_the_library(panel: Anagrams, model: lib.Model) -> None:
    panel.b.value, panel.view.value, panel.seed.value = "cloth", "upside down", 7
    panel.draw(steps=3)
    assert panel.start.disabled
    assert panel.wait(60)
    assert not panel.start.disabled
    assert panel.halt.disabled
    textures = lib.same_colours([lib.exemplar(name)[:, :SIZE, :SIZE] for name in ("pebble", "cloth")])
    expected = lib.compose(model, textures, ["upright", "upside down"], seed=7, steps=3)
    assert panel.pictures[Asked("pebble", "cloth", "upside down", 7)].equal(expected)
    seen = (expected, lib.VIEWS["upside down"](expected))
    left = [mismatch(model, Targets.of(model, x[None]), y).item() for x, y in zip(textures, seen, strict=True)]
    assert panel.remaining(panel.asked) == pytest.approx(left, rel=1e-3)
    assert panel.bar.value == panel.bar.max == 3


def test_stop_is_heard_between_two_steps(panel: Anagrams) -> None:
    panel.seed.value = 1
    panel.draw(steps=20)
    panel.halt.click()
    assert panel.wait(60)
    assert re.search(r"stopped at step \d of 20", panel.words.value)
    assert not panel.start.disabled
    assert panel.asked not in panel.pictures  # what was broken off is not kept


def test_a_running_drawing_leaves_other_pictures_alone(panel: Anagrams) -> None:
    panel.seed.value = 1
    panel.start.click()
    first = panel.thread
    panel.draw(steps=1)  # a second one has to wait
    assert panel.thread is first
    panel.seed.value = 0
    assert panel.upright.value == png(PICTURE, SHOWN)
    panel.stop()
    assert panel.wait(60)
    assert panel.upright.value == png(PICTURE, SHOWN)


def test_what_goes_wrong_in_the_thread_is_said(panel: Anagrams, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise lib.TextureError("no paint left")

    monkeypatch.setattr(module, "compose_steps", broken)
    panel.draw()
    assert panel.wait(60)
    assert "no paint left" in panel.words.value
    assert not panel.start.disabled


def test_a_picture_is_saved_with_its_settings(panel: Anagrams, tmp_path: Path) -> None:
    panel.keep.click()
    path = tmp_path / "kept" / "pebble-grass_turned_seed0_32.png"
    assert (read_image(path) - PICTURE[0]).abs().max() <= 0.5 / 255 + 1e-6
    known = json.loads(path.with_suffix(".json").read_text())
    assert {k: known[k] for k in Asked._fields} == {"a": "pebble", "b": "grass", "view": "turned", "seed": 0}
    assert len(known["mismatch"]) == 2
    panel.seed.value = 5
    assert panel.save() is None
    assert "nothing is drawn yet" in panel.words.value


def test_what_cannot_be_saved_is_said(panel: Anagrams, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file where the folder should be")
    panel.keep.click()
    assert "this cannot be saved" in panel.words.value


def test_a_page_without_a_kernel_gets_the_pictures(panel: Anagrams) -> None:
    data, _ = panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    html = data["text/html"]
    found = [base64.b64decode(text) for text in re.findall(r'src="data:image/png;base64,([^"]+)"', html)]
    assert found == [bytes(panel.upright.value), bytes(panel.seen.value)]
    assert "pebble as it stands, grass when turned, seed 0" in html
    assert outside_resources(html) == []


def test_the_public_face(model: lib.Model) -> None:
    assert isinstance(lib.anagrams(model, size=SIZE), Anagrams)
    assert set(TURNED) == set(lib.VIEWS) - {"upright"}
    for a, b, view, picture in (
        ("pebble", "moon", "turned", PICTURE),
        ("pebble", "grass", "upright", PICTURE),
        ("pebble", "grass", "turned", PICTURE[0]),
    ):
        with pytest.raises(lib.TextureError, match="is no anagram; a key is two exemplars and a view: turned"):
            lib.anagrams(model, {(a, b, view): picture}, SIZE)
