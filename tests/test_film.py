"""The film as a page, without a browser, and as an MP4, by an ffmpeg that only listens."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lib
from lib.companion.film import CONTRAST, film, mp4, shown
from lib.companion.html import outside_resources
from lib.evaluation.process import State
from lib.samplers.step import white_noise

SIDE = 96
X = lib.exemplar("pebble")[None, :, :SIDE, :SIDE]
SIGMAS = (2.0, 0.5, 0.1, 0.0)


def states(count: int = len(SIGMAS)) -> list[State]:
    """As if the statistics went straight from noise to image, the backward ones with a detour."""
    found = []
    for k in range(count):
        t, sigma = k / (count - 1), SIGMAS[k * len(SIGMAS) // count]
        noisy = X + sigma * white_noise(1, SIDE, SIDE, k)
        f = torch.linspace(1, 2, 40) * t
        found.append(State(sigma, noisy, noisy.flip(-1), X, f, f + 0.2 * t * (1 - t), 10 * (1 - t) + 1))
    return found


def test_a_page_holds_all_frames_and_loads_nothing() -> None:
    html = film(states())
    known = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[0])
    assert len(known) == len(SIGMAS)
    for at, state in zip(known, states(), strict=True):
        assert f"σ = {state.sigma:.3g}" in at["said"]
        for source, wanted in zip(at["pictures"], shown(state), strict=True):
            data = base64.b64decode(source.removeprefix("data:image/jpeg;base64,"))
            found = torch.from_numpy(np.array(Image.open(io.BytesIO(data)))).permute(2, 0, 1) / 255
            assert (found - wanted[0]).abs().mean() < (0.2 if state.sigma else 0.05)  # JPEG spares noise its colours
    assert len(known[0]["dots"]) == html.count("<circle")
    half = len(known[0]["dots"]) // 2
    assert len(set(known[0]["dots"])) == 1  # all at the noise
    assert max(known[-1]["dots"]) < min(known[0]["dots"])  # higher up: at the image
    assert known[1]["dots"][half] < known[1]["dots"][0]  # the detour
    assert outside_resources(html) == []
    assert html.count('alt="') == 3


def test_a_film_of_twenty_levels_is_small() -> None:
    assert len(film(states(21)).encode()) < 400_000


def test_noise_is_shown_at_less_contrast() -> None:
    noisy, _, clean = shown(states()[0])
    assert (noisy - 0.5).std().item() == pytest.approx(CONTRAST, rel=0.1)
    assert torch.equal(clean, X)
    assert torch.allclose(shown(states()[-1])[0], X, atol=1e-6)


def test_a_film_needs_two_states() -> None:
    with pytest.raises(lib.TextureError, match="a film of 1 states"):
        film(states()[:1])


def test_an_mp4_is_written_by_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All frames reach it, at the size that it is told; what it says when it fails is passed on."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    tool = tmp_path / "ffmpeg"
    tool.write_text('#!/bin/sh\necho "$@" > "$(dirname "$0")/said"\ncat > "$(dirname "$0")/frames"\n')
    tool.chmod(0o755)
    assert mp4(states(), tmp_path / "film.mp4", rate=2) == tmp_path / "film.mp4"
    said = (tmp_path / "said").read_text()
    width, height = map(int, re.findall(r"-s (\d+)x(\d+)", said)[0])
    assert (width, height) == (3 * 4 * SIDE, 4 * SIDE)
    assert (tmp_path / "frames").stat().st_size == 3 * width * height * (len(SIGMAS) + 4)
    tool.write_text('#!/bin/sh\ncat > /dev/null\necho "first" >&2\necho "no room left" >&2\nexit 1\n')
    with pytest.raises(lib.TextureError, match=r"did not write .*film\.mp4: no room left"):
        mp4(states(), tmp_path / "film.mp4")
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(lib.TextureError, match="ffmpeg is not installed"):
        mp4(states(), tmp_path / "film.mp4")
