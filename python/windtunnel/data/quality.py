"""The quality gate: bars that cannot be used stop the study, odd ones are reported.

Nothing is repaired. A bar that breaks a rule is named by symbol and timestamp together with
the value found, so that it can be looked up in the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

import polars as pl

from windtunnel.data.panel import PRICE_TOLERANCE
from windtunnel.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from windtunnel.config.study import DataSection

PRICES = ("open", "high", "low", "close")
VALUES = (*PRICES, "volume")
COLUMNS = ("timestamp", "symbol", *VALUES)
LARGE_MOVE = 0.4
STALE_BARS = 5


@dataclass(frozen=True)
class QualityReport:
    """What the gate saw in bars that it let pass.

    Attributes
    ----------
    warnings : tuple of str
        Plain sentences on what is odd but usable.
    summary : polars.DataFrame
        One row a symbol: symbol, first, last (UTC), bars, missing (timestamps of other
        instruments between first and last at which it has no bar), zero_volume (bars),
        largest_move (close to close, a signed fraction; null with a single bar).
    """

    warnings: tuple[str, ...]
    summary: pl.DataFrame


def gate(bars: pl.DataFrame, data: DataSection) -> QualityReport:
    """Let usable bars pass and report on them.

    Parameters
    ----------
    bars : polars.DataFrame
        As `windtunnel.data.load.normalise_bars` gives them.
    data : DataSection
        Symbols asked for and `max_missing`.

    Raises
    ------
    DataError
        A column is missing or mistyped; a price or volume is null, NaN or infinite; a price
        is not above zero; low is above high; open or close lies outside [low, high] by more
        than 1e-9 of the price; a volume is negative; bars are duplicated or unsorted; a
        symbol asked for is absent; an instrument lacks more than `max_missing` of its bars;
        there are fewer than two timestamps.
    """
    _refuse_wrong_columns(bars)
    if bars.is_empty():
        raise DataError("data: there are no bars", "Widen data.start and data.end, or the source")
    known = bars["symbol"].unique()
    refuse_unknown_symbols(set(data.symbols or ()) - set(known), known)
    refuse_disorder(bars)
    _refuse_bad_values(bars)
    stamps = bars["timestamp"].unique().sort()
    if len(stamps) < 2:
        raise DataError(
            f"data: all bars have one timestamp, {when(stamps[0])}",
            "Give a history of at least two bars",
        )
    summary = _summarise(bars, stamps)
    _refuse_gaps(summary, data.max_missing)
    return QualityReport(warnings=tuple(_warnings(bars, summary, stamps)), summary=summary)


def when(moment: datetime) -> str:
    """Write a timestamp as short as it goes: the date alone at midnight."""
    if moment.time() == moment.time().min:
        return f"{moment:%Y-%m-%d}"
    return moment.replace(tzinfo=None).isoformat(sep=" ") + ("" if moment.tzinfo is None else "Z")


def refuse_unknown_symbols(asked: Iterable[str], known: Iterable[str]) -> None:
    """Raise DataError when a symbol in `asked` is not among the `known` ones."""
    names = sorted(known)
    for symbol in sorted(set(asked) - set(names)):
        near = get_close_matches(symbol, names, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        raise DataError(
            f"data.symbols: the source has no symbol {symbol!r}",
            f"{hint}It has {', '.join(names[:20])}{more}",
        )


def refuse_disorder(bars: pl.DataFrame) -> None:
    """Raise DataError unless time increases within each symbol, in the order of the rows."""
    step = pl.col("timestamp").diff().over("symbol")
    wrong = bars.filter(step <= pl.duration())
    if wrong.is_empty():
        return
    # A repeated bar need not stand next to its twin, so look for twins among all rows.
    twins = bars.filter(pl.struct("symbol", "timestamp").is_duplicated())
    if not twins.is_empty():
        first = twins.row(0, named=True)
        raise DataError(
            f"{first['symbol']} at {when(first['timestamp'])}: duplicated bar; {twins.height} "
            "rows share their symbol and timestamp with another",
            "Keep one row for each symbol and timestamp",
        )
    first = wrong.row(0, named=True)
    raise DataError(
        f"{first['symbol']} at {when(first['timestamp'])}: unsorted, this bar follows a later "
        f"one of the same symbol; {wrong.height} such rows",
        "Sort the source by time and look why it was not: an unsorted file may be damaged",
    )


def _refuse_wrong_columns(bars: pl.DataFrame) -> None:
    for name in COLUMNS:
        if name not in bars.columns:
            raise DataError(
                f"column {name!r} is missing; the columns are {', '.join(bars.columns) or 'none'}",
                "Bring the frame to the normal form with normalise_bars, naming it in data.columns",
            )
        rule: pl.DataType = pl.Float64()
        if name == "timestamp":
            rule = pl.Datetime("us", "UTC")
        elif name == "symbol":
            rule = pl.String()
        if bars.schema[name] != rule:
            raise DataError(
                f"column {name!r} has type {bars.schema[name]}, it must be {rule}",
                "Bring the frame to the normal form with normalise_bars",
            )


def _refuse_bad_values(bars: pl.DataFrame) -> None:
    """Hold every bar to the rules, the plainest rule first."""
    for name in VALUES:
        value = pl.col(name)
        _refuse(
            bars,
            value.is_null() | ~value.is_finite(),
            name,
            "is not a finite number",
            "Drop the row (a missing bar is one without a row) or mend it",
        )
    for name in PRICES:
        _refuse(
            bars,
            pl.col(name) <= 0,
            name,
            "must be above zero",
            "Mend the price; back-adjustment by subtraction gives such values, use ratios",
        )
    _refuse(bars, pl.col("volume") < 0, "volume", "is negative", "Mend the volume")
    low, high = pl.col("low"), pl.col("high")
    _refuse(bars, low > high, "low", "is above high", "Mend the bar", beside="high")
    for name in ("open", "close"):
        value, slack = pl.col(name), PRICE_TOLERANCE * pl.col(name)
        remedy = "Mend or drop the bar; adjust open, high, low and close by the same factor"
        _refuse(bars, value < low - slack, name, "is below low", remedy, beside="low")
        _refuse(bars, value > high + slack, name, "is above high", remedy, beside="high")


def _refuse(
    bars: pl.DataFrame, broken: pl.Expr, name: str, rule: str, remedy: str, *, beside: str = ""
) -> None:
    """Raise DataError naming the first bar where `broken` holds."""
    wrong = bars.filter(broken)
    if wrong.is_empty():
        return
    first = wrong.row(0, named=True)
    found = "null" if first[name] is None else f"{first[name]:.10g}"
    other = f" ({first[beside]:.10g})" if beside else ""
    raise DataError(
        f"{first['symbol']} at {when(first['timestamp'])}: {name} is {found}, which "
        f"{rule}{other}; {wrong.height} such bars",
        remedy,
    )


def _summarise(bars: pl.DataFrame, stamps: pl.Series) -> pl.DataFrame:
    """One row a symbol, in the order of the symbols."""
    move = pl.col("close") / pl.col("close").shift(1) - 1
    rank = pl.Series("timestamp", stamps)
    place = pl.DataFrame({"timestamp": rank, "place": pl.int_range(len(rank), eager=True)})
    return (
        bars.join(place, on="timestamp", maintain_order="left")
        .group_by("symbol")
        .agg(
            pl.col("timestamp").min().alias("first"),
            pl.col("timestamp").max().alias("last"),
            pl.len().cast(pl.Int64).alias("bars"),
            (pl.col("place").max() - pl.col("place").min() + 1 - pl.len())
            .cast(pl.Int64)
            .alias("missing"),
            (pl.col("volume") == 0).sum().cast(pl.Int64).alias("zero_volume"),
            move.get(move.abs().arg_max()).alias("largest_move"),
        )
        .sort("symbol")
    )


def _refuse_gaps(summary: pl.DataFrame, max_missing: float) -> None:
    for row in summary.iter_rows(named=True):
        share = row["missing"] / (row["bars"] + row["missing"])
        if share > max_missing:
            raise DataError(
                f"{row['symbol']} between {when(row['first'])} and {when(row['last'])}: "
                f"{row['missing']} of {row['bars'] + row['missing']} bars are missing "
                f"({share:.1%}), more than data.max_missing allows ({max_missing:.1%})",
                "Fill the source, leave the symbol out, or raise data.max_missing",
            )


def _warnings(bars: pl.DataFrame, summary: pl.DataFrame, stamps: pl.Series) -> Iterable[str]:
    """Say in plain words what is odd, symbol by symbol."""
    for row in summary.iter_rows(named=True):
        symbol, first, last = row["symbol"], row["first"], row["last"]
        own = bars.filter(pl.col("symbol") == symbol)
        if first > stamps[0]:
            yield f"{symbol} starts {when(first)}; it is treated as not tradable before"
        if last < stamps[-1]:
            yield f"{symbol} ends {when(last)}; it is treated as not tradable after"
        if row["missing"]:
            yield (
                f"{symbol} lacks {row['missing']} bars between its first and last; it is treated "
                "as not tradable there, and features whose window touches them are undefined"
            )
        if row["zero_volume"]:
            yield f"{symbol} has {row['zero_volume']} bars without volume; no order fills there"
        yield from _move_warning(symbol, own, row["largest_move"])
        yield from _stale_warning(symbol, own)


def _move_warning(symbol: str, own: pl.DataFrame, largest: float | None) -> Iterable[str]:
    if largest is None or abs(largest) <= LARGE_MOVE:
        return
    moves = own.select("timestamp", move=pl.col("close") / pl.col("close").shift(1) - 1)
    large = moves.filter(pl.col("move").abs() > LARGE_MOVE)
    place = large.filter(pl.col("move") == largest)["timestamp"][0]
    count = "one bar moves" if large.height == 1 else f"{large.height} bars move"
    yield (
        f"{symbol}: {count} by more than {LARGE_MOVE:.0%}, the largest {largest:+.1%} at "
        f"{when(place)}; make sure that it is not an unadjusted split"
    )


def _stale_warning(symbol: str, own: pl.DataFrame) -> Iterable[str]:
    runs = (
        own.group_by(pl.col("close").rle_id().alias("run"))
        .agg(pl.len().alias("bars"), pl.col("timestamp").first())
        .filter(pl.col("bars") >= STALE_BARS)
        .sort("bars", "timestamp", descending=[True, False])
    )
    if not runs.is_empty():
        yield (
            f"{symbol}: the close stands still for {runs['bars'][0]} bars from "
            f"{when(runs['timestamp'][0])}; {runs.height} runs of {STALE_BARS} or more equal "
            "closes look stale"
        )
