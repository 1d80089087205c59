"""Pages read offline; equations are drawn; figures keep their pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from lib.companion import figures, html
from lib.companion.mathml import mathml
from lib.errors import TextureError


@pytest.mark.parametrize(
    ("tex", "parts"),
    [
        (r"\lambda^\top f(x)", ["<msup><mi>λ</mi><mo>⊤</mo></msup>"]),
        (r"\mathbb R^d", ["<mi>ℝ</mi>"]),
        (r"\arg\min_x", ["<mo>arg</mo>", "<munder><mo>min</mo><mi>x</mi></munder>"]),
        (r"\begin{aligned}a&=b\\&=c\end{aligned}", ["<mtable", "<mtr>"]),
        (r"\log p", ['<mi>log</mi><mspace width="0.167em" />']),
        (r"a < b \tag{3}", ["<mo>&lt;</mo>", '<span class="number">(3)</span>']),
    ],
)
def test_equations_are_drawn(tex: str, parts: list[str]) -> None:
    drawn = mathml(tex, block=True)
    assert all(part in drawn for part in parts), drawn


@pytest.mark.parametrize("tex", [r"\undefined x", r"\frac{a", r"\text{$x$}"])
def test_an_equation_that_cannot_be_drawn_is_refused(tex: str) -> None:
    with pytest.raises(TextureError, match="the formula"):
        mathml(tex)


def test_a_page_loads_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "dot.png")
    prose = "# A & B\n\n$x<y$, [next](01_b.ipynb#c), [paper](https://example.org/p)\n\n![a dot](../dot.png)"
    outputs = [
        new_output("display_data", data={html.WIDGET: {"model_id": "m"}, "text/plain": "Box()"}),
        new_output(
            "display_data", data={"image/png": "AAAA"}, metadata={"image/png": {"alt": "Grey <noise>"}}
        ),
    ]
    notebook = new_notebook(cells=[new_markdown_cell(prose), new_code_cell("1 + 1", outputs=outputs)])
    (tmp_path / "notebooks").mkdir()
    page = html.page(notebook, tmp_path / "notebooks", after="01_b")
    assert html.outside_resources(page) == []
    assert "<script" not in page
    assert 'alt="Grey &lt;noise&gt;"' in page
    assert 'href="01_b.html#c"' in page
    assert 'src="data:image/png;base64,iVBOR' in page
    assert "JupyterLab" in page
    assert "Box()" not in page
    assert outputs[0].data[html.WIDGET]  # the notebook itself is as it was


@pytest.mark.parametrize(
    "text",
    [
        '<img src="https://example.org/a.png">',
        "<script src=//example.org/a.js></script>",
        "<style>@import 'http://example.org/a.css'</style>",
        "<style>b { background: url(https://example.org/b.png) }</style>",
        '<link rel="stylesheet" href="https://example.org/a.css">',
    ],
)
def test_a_page_that_would_load_something_is_refused(text: str, tmp_path: Path) -> None:
    assert html.outside_resources(text)
    with pytest.raises(TextureError, match="from the network"):
        html.page(new_notebook(cells=[new_markdown_cell(f"# T\n\n{text}")]), tmp_path)


def test_images_keep_their_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTURES_FIGURES", str(tmp_path))
    figures.use_style()
    images = [np.random.default_rng(i).random((3, 20 + i, 31)).astype(np.float32) for i in range(3)]
    path = figures.save(
        figures.show_images(images, ["one", "two"], columns=2, scale=3), "pixels", "Noise", seed=1
    )
    shown = np.asarray(Image.open(path).convert("RGB")).astype(float)
    expected = images[0].transpose(1, 2, 0).repeat(3, 0).repeat(3, 1) * 255
    top = 8 + 26  # the gap, and one line of title
    assert np.abs(shown[top : top + 60, 8 : 8 + 93] - expected).max() <= 1
    row = json.loads((tmp_path / "manifest.json").read_text())["pixels"]
    assert (row["parameters"], row["alt"]) == ({"seed": 1}, "Noise")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([],), "no images"),
        (([np.zeros((4, 4, 4))],), "it|shape|[3,H,W]"),
        (([np.zeros((3, 4, 4))], None, None, 1.5), "whole number"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments: tuple, words: str) -> None:
    with pytest.raises(TextureError, match=words):
        figures.show_images(*arguments)


def test_a_name_is_a_plain_word() -> None:
    with pytest.raises(TextureError, match="letters, digits"):
        figures.save(figures.show_images([np.zeros((3, 4, 4))]), "../up")
