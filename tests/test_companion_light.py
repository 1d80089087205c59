"""Lighter pictures: charts stay sharp, photographs become JPEGs, light pictures are left alone."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.companion.light import HEAVY, lightened

FIGURES = Path(__file__).parent.parent / "figures"


@pytest.mark.parametrize(("figure", "kind"), [("cost", "image/png"), ("figure_1", "image/jpeg")])
def test_charts_keep_their_edges_and_photographs_become_jpegs(figure: str, kind: str) -> None:
    png = (FIGURES / f"{figure}.png").read_bytes()
    assert len(png) > HEAVY
    lighter, data = lightened(png)
    assert lighter == kind
    assert len(data) < len(png) / 2
    before, after = (np.asarray(Image.open(io.BytesIO(d)).convert("RGB"), dtype=float) for d in (png, data))
    assert np.sqrt(((after - before) ** 2).mean()) < (1 if kind == "image/png" else 8)


def test_a_light_picture_is_left_alone() -> None:
    png = (FIGURES / "julesz.png").read_bytes()
    assert len(png) <= HEAVY
    assert lightened(png) == ("image/png", png)
