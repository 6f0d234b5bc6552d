from __future__ import annotations

import math

import polars as pl
import pytest

from windtunnel.data.quality import gate
from windtunnel.errors import DataError


def of(symbol, *days):
    return (pl.col("symbol") == symbol) & pl.col("timestamp").dt.day().is_in(days)


def with_closes(bars, symbol, closes):
    """Give a symbol these closes, in bars of no height."""
    own = bars.filter(pl.col("symbol") == symbol).head(len(closes))
    price = pl.Series("close", closes)
    own = own.with_columns(price.alias(name) for name in ("open", "high", "low", "close"))
    return pl.concat([own, bars.filter(pl.col("symbol") != symbol)]).sort("timestamp", "symbol")


def test_clean_bars_pass_in_silence(bars, section):
    report = gate(bars, section())
    assert report.warnings == ()
    assert report.summary.to_dicts() == [
        {
            "symbol": symbol,
            "first": bars["timestamp"][0],
            "last": bars["timestamp"][-1],
            "bars": 10,
            "missing": 0,
            "zero_volume": 0,
            "largest_move": pytest.approx(move),
        }
        for symbol, move in (("A", 12 / 11 - 1), ("B", 52 / 51 - 1))
    ]


def test_rounding_beyond_the_range_is_tolerated_and_no_more(bars, section):
    def close_at(factor):
        return bars.with_columns(
            close=pl.when(of("A", 3)).then(pl.col("high") * factor).otherwise("close")
        )

    gate(close_at(1 + 9e-10), section())
    with pytest.raises(DataError, match="above high"):
        gate(close_at(1 + 1.1e-9), section())


def test_late_early_and_lacking_instruments_are_reported(bars, section):
    data = section(max_missing=0.5)
    report = gate(bars.filter(~of("B", 1, 2, 5, 10)), data)
    late, early, lacking = report.warnings
    assert late == "B starts 2020-01-03; it is treated as not tradable before"
    assert early == "B ends 2020-01-09; it is treated as not tradable after"
    assert lacking.startswith("B lacks 1 bars between its first and last")
    row = report.summary.row(by_predicate=pl.col("symbol") == "B", named=True)
    assert (row["bars"], row["missing"]) == (6, 1)


def test_share_of_missing_bars_may_equal_the_limit(bars, section):
    gate(bars.filter(~of("B", 4, 5)), section(max_missing=0.2))


def test_bars_without_volume_are_reported(bars, section):
    report = gate(
        bars.with_columns(volume=pl.when(of("A", 2, 3)).then(0.0).otherwise("volume")), section()
    )
    assert report.warnings == ("A has 2 bars without volume; no order fills there",)
    assert report.summary["zero_volume"].to_list() == [2, 0]


def test_the_largest_of_the_large_moves_is_named(bars, section):
    closes = [10.0, 5.0, 5.1, 7.3, 7.4, 7.5, 7.6, 7.7, 7.8, 7.9]
    report = gate(with_closes(bars, "A", closes), section())
    assert report.warnings == (
        "A: 2 bars move by more than 40%, the largest -50.0% at 2020-01-02; make sure that it is "
        "not an unadjusted split",
    )
    assert report.summary["largest_move"][0] == -0.5


def test_a_move_of_forty_percent_is_not_yet_large(bars, section):
    closes = [10.0, 6.0, 6.1, 6.2, 6.3, 6.4, 6.5, 6.6, 6.7, 6.8]
    assert gate(with_closes(bars, "A", closes), section()).warnings == ()


@pytest.mark.parametrize(("equal", "warned"), [(4, False), (5, True), (6, True)])
def test_equal_closes_look_stale_from_five_on(bars, section, equal, warned):
    closes = [9.0, 8.0] + [10.0] * equal + [11.0 + i for i in range(8 - equal)]
    report = gate(with_closes(bars, "A", closes), section())
    expected = f"A: the close stands still for {equal} bars from 2020-01-03"
    assert [warning.startswith(expected) for warning in report.warnings] == [True] * warned


def test_an_instrument_with_one_bar_has_no_move(bars, section):
    report = gate(bars.filter((pl.col("symbol") == "A") | of("B", 7)), section())
    assert report.summary["largest_move"][1] is None


def test_intraday_places_show_the_time(bars, section):
    later = bars.with_columns(pl.col("timestamp") + pl.duration(hours=14, minutes=30))
    bad = later.with_columns(close=pl.when(of("A", 2)).then(math.nan).otherwise("close"))
    with pytest.raises(DataError, match="A at 2020-01-02 14:30:00Z: close is nan"):
        gate(bad, section())
