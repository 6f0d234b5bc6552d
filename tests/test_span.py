from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from windtunnel.errors import DataError
from windtunnel.span import Moment, Span, utc_text


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2013, 3, 27, 12, tzinfo=UTC),
        datetime(2013, 3, 27, 7, tzinfo=timezone(timedelta(hours=-5))),
        np.datetime64("2013-03-27T12:00:00.000000", "us"),
        np.datetime64("2013-03-27T12", "h"),
        "2013-03-27T12:00:00Z",
        "2013-03-27 12:00",
        "2013-03-27T14:00:00+02:00",
    ],
)
def test_moments_become_one_text(moment: Moment) -> None:
    assert utc_text(moment) == "2013-03-27T12:00:00.000000Z"


@pytest.mark.parametrize(
    ("moment", "problem"),
    [
        (datetime(2013, 3, 27), "no time zone"),
        (np.datetime64("NaT", "us"), "is not a moment"),
        ("yesterday", "is not ISO 8601"),
    ],
)
def test_what_is_no_moment_is_refused(moment: Moment, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        utc_text(moment)


def test_texts_sort_as_times_do() -> None:
    assert utc_text("0987-01-01") < utc_text("1987-01-01") < utc_text("1987-01-01T00:00:00.5")


def test_symbols_are_sorted_and_unique() -> None:
    assert Span.of(["B", "A", "B"], "2000-01-01", "2001-01-01").symbols == ("A", "B")
    assert Span.of("IBM", "2000-01-01", "2001-01-01").symbols == ("IBM",)


@pytest.mark.parametrize("symbols", [[], "", ["A", ""]])
def test_no_symbol_is_refused(symbols: list[str]) -> None:
    with pytest.raises(DataError, match="symbols: got"):
        Span.of(symbols, "2000-01-01", "2001-01-01")


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(DataError, match=r"end: 2000-.* lies before start 2001-"):
        Span.of(["A"], "2001-01-01", "2000-01-01")


@pytest.mark.parametrize(
    ("symbols", "start", "end", "expected"),
    [
        (["A"], "2005-01-01", "2006-01-01", True),
        (["A", "Z"], "2000-01-01", "2020-01-01", True),
        (["B"], "2010-12-31", "2012-01-01", True),  # the last bar is in both
        (["B"], "2011-01-01", "2012-01-01", False),
        (["A"], "1990-01-01", "1999-12-31", False),
        (["Z"], "2005-01-01", "2006-01-01", False),
    ],
)
def test_overlap_needs_an_instrument_and_a_moment_in_common(
    symbols: list[str], start: str, end: str, expected: bool
) -> None:
    one = Span.of(["A", "B"], "2000-01-01", "2010-12-31")
    other = Span.of(symbols, start, end)
    assert one.overlaps(other) is expected
    assert other.overlaps(one) is expected
