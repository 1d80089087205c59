"""TeX to MathML, which every browser draws by itself: pages need no script and no network for equations."""

import re
from html import escape

from latex2mathml.converter import convert

from lib.errors import TextureError

# What the converter does not know, in terms of what it does. \, after a function's name is what TeX sets there.
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
    (r"\\(log|exp|ln|det|sin|cos|tanh)(?![a-zA-Z])\s*(?=[A-Za-z]|\\(?!left|big|Big|,|;|!|quad|\\))", r"\\\1\\,"),
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
        raise TextureError(f"the formula {tex.strip()!r} has a brace without its partner")
    try:
        drawn = convert(source.strip(), display="block" if block else "inline")
    except Exception as error:
        raise TextureError(f"the formula {tex.strip()!r} cannot be drawn: {error!r}") from error
    unknown = re.search(r">(\\[^<]*|&|[^<]*\$[^<]*)<", drawn)
    if unknown:
        raise TextureError(f"the formula {tex.strip()!r} uses {unknown[1]}, which cannot be drawn; say it otherwise")
    if not block:
        return drawn
    number = f'<span class="number">({escape(", ".join(tags))})</span>' if tags else ""
    return f'<div class="equation">{drawn}{number}</div>'
