"""The front page is made of the notebooks: their questions, captions, figures and what was learnt."""

import re
from html import unescape
from pathlib import Path

from PIL import Image

from lib.companion import html, manifest, site
from lib.companion.series import Notebook, find

ROOT = Path(__file__).resolve().parents[1]

PROSE = [
    "# 1 · Toys & co\n\n**The question.** Is $x<y$? See [the next](02_b.ipynb).",
    "Some words.\n\n**Figure: one.** A *grey* dot at $\\sigma$.\n\nMore words.",
    "**Figures: two, three.** Two dots.",
    "## What was learnt\n\n- Dots are grey.\n- They are few.\n\nNext.\n\n### Sources\n\n- A. Author.",
]


def notebook(folder: Path) -> Notebook:
    cells = [{"cell_type": "markdown", "source": source, "metadata": {}} for source in PROSE]
    code = {"cell_type": "code", "source": "from lib.samplers import match\nimport lib", "metadata": {}}
    return Notebook(folder / "notebooks" / "01_toys.ipynb", {"cells": [*cells, code], "metadata": {}})


def pages(folder: Path, names: tuple[str, ...] = ("one", "two", "three")) -> str:
    rows = {}
    for name in names:
        (folder / "figures").mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(folder / "figures" / f"{name}.png")
        rows[name] = {"alt": f"Dot <{name}>", "profile": "smoke", "commit": "c0ffee", "parameters": {"seed": 3}}
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "01_toys.html").write_text("")
    return site.front_page([notebook(folder)], rows, folder / "figures", folder / "site")


def test_the_argument_is_there(tmp_path: Path) -> None:
    page = pages(tmp_path)
    assert "<h2>1 · Toys &amp; co</h2>" in page
    assert "<strong>The question.</strong>" in page
    assert 'href="02_b.html"' in page
    assert "<em>grey</em>" in page
    assert "<mi>σ</mi>" in page
    assert "More words" not in page
    assert "<li>They are few.</li>" in page
    assert "A. Author" not in page
    assert html.outside_resources(page) == []


def test_each_figure_comes_with_words_and_provenance(tmp_path: Path) -> None:
    page = pages(tmp_path)
    figures = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    assert [re.findall(r'src="([^"]+)"', figure) for figure in figures] == [
        ["../figures/one.png"],
        ["../figures/two.png", "../figures/three.png"],
    ]
    assert 'alt="Dot &lt;one&gt;"' in figures[0]
    assert 'href="01_toys.html#figure-one"' in figures[0]
    for told in ("smoke", "c0ffee", "seed = 3", "lib/samplers/match.py"):
        assert told in figures[0]
    summaries = [re.findall(r"<summary>(.*?)</summary>", figure) for figure in figures]
    assert summaries == [["one: how it was made"], ["two: how it was made", "three: how it was made"]]
    assert figures[1].count("<details>") == 2


def test_only_what_was_made_is_shown(tmp_path: Path) -> None:
    page = pages(tmp_path, ("one", "three"))
    assert "two.png" not in page
    assert "three.png" in page
    (tmp_path / "site" / "01_toys.html").unlink()
    empty = site.front_page([notebook(tmp_path)], {}, tmp_path / "figures", tmp_path / "site")
    assert "<h2>" not in empty


def test_captions_of_a_page_can_be_linked_to(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    from nbformat.v4 import new_markdown_cell, new_notebook

    page = html.page(new_notebook(cells=[new_markdown_cell(source) for source in PROSE]), tmp_path / "notebooks")
    assert [page.count(f'id="figure-{name}"') for name in ("one", "two", "three")] == [1, 1, 1]


def test_every_figure_of_the_series_has_a_caption_and_a_notebook_its_end() -> None:
    rows = manifest.read(ROOT / "figures")
    for one in find(ROOT / "notebooks"):
        prose = [cell["source"] for cell in one.node["cells"] if cell["cell_type"] == "markdown"]
        named = [name for names, words in site.captions(prose) for name in names if len(words) > 40]
        assert sorted(named) == sorted(one.figures), one.stem
        assert site.learnt(prose), one.stem
    assert "figure_1" in unescape(site.opening(rows, ROOT / "figures", ROOT / "site"))
