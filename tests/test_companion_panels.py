"""Rows of images: nothing is resampled, columns stay aligned, words have room."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from lib.companion import figures
from lib.companion.panels import GAP, Row, show_rows
from lib.errors import TextureError


def drawn(rows: list[Row], path: Path) -> np.ndarray:
    figures.use_style()
    figure = show_rows(rows)
    figure.savefig(path)
    plt.close(figure)
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize(("size", "columns", "factor"), [(96, 9, 1), (128, 9, 1), (48, 7, 2)])
def test_every_pixel_is_there(tmp_path: Path, size: int, columns: int, factor: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = (255 * torch.rand(2, columns, 3, size, size, generator=generator)).round() / 255
    rows = [Row(list(images[0]), "(a) first", [f"t = {i}" for i in range(columns)]), Row(list(images[1][:-1]))]
    page = drawn(rows, tmp_path / "page.png")
    side = size * factor
    assert page.shape[1] == columns * (side + GAP) + GAP
    for column in range(columns - 1):
        left = GAP + column * (side + GAP)
        found = page[-GAP - side : -GAP : factor, left : left + side : factor]
        expected = (255 * images[1, column]).round().byte().permute(1, 2, 0).numpy()
        assert np.array_equal(found, expected), column


def test_images_of_different_sizes_are_refused() -> None:
    with pytest.raises(TextureError, match="one size"):
        show_rows([Row([torch.zeros(3, 32, 32), torch.zeros(3, 32, 40)])])
    with pytest.raises(TextureError, match="none"):
        show_rows([Row([])])
