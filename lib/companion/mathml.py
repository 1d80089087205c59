"""TeX to MathML, which every browser draws by itself: pages need no script and no network for equations."""

import re
from html import escape
from xml.etree import ElementTree

from latex2mathml.converter import convert

from lib.errors import TextureError

# What the converter does not know, in terms of what it does; and the \, that TeX sets after log, exp, ...
_REWRITES = (
    (r"\\begin\{(aligned|align|gather|gathered|split)\*?\}", r"\\begin{align*}"),
    (r"\\end\{(aligned|align|gather|gathered|split)\*?\}", r"\\end{align*}"),
    (r"\\(begin|end)\{equation\*?\}", ""),
    (r"\\operatorname\*", r"\\operatorname"),
    (r"\\operatorname\{arg\s*\\?,?\s*(max|min)\}", r"\\arg\\\1"),
    (r"\\arg(?![a-zA-Z])", r"\\operatorname{arg}\\,"),
    (r"\\label\{[^}]*\}", ""),
    (r"\\!", ""),
    (r"\\[bB]igg?[lrm]?\\\|", r"\\|"),
    (r"\\(mathbb|mathcal|mathbf|mathrm|boldsymbol)\s+([A-Za-z]|\\[a-zA-Z]+)", r"\\\1{\2}"),
    (
        r"\\(log|exp|ln|det|sin|cos|tanh)(?![a-zA-Z])\s*(?=[A-Za-z]|\\(?!left|big|Big|,|;|!|quad|\\))",
        r"\\\1\\,",
    ),
)


def mathml(tex: str, block: bool = False) -> str:
    """One formula, without its dollars; a \\tag becomes the number at the right of a displayed one.

    Raises:
        TextureError: the formula uses something that cannot be drawn.
    """
    tags = re.findall(r"\\tag\*?\{([^}]*)\}", tex)
    source = re.sub(r"\\tag\*?\{[^}]*\}", "", tex)
    for pattern, replacement in _REWRITES:
        source = re.sub(pattern, replacement, source)
    if source.replace(r"\{", "").count("{") != source.replace(r"\}", "").count("}"):
        raise TextureError(f"the formula {tex.strip()!r} has a brace without its partner; close it")
    try:
        drawn = convert(source.strip(), display="block" if block else "inline")
    except Exception as error:
        raise TextureError(f"the formula {tex.strip()!r} cannot be drawn: {error!r}") from error
    unknown = re.search(r">(\\[^<]*|&|[^<]*\$[^<]*)<", drawn)
    if unknown:
        raise TextureError(
            f"the formula {tex.strip()!r} uses {unknown[1]}, which cannot be drawn; say it otherwise"
        )
    drawn = _settle(drawn, block)
    if not block:
        return drawn
    number = f'<span class="number">({escape(", ".join(tags))})</span>' if tags else ""
    return f'<div class="equation">{drawn}{number}</div>'


def _settle(drawn: str, block: bool) -> str:
    """What browsers leave to the author: limits below, relations spaced, fences as tall as a table."""
    ElementTree.register_namespace("", "http://www.w3.org/1998/Math/MathML")
    root = ElementTree.fromstring(drawn)
    space = root.tag.removesuffix("math")
    for element in root.iter():
        children = list(element)
        if (
            block
            and element.tag == f"{space}msub"
            and children[0].text in ("max", "min", "sup", "inf", "lim")
        ):
            element.tag = f"{space}munder"
        if element.tag == f"{space}mi" and element.text in tuple("⪰⪯≻≺"):
            element.tag = f"{space}mo"
        for before, child, after in zip(children, children[1:], children[2:], strict=False):
            if child.tag == f"{space}mtable" and before.tag == after.tag == f"{space}mo":
                before.attrib.update(form="prefix", stretchy="true")
                after.attrib.update(form="postfix", stretchy="true")
    return ElementTree.tostring(root, encoding="unicode")
