"""A slider over images that are already made: instant, for the interpolation notebook."""

import io

import ipywidgets
from PIL import Image
from torch import Tensor


def png(image: Tensor, scale: int = 3) -> bytes:
    """An image [3,H,W] in [0,1] as a PNG, each pixel on scale x scale."""
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
    pixels = pixels.repeat_interleave(scale, 0).repeat_interleave(scale, 1)
    buffer = io.BytesIO()
    Image.fromarray(pixels.contiguous().numpy()).save(buffer, "PNG")
    return buffer.getvalue()


def player(lines: dict[str, Tensor]) -> ipywidgets.VBox:
    """Choose a line [n,3,H,W] by name, and move along it."""
    choice = ipywidgets.Dropdown(options=list(lines), description="line")
    place = ipywidgets.IntSlider(min=0, max=len(lines[choice.value]) - 1, description="step")
    picture = ipywidgets.Image(format="png")

    def show(_: object = None) -> None:
        line = lines[choice.value]
        place.max = len(line) - 1
        picture.value = png(line[place.value])

    choice.observe(show, "value")
    place.observe(show, "value")
    show()
    return ipywidgets.VBox([choice, place, picture])
