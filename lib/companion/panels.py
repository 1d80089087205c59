"""Rows of images under headings: strips of an interpolation, and the panels of the paper's figure."""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from lib.companion.figures import COLUMN, DPI
from lib.errors import TextureError

GAP = 6  # pixels between images
LINE = 20  # pixels for a line of small print in a figure as wide as the column


class Row(NamedTuple):
    """Images [3,H,W] side by side; a heading above them at the left, and a title above each."""

    images: Sequence[Tensor]
    heading: str = ""
    titles: Sequence[str] = ()


def show_rows(rows: Sequence[Row]) -> Figure:
    """Rows of images, each pixel of an image on one pixel of the figure, columns aligned.

    A figure wider than the column will be shown smaller: its words are larger, to be legible then. One much narrower
    is enlarged by a whole factor.

    Raises TextureError for no images, or images of different sizes.
    """
    sizes = {tuple(image.shape) for row in rows for image in row.images}
    if len(sizes) != 1:
        raise TextureError(f"rows need images of one size, not {sorted(sizes) or 'none'}; crop them")
    _, height, width = sizes.pop()
    columns = max(len(row.images) for row in rows)
    factor = max(1, round(COLUMN * DPI / (columns * (width + GAP))))
    height, width = height * factor, width * factor
    total_width = columns * (width + GAP) + GAP
    letters = max(1.0, total_width / (COLUMN * DPI))
    line = round(LINE * letters)
    above = [bool(row.heading) * round(1.5 * line) + bool(row.titles) * line for row in rows]
    total_height = sum(above) + len(rows) * (height + GAP) + GAP

    figure = plt.figure(figsize=(total_width / DPI, total_height / DPI), dpi=DPI, layout="none")
    bottom = total_height - GAP
    for row, words in zip(rows, above, strict=True):
        if row.heading:
            at = GAP / total_width, (bottom - line) / total_height
            figure.text(*at, row.heading, fontsize=9 * letters, weight="bold", va="baseline")
        bottom -= words + height
        for column, image in enumerate(row.images):
            left = GAP + column * (width + GAP)
            box = left / total_width, bottom / total_height, width / total_width, height / total_height
            axes = figure.add_axes(box)
            axes.imshow(image.detach().clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="nearest", aspect="auto")
            axes.set_axis_off()
            if column < len(row.titles):
                axes.set_title(row.titles[column], fontsize=7.5 * letters, pad=2 * letters)
        bottom -= GAP
    return figure
