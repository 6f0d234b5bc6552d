from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from windtunnel.memory_bank.markdown import (
    fenced,
    inline,
    link,
    link_targets,
    paragraphs,
    table,
    value,
)

NASTY = st.text(max_size=20) | st.sampled_from(
    [
        "a | b",
        "line\nbreak",
        "--- ",
        "+++",
        "# head",
        "1. item",
        "- item",
        "`code`",
        "```",
        "<!-- x -->",
        "</td>",
        "[a](b)",
        "![a](b)",
        "**b** _i_ ~~s~~",
        "\\|",
        "\\",
        "&amp;",
        "max_drawdown _x",
        "__0__",
        "``",
        "===",
        "    four",
        "\u2028\x00",
    ]
)
READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def seen(text: str) -> str:
    """Collapse a text as a browser shows it."""
    kept = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    return " ".join(kept.split())


def shown(markdown: str) -> list[str]:
    """Read the plain text of every block; anything but plain text in it fails."""
    blocks = []
    for token in READER.parse(markdown):
        if token.type == "inline":
            children = token.children or []
            assert {child.type for child in children} <= {"text", "text_special"}, children
            blocks.append("".join(child.content for child in children))
    return blocks


@given(NASTY)
def test_a_text_in_a_heading_is_that_text(text: str) -> None:
    tokens = READER.parse(f"# x {inline(text)} x")
    assert [token.type for token in tokens] == ["heading_open", "inline", "heading_close"]
    assert [seen(block) for block in shown(f"# x {inline(text)} x")] == [seen(f"x {text} x")]


@given(st.lists(st.tuples(NASTY, NASTY), min_size=1, max_size=4))
def test_any_text_stays_in_its_cell(cells: list[tuple[str, str]]) -> None:
    written = table(["a", "b"], [[inline(one), value(other)] for one, other in cells])
    expected = ["a", "b"]
    for one, other in cells:
        expected += [seen(one), seen(other) or "–"]
    assert shown(written) == expected


@given(NASTY)
def test_a_line_is_a_paragraph_and_nothing_else(text: str) -> None:
    written = paragraphs(text)
    lines = [seen(line) for line in text.splitlines()]
    assert shown(written) == [line for line in lines if line]
    assert {token.type for token in READER.parse(written)} <= {
        "paragraph_open",
        "inline",
        "paragraph_close",
    }


@given(NASTY | st.text("`~\nab", max_size=12))
def test_code_stays_within_its_fence(text: str) -> None:
    (token,) = READER.parse(fenced(text, "sh"))
    assert token.type == "fence"
    assert token.info == "sh"
    assert len(token.content.splitlines()) == len(fenced(text, "sh").split("\n")) - 2


@given(NASTY, st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12))
def test_a_link_leads_where_it_should(text: str, target: str) -> None:
    written = link(text, target)
    assert link_targets(written) == [target]
    (block,) = [each for each in READER.parse(f"x {written} x") if each.type == "inline"]
    links = [child for child in block.children or [] if child.type == "link_open"]
    assert len(links) == 1


def test_figures_are_shown_to_six_digits() -> None:
    assert [value(each) for each in (0.41234567, 256, None, -1e-9, "a|b", "")] == [
        "0.412346",
        "256",
        "–",
        "-1e-09",
        "a\\|b",
        "–",
    ]


def test_links_in_code_are_not_links() -> None:
    text = "[a](a.md) `[b](b.md)`\n```\n[c](c.md)\n```\n![d](<d e.png>) \\[e](e.md) [f](f.md#g)"
    assert link_targets(text) == ["a.md", "d e.png", "f.md#g"]
