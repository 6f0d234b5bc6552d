"""Tables of how the result came about: months, instruments, audits, ledger, added sections."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
from markupsafe import Markup, escape

from windtunnel.reports.data import ReportData
from windtunnel.reports.details import AuditRow
from windtunnel.reports.formats import number
from windtunnel.reports.skill_figures import ranked
from windtunnel.reports.tables import Column, Table

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MOST_ROWS = 200  # of a user's table
NO_BARS = "no bars"
COUNTS = ("runs", "trials", "failed", "counted")


def months(data: ReportData) -> Table | None:
    """Return of each month, shaded by its size; a year a row."""
    if data.details is None:
        return None
    found = data.details.months
    sizes = [abs(value) for value in found.values.ravel().tolist() if math.isfinite(value)]
    # One outlier must not wash out the rest: the darkest shade starts at the 95th percentile.
    full = sorted(sizes)[int(0.95 * (len(sizes) - 1))] if sizes else 1.0
    rows = [
        (
            escape(str(year)),
            *(_shaded(value, full) for value in found.values[i].tolist()),
            number(float(found.totals[i]), "percent", NO_BARS),
        )
        for i, year in enumerate(found.years)
    ]
    columns = (Column("Year"), *(Column(name) for name in MONTHS), Column("Year"))
    caption = "Return by month, %, after costs"
    return Table(caption, columns, tuple(rows))


def _shaded(value: float, full: float) -> Markup:
    if not math.isfinite(value):
        return Markup('<span class="shade"></span>')
    share = round(100 * min(1.0, abs(value) / full)) if full > 0 else 0
    side = "gain" if value > 0 else "loss"
    text = f"{100 * value:.1f}".replace("-", "\N{MINUS SIGN}")
    text = text.lstrip("\N{MINUS SIGN}") if text.strip("\N{MINUS SIGN}0.") == "" else text
    return Markup('<span class="shade {}" style="--share:{}%">{}</span>').format(side, share, text)


def contributions(data: ReportData) -> Table | None:
    """What each instrument earned, cost and traded, the largest profit or loss first."""
    details = data.details
    if details is None:
        return None
    trace, cash = details.trace, data.initial_cash
    bars = data.timestamps.size

    def row(name: Markup, profit: float, *rest: Markup) -> tuple[Markup, ...]:
        return (name, number(profit / cash, "percent"), number(profit, "money"), *rest)

    rows = [
        row(
            escape(details.symbols[i]),
            float(trace.profit[i]),
            number(float(trace.costs[i] + trace.borrow[i]), "money"),
            number(int(trace.fills[i]), "count"),
            number(float(trace.held[i] / bars), "percent"),
        )
        for i in ranked(details)
    ]
    if trace.interest:
        empty = escape("")
        interest = escape("Interest")
        rows.append(row(interest, -trace.interest, empty, empty, empty))
    costs = float(trace.costs.sum() + trace.borrow.sum())
    rows.append(
        row(
            escape("Sum"),
            float(trace.profit.sum()) - trace.interest,
            number(costs, "money"),
            number(int(trace.fills.sum()), "count"),
            escape(""),
        )
    )
    columns = (
        Column("Symbol", kind="text"),
        Column("Profit", "of initial cash"),
        Column("Profit", "currency"),
        Column("Costs", "taken off"),
        Column("Fills"),
        Column("Held", "of bars"),
    )
    return Table("Who earned it", columns, tuple(rows), len(rows) - 1)


def audits(data: ReportData) -> Table | None:
    """Each audit with its outcome in words and figures; None when none was made."""
    if not data.audits:
        return None
    rows = [
        (
            escape(row.name.replace("_", " ")),
            _outcome(row),
            Markup("{} {}").format(row.sentence, _figures(row)),
        )
        for row in data.audits
    ]
    columns = (
        Column("Audit", kind="text"),
        Column("Outcome", kind="text"),
        Column("What was found", kind="text"),
    )
    return Table("Attempts to refute the result", columns, tuple(rows))


def _outcome(row: AuditRow) -> Markup:
    if row.passed is None:
        word = "measured" if row.figures else "not made"
        return Markup('<span class="mark">{}</span>').format(word)
    word = "passed" if row.passed else "FAILED"
    return Markup('<span class="mark {}">{}</span>').format(word.lower(), word)


def _figures(row: AuditRow) -> Markup:
    if not row.figures:
        return Markup()
    parts = [
        Markup("{}&nbsp;{}").format(name.replace("_", " "), number(value))
        for name, value in row.figures.items()
    ]
    return Markup('<small class="figures">{}</small>').format(Markup(" · ").join(parts))


def ledger(data: ReportData) -> Table | None:
    """Studies of the project's life; None when nothing is known of it."""
    if not data.ledger:
        return None
    rows: list[tuple[Markup, ...]] = [
        (
            escape(row.study),
            number(row.runs, "count"),
            number(row.trials, "count"),
            number(row.failed, "count"),
            number(row.counted, "count"),
            number(row.best_sharpe, "ratio", "no trial has one"),
        )
        for row in data.ledger
    ]
    total = [sum(getattr(row, name) for row in data.ledger) for name in COUNTS]
    best = [row.best_sharpe for row in data.ledger if row.best_sharpe is not None]
    if len(rows) > 1:
        rows.append(
            (
                escape("All"),
                *(number(value, "count") for value in total),
                number(max(best, default=None), "ratio", "no trial has one"),
            )
        )
    columns = (
        Column("Study", kind="text"),
        Column("Runs"),
        Column("Trials", "ever"),
        Column("Failed"),
        Column("Count here", "on these bars, no repeats"),
        Column("Best Sharpe", "a year"),
    )
    return Table("Every trial of the project's life", columns, tuple(rows))


def own(title: str, frame: pl.DataFrame) -> Table:
    """A user's data frame, its first rows."""
    numeric = [dtype.is_numeric() for dtype in frame.dtypes]
    columns = tuple(
        Column(name, kind="number" if plain else "text")
        for name, plain in zip(frame.columns, numeric, strict=True)
    )
    rows = [
        tuple(_cell(value, plain) for value, plain in zip(row, numeric, strict=True))
        for row in frame.head(MOST_ROWS).iter_rows()
    ]
    cut = f", the first {MOST_ROWS:,} of {frame.height:,} rows" if frame.height > MOST_ROWS else ""
    return Table(title + cut, columns, tuple(rows))


def _cell(value: Any, plain: bool) -> Markup:
    if plain:
        return number(None if value is None else float(value))
    return escape("" if value is None else str(value))
