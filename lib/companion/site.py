"""The front page: the README's opening, then every notebook's question, figures with their captions and
provenance, and what was learnt.

It is made from the notebooks themselves, so that nothing is said twice: a notebook opens with its question in its
first cell, a paragraph that begins **Figure: name.** is the caption of that figure, and the section "What was learnt"
closes it. Who reads this page alone has the argument; each part leads to the whole.
"""

import os
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from lib.companion import cache
from lib.companion.html import document, markdown
from lib.companion.series import Notebook

CAPTION = re.compile(r"^\*\*Figures?: ([\w, ]+)\.\*\*\s*", re.MULTILINE)
REPOSITORY = Path(__file__).resolve().parents[2]

STYLE = """
body { max-width: 62rem } .prose { max-width: 46rem }
nav.chapters { display: block; columns: 2; margin-bottom: 2rem } nav.chapters a { display: block; padding: .15rem 0 }
figure { margin: 1.6rem 0; padding-bottom: 1rem; border-bottom: 1px solid #e5e5e5 }
figure img { display: block; margin: 0 0 .6rem; background: #fff }
figcaption { max-width: 46rem; font-size: .95rem } figcaption p { margin: .3rem 0 }
details { font: .8rem/1.5 system-ui, "Helvetica Neue", Arial, sans-serif; color: #444; max-width: 46rem }
details dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .8rem; margin: .4rem 0 }
details dt { color: #666 } details dd { margin: 0; overflow-wrap: anywhere }
.links { font: .85rem/1.5 system-ui, "Helvetica Neue", Arial, sans-serif }
@media (max-width: 40rem) { nav.chapters { columns: 1 } body { margin-top: 1rem } .equation { font-size: .85em } }
"""


def front_page(notebooks: Sequence[Notebook], rows: dict[str, dict[str, Any]], figures: Path, site: Path) -> str:
    """One page over all notebooks that have a page in `site`.

    Args:
        rows: the manifest: figure -> how it was made; figures without a row are left out.
        figures: where the pictures lie; the page links to them from `site`.
    """
    there = [notebook for notebook in notebooks if (site / f"{notebook.stem}.html").exists()]
    chapters = "".join(f'<a href="#{n.stem}">{escape(n.title)}</a>' for n in there)
    body = ["<main>", opening(rows, figures, site)]
    body += [f'<nav class="chapters" aria-label="chapters">{chapters}</nav>']
    body += [chapter(notebook, rows, figures, site) for notebook in there]
    return document("Learned texture models: a companion", "\n".join([*body, "</main>"]), STYLE)


def opening(rows: dict[str, dict[str, Any]], figures: Path, site: Path) -> str:
    """The head of the README: its title, its picture if there is one, its first paragraph."""
    readme = REPOSITORY / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else "# Learned texture models\n"
    title, *paragraphs = text.split("\n\n")
    parts = [f"<h1>{escape(title.removeprefix('# ').strip())}</h1>"]
    for paragraph in paragraphs[:2]:
        shown = re.fullmatch(r"!\[(.*)\]\(figures/(\w+)\.png\)", paragraph.strip())
        if shown is None:
            parts.append(f'<div class="prose">{markdown(paragraph)}</div>')
        elif shown[2] in rows and (figures / f"{shown[2]}.png").exists():
            source = escape(_relative(figures / f"{shown[2]}.png", site))
            parts.append(f'<a href="#{shown[2]}"><img src="{source}" alt="{escape(shown[1])}"></a>')
    return "\n".join(parts)


def chapter(notebook: Notebook, rows: dict[str, dict[str, Any]], figures: Path, site: Path) -> str:
    """One notebook in brief."""
    prose = [cell["source"] for cell in notebook.node["cells"] if cell["cell_type"] == "markdown"]
    question = re.sub(r"^#+[^\n]*\n+", "", prose[0])
    links = [("read it", f"{notebook.stem}.html"), ("the notebook", f"{notebook.stem}.ipynb")]
    parts = [
        f'<section id="{notebook.stem}">',
        f"<h2>{escape(notebook.title)}</h2>",
        f'<div class="prose">{markdown(question)}</div>',
        '<p class="links">' + " · ".join(f'<a href="{link}">{words}</a>' for words, link in links) + "</p>",
    ]
    for names, caption in captions(prose):
        made = [name for name in names if name in rows and (figures / f"{name}.png").exists()]
        if made:
            pictures = "".join(_picture(name, rows[name], notebook, figures, site) for name in made)
            details = "".join(_provenance(name, rows[name], notebook, site) for name in made)
            parts.append(f"<figure>{pictures}<figcaption>{markdown(caption)}</figcaption>{details}</figure>")
    bullets = learnt(prose)
    if bullets:
        parts.append(f'<div class="prose"><h3>What was learnt</h3>{markdown(bullets)}</div>')
    return "\n".join([*parts, "</section>"])


def captions(prose: Sequence[str]) -> list[tuple[list[str], str]]:
    """The names and the words of each paragraph that begins **Figure: name.** or **Figures: a, b.**"""
    found = []
    for source in prose:
        for paragraph in source.split("\n\n"):
            head = CAPTION.match(paragraph)
            if head:
                found.append(([name.strip() for name in head[1].split(",")], CAPTION.sub("", paragraph)))
    return found


def learnt(prose: Sequence[str]) -> str:
    """The bullets of the section "What was learnt"; "" without one."""
    section = re.split(r"^## What was learnt.*$", "\n\n".join(prose), maxsplit=1, flags=re.MULTILINE)[1:]
    inside = re.split(r"^#", section[0], maxsplit=1, flags=re.MULTILINE)[0] if section else ""
    return "\n".join(line for line in inside.split("\n") if line.startswith("- "))


def _picture(name: str, row: dict[str, Any], notebook: Notebook, figures: Path, site: Path) -> str:
    source = escape(_relative(figures / f"{name}.png", site))
    picture = f'<img src="{source}" alt="{escape(row.get("alt") or name)}" id="{name}" loading="lazy">'
    return f'<a href="{notebook.stem}.html#figure-{name}">{picture}</a>'


def _provenance(name: str, row: dict[str, Any], notebook: Notebook, site: Path) -> str:
    """What made a picture, folded away."""
    code = f'<a href="{escape(_relative(notebook.path, site))}">{escape(notebook.path.name)}</a>'
    for module in sorted(cache.named(notebook.code, REPOSITORY)):
        code += f', <a href="{escape(_relative(module, site))}">{escape(module.relative_to(REPOSITORY).as_posix())}</a>'
    parameters = ", ".join(f"{key} = {value}" for key, value in row.get("parameters", {}).items())
    told = [
        ("profile", escape(str(row.get("profile", "")))),
        ("command", f"<code>{escape(str(row.get('command', '')))}</code>"),
        ("parameters", escape(parameters)),
        ("commit", escape(str(row.get("commit", "")))),
        ("checkpoint", escape(str(row.get("checkpoint", "")))),
        ("seconds", escape(str(row.get("seconds", "")))),
        ("code", code),
        ("sha256", escape(str(row.get("sha256", "")))),
    ]
    listed = "".join(f"<dt>{term}</dt><dd>{value}</dd>" for term, value in told if value)
    return f"<details><summary>{escape(name)}: how it was made</summary><dl>{listed}</dl></details>"


def _relative(path: Path, start: Path) -> str:
    return Path(os.path.relpath(path, start)).as_posix()
