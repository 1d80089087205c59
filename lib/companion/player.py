"""The explorer where there is no kernel: a slider over pictures that have been computed, in plain HTML.

All pictures are in the text; nothing is loaded. Where scripts do not run, the middle of the first line is shown, and
under it the line in a row.
"""

import io
import json
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape

from PIL import Image
from torch import Tensor

QUALITY = 90  # of JPEGs: a third of the room that PNG needs, and no difference seen at three times the size
SHOWN = 384  # pixels of the screen for a picture's side; a small one is enlarged, pixel by pixel

PAGE = """
<div class="player" id="{key}">
<p><label>line <select>{options}</select></label></p>
<img class="frame" src="{first}" alt="{alt}" style="width: {width}px; max-width: 100%; image-rendering: pixelated">
<p><label>t <input type="range" min="0" max="{last}" value="{middle}" step="1" style="width: min(24rem, 70%)"></label>
<output>{said}</output></p>
<p class="row" style="display: flex; flex-wrap: wrap; gap: 4px">{row}</p>
<script type="application/json">{data}</script>
<script>
(function () {{
  const player = document.getElementById("{key}");
  const lines = JSON.parse(player.querySelector("script").textContent);
  const [frame, choice, slider, said, row] =
    ["img.frame", "select", "input", "output", "p.row"].map(what => player.querySelector(what));
  const at = (line, i) => "t = " + line.t[i].toFixed(2);
  function show() {{
    const line = lines[choice.selectedIndex], i = Math.min(Number(slider.value), line.frames.length - 1);
    frame.src = line.frames[i];
    frame.alt = line.name + ", " + at(line, i);
    said.textContent = at(line, i);
    slider.setAttribute("aria-valuetext", at(line, i));
  }}
  function choose() {{
    const line = lines[choice.selectedIndex];
    slider.max = line.frames.length - 1;
    row.replaceChildren(...line.frames.map((source, i) => {{
      const image = new Image();
      image.src = source;
      image.alt = at(line, i);
      image.addEventListener("click", () => {{ slider.value = i; show(); }});
      return image;
    }}));
    show();
  }}
  choice.addEventListener("change", choose);
  slider.addEventListener("input", show);
  choose();
}})();
</script>
</div>
"""


def player(lines: Mapping[str, Mapping[float, Tensor]]) -> str:
    """HTML that shows one picture of a line at a time: name -> (t -> image [1,3,H,W])."""
    rows = [
        {"name": name, "t": sorted(images), "frames": [_frame(images[t]) for t in sorted(images)]}
        for name, images in lines.items()
    ]
    text = json.dumps(rows)
    name, images = next(iter(lines.items()))
    frames, said = rows[0]["frames"], [f"t = {t:.2f}" for t in sorted(images)]
    middle = len(frames) // 2
    height, width = images[min(images)].shape[-2:]
    return PAGE.format(
        key="player-" + sha256(text.encode()).hexdigest()[:12],
        options="".join(f"<option>{escape(name)}</option>" for name in lines),
        first=frames[middle],
        alt=escape(f"{name}, {said[middle]}"),
        width=width * max(1, SHOWN // max(height, width)),
        last=len(frames) - 1,
        middle=middle,
        said=said[middle],
        row="".join(f'<img src="{frame}" alt="{t}">' for frame, t in zip(frames, said, strict=True)),
        data=text.replace("</", "<\\/"),
    )


def _frame(image: Tensor) -> str:
    return address(jpeg(image, QUALITY, subsampling=0), "jpeg")


def png(image: Tensor, shown: int = 0) -> bytes:
    """[1,3,H,W] in [0,1] as the bytes of a PNG file, enlarged by a whole factor as long as `shown` pixels hold it."""
    pixels = (image[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    factor = max(1, shown // max(pixels.shape[:2]))
    pixels = pixels.repeat(factor, 0).repeat(factor, 1)
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "png")
        return file.getvalue()


def jpeg(image: Tensor, quality: int, subsampling: int = 2) -> bytes:
    """[1,3,H,W] in [0,1] as the bytes of a JPEG file: noise takes a fifth of the room that PNG needs.

    `subsampling` is Pillow's: 0 keeps colours as sharp as greys.
    """
    pixels = (image[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "jpeg", quality=quality, subsampling=subsampling)
        return file.getvalue()


def address(data: bytes, kind: str = "png") -> str:
    """A picture file as an address that a page can show without loading anything."""
    return f"data:image/{kind};base64,{b64encode(data).decode()}"
