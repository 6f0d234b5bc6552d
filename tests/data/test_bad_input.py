"""Each input that cannot be used stops with an error that names place, value and remedy."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import polars as pl
import pytest

from windtunnel.data.load import load_bars, normalise_bars
from windtunnel.data.quality import gate
from windtunnel.errors import DataError

HEADER = "timestamp,symbol,open,high,low,close,volume\n"


def spoil(column, value, symbol="B", day=4):
    """Put `value` into one bar: by default B on 2020-01-05 (open 54, high 55.5, low 53.5)."""

    def change(bars):
        here = (pl.col("symbol") == symbol) & (pl.col("timestamp").dt.day() == day + 1)
        return bars.with_columns(pl.when(here).then(value).otherwise(column).alias(column))

    return change


def naive(bars):
    return bars.with_columns(pl.col("timestamp").dt.replace_time_zone(None))


def hourly_from(start):
    """Make the time of A's bars hourly from a local time, and drop B."""

    def change(bars):
        own = bars.filter(pl.col("symbol") == "A")
        times = [start + timedelta(hours=hour) for hour in range(own.height)]
        return own.with_columns(pl.Series("timestamp", times))

    return change


def retype(column, kind):
    return lambda bars: bars.with_columns(pl.col(column).cast(kind))


def without(days, symbol="B"):
    def change(bars):
        gone = (pl.col("symbol") == symbol) & pl.col("timestamp").dt.day().is_in(days)
        return bars.filter(~gone)

    return change


PLACE = "B at 2020-01-05"
FRAMES = {
    "missing column": (lambda b: b.drop("volume"), {}, ["data.columns.volume", "no column"]),
    "renamed column missing": (lambda b: b, {"columns": {"close": "last"}}, ["close", "'last'"]),
    "price is text": (retype("open", pl.String), {}, ["'open'", "String", "a number"]),
    "price is boolean": (retype("high", pl.Boolean), {}, ["'high'", "Boolean", "a number"]),
    "time is text": (retype("timestamp", pl.String), {}, ["'timestamp'", "String", "Datetime"]),
    "time is a number": (retype("timestamp", pl.Int64), {}, ["'timestamp'", "Int64", "Datetime"]),
    "symbol is a number": (
        lambda b: b.with_columns(symbol=pl.lit(1)),
        {},
        ["'symbol'", "Int32", "String"],
    ),
    "naive time": (naive, {}, ["data.time_zone", "America/New_York"]),
    "naive date": (retype("timestamp", pl.Date), {}, ["data.time_zone", "Date"]),
    "unknown zone": (naive, {"time_zone": "Mars/Base"}, ["data.time_zone", "'Mars/Base'", "IANA"]),
    "clocks went back": (
        hourly_from(datetime(2020, 10, 24, 22)),
        {"time_zone": "Europe/Berlin"},
        ["A at 2020-10-25 02:00:00", "ambiguous", "Europe/Berlin", "offset"],
    ),
    "clocks went forward": (
        hourly_from(datetime(2020, 3, 28, 22)),
        {"time_zone": "Europe/Berlin"},
        ["A at 2020-03-29 02:00:00", "does not exist", "Europe/Berlin"],
    ),
    "clocks went back outside the filter": (
        hourly_from(datetime(2020, 10, 24, 22)),
        {"time_zone": "Europe/Berlin", "start": "2020-10-25T03:00"},
        ["ambiguous"],
    ),
    "time is null": (spoil("timestamp", None), {}, ["timestamp", "null", "row 9"]),
    "symbol is null": (spoil("symbol", None), {}, ["symbol", "null", "row 9"]),
    "symbol is empty": (
        lambda b: b.with_columns(symbol=pl.Series([*b["symbol"][:9], "", *b["symbol"][10:]])),
        {},
        ["symbol", "empty", "row 9"],
    ),
    "duplicated next to its twin": (
        lambda b: pl.concat([b.head(3), b[2:]]),
        {},
        ["A at 2020-01-02", "duplicated", "2 rows"],
    ),
    "duplicated far from its twin": (
        lambda b: pl.concat([b, b.head(1)]),
        {},
        ["A at 2020-01-01", "duplicated"],
    ),
    "unsorted": (lambda b: b.reverse(), {}, ["B at 2020-01-09", "unsorted", "18 such rows"]),
    "unsorted in one symbol": (
        lambda b: pl.concat([b[2:], b[:1], b[1:2]]).filter(
            (pl.col("symbol") == "B") | (pl.col("timestamp").dt.day() > 1)
        ),
        {},
        ["B at 2020-01-01", "unsorted", "1 such rows"],
    ),
    "null price": (spoil("close", None), {}, [PLACE, "close is null", "Drop the row"]),
    "NaN price": (spoil("low", math.nan), {}, [PLACE, "low is nan", "not a finite number"]),
    "infinite price": (spoil("high", math.inf), {}, [PLACE, "high is inf", "finite"]),
    "null volume": (spoil("volume", None), {}, [PLACE, "volume is null"]),
    "zero price": (spoil("low", 0.0), {}, [PLACE, "low is 0", "above zero"]),
    "negative price": (spoil("open", -3.0), {}, [PLACE, "open is -3", "above zero"]),
    "low above high": (spoil("low", 56.0), {}, [PLACE, "low is 56", "above high (55.5)"]),
    "open below low": (spoil("open", 53.4), {}, [PLACE, "open is 53.4", "below low (53.5)"]),
    "open above high": (spoil("open", 55.6), {}, [PLACE, "open is 55.6", "above high (55.5)"]),
    "close below low": (spoil("close", 53.0), {}, [PLACE, "close is 53,", "below low (53.5)"]),
    "close above high": (
        spoil("close", 55.5 * (1 + 2e-9)),
        {},
        [PLACE, "close is 55.50000011", "above high (55.5)", "1 such bars"],
    ),
    "negative volume": (spoil("volume", -1.0), {}, [PLACE, "volume is -1", "negative"]),
    "unknown symbol": (lambda b: b, {"symbols": ["A", "BB"]}, ["no symbol 'BB'", "mean 'B'"]),
    "symbol without bars in the span": (
        without([1, 2, 3]),
        {"symbols": ["A", "B"], "end": "2020-01-03"},
        ["B has no bars", "2020-01-03"],
    ),
    "nothing in the span": (lambda b: b, {"start": "2030-01-01"}, ["no bars", "2030-01-01"]),
    "no rows": (lambda b: b.clear(), {}, ["no rows"]),
    "start is no time": (lambda b: b, {"start": "May 2020"}, ["data.start", "'May 2020'", "ISO"]),
    "end is no time": (lambda b: b, {"end": "2020-02-30"}, ["data.end", "'2020-02-30'"]),
    "a single time": (lambda b: b.head(2), {}, ["one timestamp, 2020-01-01", "two bars"]),
    "too many missing bars": (
        without([3, 4]),
        {"max_missing": 0.19},
        ["B between 2020-01-01 and 2020-01-10", "2 of 10", "20.0%", "data.max_missing", "19.0%"],
    ),
}


@pytest.mark.parametrize(("change", "fields", "words"), FRAMES.values(), ids=FRAMES.keys())
def test_frame_stops_with_place_value_and_remedy(bars, section, change, fields, words):
    data = section(**fields)
    with pytest.raises(DataError) as caught:
        gate(normalise_bars(change(bars), data), data)
    assert caught.value.remedy
    for word in words:
        assert word in str(caught.value)


FILES = {
    "no such file": ("no.parquet", None, ["no file", "no.parquet"]),
    "a directory": (".", None, ["no file"]),
    "other kind": ("bars.xlsx", "x", ["'.xlsx'", ".parquet or .csv"]),
    "not parquet": ("bars.parquet", "hello", ["cannot be read", "parquet"]),
    "empty csv": ("bars.csv", "", ["cannot be read", "empty"]),
    "header only": ("bars.csv", HEADER, ["no rows"]),
    "text in a price": (
        "bars.csv",
        HEADER + "2020-01-01,A,1,2,1,2,3\n2020-01-02,A,one,2,1,2,3\n",
        ["cannot be read", "`one`", "'open'"],
    ),
    "frame without a frame": ("frame", None, ["'frame'", "no DataFrame"]),
    "unknown sample": ("sample:us_equity_1d", None, ["'us_equity_1d'", "mean 'us_equities_1d'"]),
}


@pytest.mark.parametrize(("source", "text", "words"), FILES.values(), ids=FILES.keys())
def test_file_stops_with_place_value_and_remedy(tmp_path, section, source, text, words):
    if text is not None:
        (tmp_path / source).write_text(text)
    with pytest.raises(DataError) as caught:
        load_bars(section(source=source, time_zone="UTC"), tmp_path)
    assert caught.value.remedy
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b.drop("close"), ["'close'", "missing"]),
        (retype("close", pl.Float32), ["'close'", "Float32"]),
        (naive, ["'timestamp'", "Datetime"]),
        (lambda b: b.clear(), ["no bars"]),
        (lambda b: b.reverse(), ["unsorted"]),
        (lambda b: pl.concat([b, b]), ["duplicated"]),
    ],
)
def test_gate_alone_refuses_frames_that_are_not_in_the_normal_form(bars, section, change, words):
    with pytest.raises(DataError) as caught:
        gate(change(bars), section())
    for word in words:
        assert word in str(caught.value)


def test_gate_alone_refuses_a_symbol_asked_for_and_absent(bars, section):
    with pytest.raises(DataError, match="no symbol 'C'"):
        gate(bars, section(symbols=["A", "C"]))


@pytest.mark.parametrize("given", ["bars.csv", {"open": [1.0]}])
def test_bars_that_are_no_frame_of_polars(given, section):
    with pytest.raises(DataError, match=f"polars.*{type(given).__name__}.*from_pandas"):
        normalise_bars(given, section())
