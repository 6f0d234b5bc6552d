from __future__ import annotations

import time
from datetime import UTC, datetime

import polars as pl
import pytest

from windtunnel.data.load import load_bars, normalise_bars
from windtunnel.errors import DataError

HEADER = "timestamp,symbol,open,high,low,close,volume\n"
NORMAL = {
    "timestamp": pl.Datetime("us", "UTC"),
    "symbol": pl.String(),
    **dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64()),
}


def test_normal_form_is_sorted_typed_and_stripped_of_other_columns(bars, section):
    source = bars.sort("symbol", "timestamp").select(
        pl.lit("x").alias("row"), pl.all().reverse().reverse(), pl.lit(1).alias("adj_close")
    )
    source = source.with_columns(pl.col("volume").cast(pl.Int32), pl.col("open").cast(pl.Float32))
    out = normalise_bars(source, section())
    assert dict(out.schema) == NORMAL
    assert out.equals(bars)


def test_symbols_in_turn_and_interleaved_give_the_same_bars(bars, section):
    in_turn = normalise_bars(bars.sort("symbol", "timestamp"), section())
    assert in_turn.equals(normalise_bars(bars, section()))


def test_filters_keep_both_ends_and_only_the_symbols_asked_for(bars, section):
    out = normalise_bars(bars, section(symbols=["B"], start="2020-01-03", end="2020-01-05T00:00Z"))
    assert out["symbol"].unique().to_list() == ["B"]
    assert [stamp.day for stamp in out["timestamp"]] == [3, 4, 5]


def test_bound_with_an_offset_is_that_moment(bars, section):
    out = normalise_bars(bars, section(start="2020-01-03T01:00:00+02:00"))
    assert out["timestamp"][0] == datetime(2020, 1, 3, tzinfo=UTC)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the clock's zone cannot be set here")
def test_naive_bound_is_utc_wherever_the_machine_stands(bars, section, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        out = normalise_bars(bars, section(start="2020-01-03T01:00"))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert out["timestamp"][0].day == 4


def test_columns_are_renamed_even_onto_names_in_use(bars, section):
    source = bars.with_columns(pl.col("close") * 2).rename({"symbol": "ticker"})
    source = source.with_columns(real=bars["close"])
    out = normalise_bars(source, section(columns={"symbol": "ticker", "close": "real"}))
    assert out.equals(bars)


@pytest.mark.parametrize(
    ("zone", "hour"), [("UTC", 0), ("America/New_York", 5), ("Asia/Tokyo", 15)]
)
def test_naive_timestamps_are_local_times_of_the_zone(bars, section, zone, hour):
    naive = bars.with_columns(pl.col("timestamp").dt.replace_time_zone(None))
    out = normalise_bars(naive, section(time_zone=zone))
    assert {stamp.hour for stamp in out["timestamp"]} == {hour}


def test_aware_timestamps_are_converted_and_dates_are_midnights(bars, section):
    berlin = bars.with_columns(
        pl.col("timestamp").dt.convert_time_zone("Europe/Berlin").dt.cast_time_unit("ns")
    )
    assert normalise_bars(berlin, section()).equals(bars)
    dates = bars.with_columns(pl.col("timestamp").dt.date())
    assert normalise_bars(dates, section(time_zone="UTC")).equals(bars)


def test_csv_reads_like_the_frame_it_was_written_from(bars, section, tmp_path):
    bars.write_csv(tmp_path / "bars.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    assert load_bars(section(source="bars.csv"), tmp_path).equals(bars)
    bars.write_parquet(tmp_path / "bars.parquet")
    assert load_bars(section(source=str(tmp_path / "bars.parquet")), tmp_path / "no").equals(bars)


def test_csv_symbols_stay_text_and_whole_prices_become_floats(section, write_csv):
    path = write_csv(
        HEADER
        + "2020-01-01T00:00:00+02:00,0005,1,2,1,2,10\n"
        + "2020-01-02T00:00:00+01:00,0005,2,2.5,2,2,0\n"
    )
    out = load_bars(section(source=path.name), path.parent)
    assert dict(out.schema) == NORMAL
    assert out["symbol"].to_list() == ["0005", "0005"]
    assert out["timestamp"].to_list() == [
        datetime(2019, 12, 31, 22, tzinfo=UTC),
        datetime(2020, 1, 1, 23, tzinfo=UTC),
    ]


def test_lazy_frames_are_taken_as_they_are(bars, section):
    assert normalise_bars(bars.lazy(), section()).equals(bars)


@pytest.mark.parametrize("kind", [pl.Categorical(), pl.Enum(["A", "B"])])
def test_symbols_may_be_categories(bars, section, kind):
    out = normalise_bars(bars.with_columns(pl.col("symbol").cast(kind)), section())
    assert out.equals(bars)


@pytest.mark.parametrize(
    "text", ["01/02/2020", "02-01-2020", "01/02/2020 10:00", "Jan 2 2020", "1577923200"]
)
def test_a_day_that_two_readers_read_differently_is_refused(tmp_path, section, text):
    path = tmp_path / "bars.csv"
    rows = ["2020-01-01,A,1,1,1,1,1", f"{text},A,1,1,1,1,1"]
    path.write_text(HEADER + "\n".join(rows) + "\n")
    with pytest.raises(DataError, match=rf"timestamp.*row 1 .*'{text}'.*ISO 8601"):
        load_bars(section(source="bars.csv", time_zone="UTC"), tmp_path)


@pytest.mark.parametrize(
    ("form", "zone"),
    [
        ("%Y-%m-%d", "UTC"),
        ("%Y-%m-%d %H:%M:%S", "UTC"),
        ("%Y-%m-%dT%H:%M:%S", "UTC"),
        ("%Y-%m-%dT%H:%M:%SZ", None),
        ("%Y-%m-%dT%H:%M:%S%.3fZ", None),
        ("%Y-%m-%d %H:%M:%S+00:00", None),
    ],
)
def test_iso_times_of_a_csv_are_read(bars, tmp_path, section, form, zone):
    text = bars.with_columns(pl.col("timestamp").dt.strftime(form))
    text.write_csv(tmp_path / "bars.csv")
    assert load_bars(section(source="bars.csv", time_zone=zone), tmp_path).equals(bars)
