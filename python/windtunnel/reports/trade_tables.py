"""The champion's trades: what they have in common, and the list of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl
from markupsafe import Markup, escape

from windtunnel.reports.data import ReportData
from windtunnel.reports.formats import missing, moment, number
from windtunnel.reports.tables import Column, Table, dates_only

LISTED = 400  # trades on the page; the run's trades.parquet holds every fill
STILL_HELD = "still held at the end"


@dataclass(frozen=True, slots=True)
class TradeList:
    """Table of summary, table of trades, how many there are, and how many are listed."""

    summary: Table
    listed: Table
    total: int
    shown: int


def trades(data: ReportData) -> TradeList | None:
    """All trades, or the newest of them; None without details or trades."""
    if data.details is None or data.details.trips.is_empty():
        return None
    trips = data.details.trips
    shown = trips.sort("opened", descending=True, maintain_order=True).head(LISTED)
    return TradeList(_summary(trips), _listed(data, shown), trips.height, shown.height)


def _summary(trips: pl.DataFrame) -> Table:
    """Long, short and all trades beside one another."""
    sides = {
        "Long": trips.filter(pl.col("side") == "long"),
        "Short": trips.filter(pl.col("side") == "short"),
        "All": trips,
    }
    rows = []
    for name, part in sides.items():
        profits = part["profit"]
        won, lost = profits.filter(profits > 0), profits.filter(profits <= 0)
        none = "no such trade"
        rows.append(
            (
                escape(name),
                number(part.height, "count"),
                number(won.len() / part.height if part.height else None, "percent", none),
                number(_mean(won), "money", none),
                number(_mean(lost), "money", none),
                number(_mean(part["gain"]), "percent", none),
                number(_mean(part["bars"]), "plain", none),
                number(float(part["costs"].sum()), "money"),
                number(float(profits.sum()), "money"),
            )
        )
    columns = (
        Column("Side", kind="text"),
        Column("Trades"),
        Column("Won"),
        Column("Mean gain", "currency"),
        Column("Mean loss", "currency"),
        Column("Mean return", "of the largest value held"),
        Column("Held", "bars, mean"),
        Column("Costs"),
        Column("Profit", "after costs"),
    )
    return Table("Trades, from no position to none", columns, tuple(rows), len(rows) - 1)


def _listed(data: ReportData, trips: pl.DataFrame) -> Table:
    days = dates_only(data)
    rows = [
        (
            _time(row["opened"], days),
            _time(row["closed"], days),
            escape(row["symbol"]),
            escape(row["side"]),
            number(row["bars"], "count"),
            number(row["units"]),
            number(row["profit"], "money"),
            number(row["gain"], "percent"),
            number(row["costs"], "money"),
            escape(row["reason"]),
        )
        for row in trips.iter_rows(named=True)
    ]
    columns = (
        Column("Opened", kind="time"),
        Column("Closed", kind="time"),
        Column("Symbol", kind="text"),
        Column("Side", kind="text"),
        Column("Held", "bars"),
        Column("Units", "at most"),
        Column("Profit", "after costs"),
        Column("Return", "of the largest value"),
        Column("Costs"),
        Column("Ended by", kind="text"),
    )
    return Table("Trades, newest first", columns, tuple(rows))


def _time(when: datetime | None, days: bool) -> Markup:
    return missing(STILL_HELD) if when is None else moment(when, dates_only=days)


def _mean(values: pl.Series) -> float | None:
    found = values.mean()
    return float(found) if isinstance(found, int | float) else None
