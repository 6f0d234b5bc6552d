"""Small pieces of Markdown that any text can be put into without breaking the page."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from windtunnel.memory_bank.front_matter import Scalar

UNDEFINED = "–"
SPECIAL = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])")
LINK = re.compile(r"(?<!\\)\[(?:[^\]\\]|\\.)*\]\((?:<([^<>]*)>|([^()<>\s]+))[^()]*\)")
FENCED = re.compile(r"^(`{3,}|~{3,}).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<![\\`])(`+)(?!`)[^\n]+?(?<!`)\1(?!`)")


def inline(text: str) -> str:
    """Write any text on one line so that it shows as it is, in a table cell too."""
    words = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text).split()
    safe = " ".join(words).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(lambda found: "\\" + found.group(), safe)


def paragraphs(text: str) -> str:
    """Write any text as paragraphs, one a line of it."""
    lines = [inline(line) for line in text.splitlines()]
    return "\n\n".join(_no_block(line) for line in lines if line)


def _no_block(line: str) -> str:
    """Keep a line from starting a list, a heading or a rule."""
    head = re.match(r"\d{1,9}[.)]|[-+=#]", line)
    if head is None:
        return line
    return f"{line[: head.end() - 1]}\\{line[head.end() - 1 :]}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table of cells that are Markdown already. Without rows there are the heads only."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def figures(head: str, kept: Mapping[str, Scalar], second: str = "value") -> str:
    """Write figures by name as a table of two columns; nothing when there are none."""
    rows = [[inline(name), value(each)] for name, each in kept.items()]
    return table([head, second], rows) if rows else ""


def value(figure: Scalar) -> str:
    """Write a figure to six significant digits; text as it is."""
    if figure is None:
        return UNDEFINED
    if isinstance(figure, float):
        return f"{figure:.6g}"
    return inline(str(figure)) or UNDEFINED


def link(text: str, target: str) -> str:
    """Write a link; characters in the target that would end it are escaped."""
    return f"[{inline(text)}]({quote(target, safe='/:?#=&%~.-_+@,;!')})"


def picture(text: str, target: str) -> str:
    """Show a picture, with words for those who cannot see it."""
    return f"!{link(text, target)}"


def fenced(text: str, language: str) -> str:
    """Write text as a block of code, with a fence longer than any that it holds."""
    lines = [
        "".join(" " if unicodedata.category(c)[0] == "C" else c for c in line)
        for line in text.splitlines()
    ]
    ticks = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, ticks + 1)
    return "\n".join([fence + language, *lines, fence])


def link_targets(text: str) -> list[str]:
    """Find the targets of all links and pictures in a page, code left out, unescaped."""
    prose = CODE.sub("", FENCED.sub("", text))
    return [unquote(angled or bare) for angled, bare in LINK.findall(prose)]
