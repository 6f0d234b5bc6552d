from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank import front_matter

TEXT = st.text(max_size=30) | st.sampled_from(
    ["---", "\n---\n", "+++\n", "a: 1\nb: 2", '"', "\\", "\x85\u2028", "\r\n---\r\n", ": ", "{}"]
)
SCALARS = (
    st.none()
    | TEXT
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
)
# Field names are ours; none of them is a word that YAML takes for true, false or nothing.
NAMES = st.sampled_from(["schema", "kind", "run_id", "figures", "a", "z9_", "text"])
FIELDS = st.dictionaries(NAMES, SCALARS | st.dictionaries(TEXT, SCALARS, max_size=4), max_size=5)


@given(fields=FIELDS, body=TEXT.map(lambda text: text.replace("\r", "") + "\n"))
def test_fields_and_body_come_back(fields: front_matter.Fields, body: str) -> None:
    text = front_matter.write(fields, body)
    read, rest = front_matter.read(text)
    assert read == fields
    assert rest == body
    for name, value in fields.items():
        assert type(read[name]) is type(value)


@given(fields=FIELDS)
def test_the_fields_are_yaml(fields: front_matter.Fields) -> None:
    yaml = pytest.importorskip("yaml")
    _, head, _ = front_matter.write(fields, "text\n").split("---\n", 2)
    loaded = yaml.safe_load(head)
    assert set(loaded) == {*fields, "digest"}
    for name, value in fields.items():
        assert loaded[name] == value


def test_windows_line_ends_are_the_same_page() -> None:
    text = front_matter.write({"figure": 0.5}, "# Title\n\ntext\n")
    assert front_matter.read(text.replace("\n", "\r\n")) == front_matter.read(text)


def test_every_changed_byte_is_noticed() -> None:
    text = front_matter.write({"a": 0.5, "b": {"c": 12, "d": "text"}}, "# Title\n\ntext\n")
    for place, old in enumerate(text):
        new = "1" if old != "1" else "2"
        with pytest.raises(MemoryBankError):
            front_matter.read(text[:place] + new + text[place + 1 :])
        with pytest.raises(MemoryBankError):
            front_matter.read(text[:place] + text[place + 1 :])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no fields"),
        ("# Title\n", "has no fields"),
        ("---\na: 1\n", "has no fields"),
        ('---\na: 1\na: 1\ndigest: ""\n---\n\n', "line 3: 'a' comes twice"),
        ('---\na: {"b": 1}\ndigest: ""\n---\n\n', "is not a single value"),
        ('---\na:\n  b: 1\ndigest: ""\n---\n\n', "line 3"),
        ('---\na: 1\ndigest: ""\n---\ntext', "line 5: must be empty"),
        ('---\na: 1\ndigest: ""\n---\n\ntext', "the digest does not fit"),
    ],
)
def test_what_is_not_such_a_page_is_refused(text: str, problem: str) -> None:
    with pytest.raises(MemoryBankError, match=problem):
        front_matter.read(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_refused(value: float) -> None:
    with pytest.raises(MemoryBankError, match="cannot be kept"):
        front_matter.write({"a": {"b": value}}, "")


def test_a_name_that_is_no_identifier_is_refused() -> None:
    with pytest.raises(MemoryBankError, match="not a lower-case identifier"):
        front_matter.write({"a\n---": 1}, "")
