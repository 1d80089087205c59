"""An executed notebook as one file of HTML that reads without a network: pictures and equations are in it."""

import re
from base64 import b64encode
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import pass_context
from nbconvert.exporters.html import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

from lib.companion.mathml import mathml
from lib.companion.series import title
from lib.errors import TextureError

WIDGET = "application/vnd.jupyter.widget-view+json"

STYLE = """
:root { color-scheme: light }
body { max-width: 46rem; margin: 2rem auto 6rem; padding: 0 1rem; color: #1a1a1a; background: #fff;
  font: 1.05rem/1.6 Charter, "Bitstream Charter", "Iowan Old Style", Georgia, serif;
  overflow-wrap: break-word }
h1, h2, h3, nav, table { font-family: system-ui, "Helvetica Neue", Arial, sans-serif; line-height: 1.25 }
h1 { font-size: 1.8rem } h2 { font-size: 1.35rem; margin-top: 2.2rem } h3 { font-size: 1.1rem }
a { color: #0b5394 } .anchor-link { visibility: hidden; margin-left: .4em; text-decoration: none }
:is(h1, h2, h3):hover .anchor-link { visibility: visible }
nav { display: flex; justify-content: space-between; gap: 1rem; font-size: .85rem; margin: 1rem 0 2rem }
img, svg { max-width: 100%; height: auto }
pre, code { font: .86rem/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace }
.highlight pre, .output_area pre { overflow-x: auto; padding: .6rem .8rem; margin: .6rem 0 }
.highlight pre { background: #f6f6f4 } .output_area pre { background: none; border-left: 2px solid #ddd }
.output_stderr pre, .output_error pre { border-left-color: #d55e00 } .prompt { display: none }
blockquote { border-left: 3px solid #ccc; margin-left: 0; padding-left: 1rem; color: #333 }
table { border-collapse: collapse; font-size: .88rem; display: block; overflow-x: auto }
th, td { padding: .25rem .7rem; text-align: left }
thead tr { border-bottom: 1px solid #888 } tbody tr { border-bottom: 1px solid #e5e5e5 }
.caption { scroll-margin-top: 60vh }
.equation { display: flex; align-items: center; margin: .7rem 0; padding: .3rem 0; overflow: auto hidden }
.equation math { flex: 1 } .number { color: #444 }
math { font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", math }
[mathvariant="bold"], [mathvariant="bold-italic"] { font-weight: bold }
""".strip()


class _Renderer(IPythonRenderer):
    """Markdown as Jupyter reads it, with equations drawn, and links to notebooks leading to their pages."""

    def block_math(self, body: str) -> str:
        return mathml(body, block=True)

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", block=True)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        if "://" not in url:
            url = re.sub(r"\.ipynb(?=$|#)", ".html", url)
        return super().link(text, url, title)


class _Exporter(HTMLExporter):
    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        attachments = context.get("cell", {}).get("attachments", {})
        path = context.get("resources", {}).get("metadata", {}).get("path", "")
        renderer = _Renderer(escape=False, attachments=attachments, embed_images=True, path=path)
        return MarkdownWithMath(renderer=renderer).render(source)


def page(notebook: NotebookNode, folder: Path, before: str = "", after: str = "") -> str:
    """One notebook as a page.

    Args:
        folder: where the notebook's relative picture links start from.
        before, after: stems of the neighbouring notebooks, linked at top and bottom.

    Raises:
        TextureError: an equation cannot be drawn, or the page would load something from the network.
    """
    quiet = without_widgets(notebook)
    exporter = _Exporter(template_name="basic")
    body, _ = exporter.from_notebook_node(quiet, resources={"metadata": {"path": str(folder)}})
    body = _anchored(_embed_figures(body, folder))
    links = [
        f'<a href="{before}.html">← {_spoken(before)}</a>' if before else "<span></span>",
        '<a href="index.html">contents</a>',
        f'<a href="{after}.html">{_spoken(after)} →</a>' if after else "<span></span>",
    ]
    navigation = f"<nav>{''.join(links)}</nav>"
    return document(title(notebook), f"{navigation}\n<main>{body}</main>\n{navigation}")


def markdown(source: str) -> str:
    """Prose as in a notebook's cell: equations drawn, links to notebooks leading to their pages."""
    return MarkdownWithMath(renderer=_Renderer(escape=False)).render(source)


def check_equations(notebook: dict[str, Any]) -> None:
    """Draw every equation once, in no time, so that a mistake is told before an hour of computing.

    Raises:
        TextureError: one cannot be drawn.
    """
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            markdown(cell["source"])


def outside_resources(html: str) -> list[str]:
    """What a browser would fetch from elsewhere while showing this page; links to follow are not meant."""
    tags = re.findall(r"<(?:script|img|link|iframe|source|video|audio|object|embed|use)\b[^>]*>", html, re.I)
    found = [
        t for t in tags if re.search(r"""\b(?:src|href|data|srcset)\s*=\s*["']?\s*(?:https?:)?//""", t, re.I)
    ]
    for block in re.findall(r"<(?:style|script)\b[^>]*>(.*?)</(?:style|script)>", html, re.I | re.S):
        found += re.findall(r"""(?:@import|url\(|import\s*\(?|from)\s*["']?(?:https?:)?//[^"')\s]+""", block)
    return found


def document(name: str, body: str, style: str = "") -> str:
    """A whole page around `body`, with `style` added to the house's own.

    Raises:
        TextureError: it would load something from the network.
    """
    code = HtmlFormatter(style="friendly").get_style_defs(".highlight")
    html = (
        f'<!DOCTYPE html>\n<html lang="en-GB">\n<head><meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(name)}</title>\n<style>\n{code}\n{STYLE}\n{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
    outside = outside_resources(html)
    if outside:
        raise TextureError(f"the page {name!r} would load {outside[0][:120]} from the network; embed it")
    return html


def without_widgets(notebook: NotebookNode) -> NotebookNode:
    """A widget needs a kernel: what else the output holds is shown, else a sentence says where to find it."""
    copy = NotebookNode(notebook)
    copy.cells = [NotebookNode(cell) for cell in notebook.cells]
    copy.metadata = NotebookNode({k: v for k, v in notebook.metadata.items() if k != "widgets"})
    for cell in copy.cells:
        if cell.cell_type != "code":
            continue
        outputs = []
        for output in cell.outputs:
            data = output.get("data", {})
            if WIDGET in data:
                data = {k: v for k, v in data.items() if k not in (WIDGET, "text/plain")}
                note = "<p><em>Interactive: open the notebook in JupyterLab to use it.</em></p>"
                output = NotebookNode({**output, "data": NotebookNode(data or {"text/html": note})})
            outputs.append(output)
        cell.outputs = outputs
    return copy


def _embed_figures(body: str, folder: Path) -> str:
    """Pictures from outside the notebook's folder (../figures), which nbconvert leaves as links."""

    def embed(found: re.Match[str]) -> str:
        path = folder / found[2]
        if "://" in found[2] or found[2].startswith("data:") or not path.is_file():
            return found[0]
        return (
            f"{found[1]}data:image/{path.suffix[1:]};base64,{b64encode(path.read_bytes()).decode()}{found[3]}"
        )

    return re.sub(r"""(<img\b[^>]*?\bsrc=["'])([^"']+)(["'])""", embed, body)


def _anchored(body: str) -> str:
    """Each caption, **Figure: name.**, with an id to link to: figure-name."""

    def anchor(found: re.Match[str]) -> str:
        first, *others = (name.strip() for name in found[1].split(","))
        more = "".join(f'<span id="figure-{name}"></span>' for name in others)
        return f'<p class="caption" id="figure-{first}">{more}{found[0].removeprefix("<p>")}'

    return re.sub(r"<p><strong>Figures?: ([\w, ]+)\.</strong>", anchor, body)


def _spoken(stem: str) -> str:
    return escape(stem.split("_", 1)[-1].replace("_", " "))
