"""A film of the forward and the backward process (`lib.evaluation.process`): a page that needs nothing else, or an MP4.

    states = list(processes(model, x0, steps=20))
    HTML(film(states))                                  play, or move the slider from noise to image
    mp4(states, "film.mp4")                             where ffmpeg is installed

At each noise level stand side by side the exemplar under noise, the sampler's state and its estimate; under them some
statistics f of the first two, each on its way from noise to image, and the mismatch that the estimate has left.
"""

import json
import math
import shutil
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.companion.figures import COLOURS
from lib.companion.player import address, jpeg
from lib.errors import TextureError
from lib.evaluation.process import State, course

CONTRAST = 0.25  # noise is shown with at most this standard deviation
DOTS = 24  # statistics that are shown
NOISY = 0.05  # from this noise on, JPEGs need not be good
QUALITY, ESTIMATES = 35, 75  # of JPEGs: noise, and pictures
SHOWN = 192  # pixels of the screen for a picture's side
WIDTH, HEIGHT, LOW, HIGH = 600, 130, -0.5, 1.5  # of the drawing, and of the statistics that fit into it
HALF = WIDTH // 2 - 40  # what the statistics take of the width, beside their words

PAGE = """
<div class="film" id="{key}">
<p style="display: flex; flex-wrap: wrap; gap: 12px">{pictures}</p>
<p><button type="button">play</button>
<label>noise to image <input type="range" min="0" max="{last}" value="{last}" step="1" style="width: min(20rem, 50%)">
</label> <output>{said}</output></p>
<svg viewBox="0 0 {width} {height}" style="width: min({width}px, 100%)" role="img" aria-label="{label}">
<line x1="0" x2="{half}" y1="{image}" y2="{image}" stroke="#bbb"></line><text x="{half}" y="{image}" dx="4">image</text>
<line x1="0" x2="{half}" y1="{noise}" y2="{noise}" stroke="#bbb"></line><text x="{half}" y="{noise}" dx="4">noise</text>
{dots}
<polyline points="{curve}" fill="none" stroke="{colour}" stroke-width="2"></polyline>
<line class="now" x1="{now}" x2="{now}" y1="0" y2="{height}" stroke="#888" stroke-dasharray="3"></line>
<text y="12">statistics: forward <tspan fill="{blue}">●</tspan> backward <tspan fill="{orange}">●</tspan></text>
<text x="{width}" y="12" text-anchor="end">mismatch left (log)</text>
</svg>
<script type="application/json">{data}</script>
<script>
(function () {{
  const film = document.getElementById("{key}");
  const all = JSON.parse(film.querySelector("script").textContent);
  const [button, slider, said, now] = ["button", "input", "output", ".now"].map(what => film.querySelector(what));
  const images = film.querySelectorAll("img"), dots = film.querySelectorAll("circle");
  let timer = null;
  function show() {{
    const at = all[Number(slider.value)];
    images.forEach((image, i) => {{ image.src = at.pictures[i]; }});
    dots.forEach((dot, i) => {{ dot.setAttribute("cy", at.dots[i]); }});
    now.setAttribute("x1", at.now);
    now.setAttribute("x2", at.now);
    said.textContent = at.said;
    slider.setAttribute("aria-valuetext", at.said);
  }}
  function pause() {{
    clearInterval(timer);
    timer = null;
    button.textContent = "play";
  }}
  button.addEventListener("click", () => {{
    if (timer !== null) return pause();
    if (slider.value === slider.max) slider.value = 0;
    button.textContent = "pause";
    timer = setInterval(() => {{
      slider.value = Number(slider.value) + 1;
      show();
      if (slider.value === slider.max) pause();
    }}, 350);
  }});
  slider.addEventListener("input", () => {{ pause(); show(); }});
  show();
}})();
</script>
</div>
"""
TITLES = ("exemplar under noise", "sampler's state", "its estimate")


def film(states: Sequence[State]) -> str:
    """HTML that plays the states from noise to image. Raises TextureError for fewer than two."""
    if len(states) < 2:
        raise TextureError(f"a film of {len(states)} states; give those of lib.evaluation.process.processes")
    ways = [_dots(states, [getattr(s, name) for s in states]) for name in ("f_forward", "f_backward")]
    places = [_place(k, states) for k in range(len(states))]
    frames: list[dict[str, Any]] = [
        {
            "pictures": [address(data, "jpeg") for data in _pictures(state)],
            "dots": [*ways[0][k], *ways[1][k]],
            "now": places[k][0],
            "said": f"σ = {state.sigma:.3g}, mismatch left {state.left:.3g}",
        }
        for k, state in enumerate(states)
    ]
    text, end = json.dumps(frames, separators=(",", ":")), frames[-1]
    xs = [round((k + 0.5) * HALF / len(ways[0][0])) for k in range(len(ways[0][0]))]
    dots = [
        f'<circle cx="{x + shift}" cy="{y}" r="3" fill="{colour}"></circle>'
        for way, colour, shift in zip(ways, COLOURS, (-2, 2), strict=False)
        for x, y in zip(xs, way[-1], strict=True)
    ]
    style = f"width: {SHOWN}px; image-rendering: pixelated"
    pictures = [
        f'<span><img src="{source}" alt="{title}" style="{style}"><br>{title}</span>'
        for source, title in zip(end["pictures"], TITLES, strict=True)
    ]
    return PAGE.format(
        key="film-" + sha256(text.encode()).hexdigest()[:12],
        pictures="".join(pictures),
        last=len(states) - 1,
        said=end["said"],
        width=WIDTH,
        height=HEIGHT,
        half=HALF,
        image=_height(1.0),
        noise=_height(0.0),
        label="statistics of both processes on their way from noise to image, and the mismatch left",
        dots="".join(dots),
        curve=" ".join(f"{x},{y}" for x, y in places),
        colour=COLOURS[2],
        blue=COLOURS[0],
        orange=COLOURS[1],
        now=end["now"],
        data=text.replace("</", "<\\/"),
    )


def mp4(states: Sequence[State], path: Path, rate: int = 6) -> Path:
    """The three pictures as a film of `rate` levels a second, H.264, written by ffmpeg; returns its path.

    Raises TextureError where ffmpeg is missing or fails.
    """
    if shutil.which("ffmpeg") is None:
        raise TextureError("ffmpeg is not installed; install it, or show lib.companion.film.film in a page")
    strips = [torch.cat(shown(state), -1) for state in states]
    strips += strips[-1:] * (2 * rate)  # time to look at what came out
    factor = max(1, SHOWN // strips[0].shape[-2])
    frames = F.interpolate(torch.cat(strips), scale_factor=float(2 * factor))  # H.264 wants even sides
    height, width = frames.shape[-2:]
    raw = (255 * frames).round().byte().permute(0, 2, 3, 1).contiguous().numpy().tobytes()
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(rate), "-i", "-"]
    command = ["ffmpeg", "-y", "-loglevel", "error", *source, "-pix_fmt", "yuv420p", "-crf", "20", str(path)]
    done = subprocess.run(command, input=raw, capture_output=True, check=False)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().split("\n")[-1]
        raise TextureError(f"ffmpeg did not write {path}: {reason}")
    return Path(path)


def shown(state: State) -> list[Tensor]:
    """The three pictures [1,3,H,W] in [0,1]; those with noise at less contrast, so that little of it is clipped."""
    scale = (1 + (state.sigma / CONTRAST) ** 2) ** -0.5
    noisy = [(0.5 + scale * (y - 0.5)).clamp(0, 1) for y in (state.forward, state.backward)]
    return [*noisy, state.estimate]


def _pictures(state: State) -> list[bytes]:
    noisy = QUALITY if state.sigma > NOISY else ESTIMATES
    return [jpeg(x, quality) for x, quality in zip(shown(state), (noisy, noisy, ESTIMATES), strict=True)]


def _dots(states: Sequence[State], f: Sequence[Tensor]) -> list[list[float]]:
    """How high each statistic stands at each level; evenly chosen among those that move, finest scale first."""
    way = course(list(f), states[0].f_forward, states[-1].f_forward)
    chosen = torch.linspace(0, way.shape[1] - 1, min(DOTS, way.shape[1])).round().long()
    return [[_height(v) for v in row] for row in way[:, chosen].tolist()]


def _height(value: float) -> float:
    """Pixels from the top for a statistic on its way from noise, 0, to image, 1; those far off stay at the edge."""
    return round(4 + (HEIGHT - 8) * (HIGH - min(max(value, LOW), HIGH)) / (HIGH - LOW), 1)


def _place(k: int, states: Sequence[State]) -> tuple[float, float]:
    """Where the mismatch at level k stands, in the drawing's right half."""
    logs = [math.log(max(state.left, 1e-6)) for state in states]
    low, high = min(logs), max(logs)
    y = 16 + (HEIGHT - 24) * (high - logs[k]) / max(high - low, 1e-6)
    return round(WIDTH / 2 + 20 + (WIDTH / 2 - 40) * k / (len(states) - 1), 1), round(y, 1)
