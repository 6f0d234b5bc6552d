from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank import ExperimentEntry, front_matter
from windtunnel.memory_bank.rendering import parse, render

NASTY = st.text(max_size=20) | st.sampled_from(
    [
        'x"\n---\nrun_id: "other"',
        "+++\nfigures = {}\n+++",
        "a | b |",
        "<!-- end of generated: experiments -->",
        "```\n# Verdict\n```",
        "\u2028---\u2028",
        "\r\n---\r\n",
    ]
)
FULL = NASTY.filter(lambda text: bool(text.strip()))
FIGURES = st.dictionaries(
    NASTY, st.none() | NASTY | st.integers(-(10**18), 10**18) | st.floats(), max_size=4
)
ENTRIES = st.builds(
    ExperimentEntry,
    run_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_~-]{0,20}", fullmatch=True),
    study=FULL,
    created=st.datetimes(
        min_value=datetime(1000, 1, 2),
        max_value=datetime(9999, 12, 30),
        timezones=st.just(UTC),
    ),
    command=FULL,
    question=NASTY,
    headline=FULL,
    verdict=NASTY,
    study_digest=NASTY,
    data_fingerprint=NASTY,
    figures=FIGURES,
    holdout=FIGURES,
    champion=FIGURES,
    versions=st.dictionaries(NASTY, NASTY, max_size=3),
    artifacts=st.dictionaries(NASTY, NASTY, max_size=3),
    links=st.dictionaries(NASTY, st.sampled_from(["../a.md", "https://a.b/c(d)"]), max_size=2),
)
SECTIONS = [
    "What was asked",
    "Verdict",
    "Figures",
    "Holdout",
    "Champion",
    "How to reproduce it",
    "Files of the run",
]


@given(ENTRIES)
def test_an_entry_comes_back_from_its_page(entry: ExperimentEntry) -> None:
    text = render(entry)
    assert parse(text) == entry
    assert render(parse(text)) == text


@given(ENTRIES)
def test_no_name_or_text_breaks_the_page(entry: ExperimentEntry) -> None:
    """The page has its headings, its tables with their rows, and no HTML, whatever is in it."""
    fields, body = front_matter.read(render(entry))
    assert fields["run_id"] == entry.run_id
    tokens = MarkdownIt("commonmark").enable("table").parse(body)
    kinds = [token.type for token in tokens]
    heads = [
        tokens[place + 1].content
        for place, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == "h2"
    ]
    assert heads == SECTIONS + (["See also"] if entry.links else [])
    tables = [entry.figures, entry.holdout, entry.champion, entry.versions, entry.artifacts]
    rows = sum(len(each) + 1 for each in tables if each)
    assert kinds.count("tr_open") == rows
    assert kinds.count("td_open") + kinds.count("th_open") == 2 * rows
    assert kinds.count("fence") == 1
    assert "html_block" not in kinds
    assert kinds.count("list_item_open") == len(entry.links)


def test_an_entry_of_a_newer_version_is_refused(make_entry: object) -> None:
    page = front_matter.write({"schema": 2, "kind": "experiment"}, "# Title\n")
    with pytest.raises(MemoryBankError, match="schema 2, not 'experiment', schema 1"):
        parse(page)
    page = front_matter.write({"schema": 1, "kind": "decision"}, "# Title\n")
    with pytest.raises(MemoryBankError, match="holds kind 'decision'"):
        parse(page)


def test_missing_and_unknown_fields_are_refused() -> None:
    head = {"schema": 1, "kind": "experiment"}
    with pytest.raises(MemoryBankError, match="fields are missing or wrong"):
        parse(front_matter.write(head, "# Title\n"))
    with pytest.raises(MemoryBankError, match="fields are missing or wrong"):
        parse(front_matter.write({**head, "created": "2026-01-01", "extra": 1}, "# Title\n"))


# A page as the first version of the software wrote it: it must be readable for ever.
OLDEST = """\
---
schema: 1
kind: "experiment"
run_id: "old-1"
study: "old"
created: "2026-01-02T03:04:05Z"
command: "windtunnel run old.toml"
question: ""
headline: "Nothing"
verdict: ""
study_digest: "aa"
data_fingerprint: "bb"
figures:
  "metrics.sharpe": 1.5e-07
holdout: {}
champion: {}
versions: {}
artifacts: {}
links: {}
digest: "DIGEST"
---

"""


def test_the_oldest_page_is_read_for_ever() -> None:
    body = "# old: Nothing\n"
    block = OLDEST.split("\n---\n", maxsplit=1)[0].removeprefix("---\n").rsplit("\n", 1)[0]
    entry = parse(OLDEST.replace("DIGEST", front_matter.digest(block, body)) + body)
    assert entry.run_id == "old-1"
    assert entry.created == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert entry.figures == {"metrics.sharpe": 1.5e-07}
