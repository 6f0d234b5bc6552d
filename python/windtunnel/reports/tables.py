"""Every table of the page as rows of text, apart from how the page draws them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl
from markupsafe import Markup, escape

from windtunnel.reports import glossary
from windtunnel.reports.data import Number, ReportData
from windtunnel.reports.drawing import on_midnight
from windtunnel.reports.formats import UNDEFINED, bare, moment, number
from windtunnel.reports.trial_figures import finished

TOP = 10  # rows of the table of best trials
RUINED = "nothing was left when this fold began"


@dataclass(frozen=True, slots=True)
class Column:
    """A header: its label, a unit beneath it, and what the cells hold."""

    label: str
    unit: str = ""
    kind: Literal["number", "text", "time"] = "number"


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, headers and rows of cells that are safe inside HTML; one row may stand out."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Markup, ...], ...]
    marked: int = -1


def dates_only(data: ReportData) -> bool:
    """Whether times are shown as dates."""
    return on_midnight(data.timestamps)


def folds(data: ReportData) -> Table:
    """One row a fold; IC and AUC where any fold has them."""
    days = dates_only(data)
    skills = [
        (label, [getattr(row, key) for row in data.folds])
        for key, label in (("ic", "IC"), ("auc", "AUC"))
    ]
    shown = [(label, column) for label, column in skills if any(v is not None for v in column)]
    rows = [
        (
            escape(str(row.fold)),
            moment(row.start, dates_only=days),
            moment(row.end, dates_only=days),
            number(row.train_rows, "count"),
            number(row.champion_return, "percent", RUINED),
            number(row.buy_and_hold_return, "percent", RUINED),
            number(
                row.champion_sharpe,
                "ratio",
                RUINED if row.champion_return is None else "returns do not vary in this fold",
            ),
            number(row.champion_drawdown, "percent", RUINED),
            *(number(column[i], "probability") for _, column in shown),
        )
        for i, row in enumerate(data.folds)
    ]
    columns = (
        Column("Fold"),
        Column("From", kind="time"),
        Column("To", kind="time"),
        Column("Train rows"),
        Column("Champion", "return"),
        Column("Buy and hold", "return"),
        Column("Sharpe", "champion, a year"),
        Column("Max drawdown", "champion"),
        *(Column(label, "champion") for label, _ in shown),
    )
    return Table("The champion on each walk-forward fold", columns, tuple(rows))


def metrics(
    caption: str,
    champion: Mapping[str, Number],
    benchmark: Mapping[str, Number],
    reasons: Mapping[str, str],
    own: Mapping[str, glossary.Term],
) -> Table:
    """Champion against buy and hold, in the glossary's order, unknown keys last."""
    known = [key for key in glossary.METRICS if key in champion or key in benchmark]
    others = [key for key in champion if key not in glossary.METRICS]
    rows = []
    for key in [*known, *others]:
        term = glossary.metric(key, own)
        reason = reasons.get(key, UNDEFINED)
        other = benchmark.get(key)
        absent = reason if key in benchmark else "not measured for buy and hold"
        label = _named(term)
        if key in own and term.meaning:
            label += Markup(" <small>{}</small>").format(term.meaning)
        rows.append(
            (
                label,
                number(champion.get(key), term.unit, reason),
                number(other, term.unit, absent),
            )
        )
    columns = (
        Column("Metric", kind="text"),
        Column("Champion"),
        Column("Buy and hold"),
    )
    return Table(caption, columns, tuple(rows))


def statistics(data: ReportData) -> Table:
    """Each statistic with its value and one sentence of meaning."""
    given = data.statistics
    low, high = glossary.INTERVAL
    keys = [key for key in glossary.STATISTICS if key in given]
    if low in given and high in given:
        keys.append("sharpe_interval")
    keys.sort(key=list(glossary.STATISTICS).index)
    keys += [key for key in given if key not in glossary.STATISTICS and key not in (low, high)]
    rows = []
    for key in keys:
        term = glossary.statistic(key, data.own_terms)
        reason = data.reasons.get(key, UNDEFINED)
        if key == "sharpe_interval":
            ends = (number(given[low], "ratio", reason), number(given[high], "ratio", reason))
            value = Markup("{} to {}").format(*ends)
        else:
            value = number(given[key], term.unit, reason)
        rows.append((_named(term), value, escape(term.meaning)))
    columns = (
        Column("Statistic", kind="text"),
        Column("Value"),
        Column("Meaning", kind="text"),
    )
    return Table("How much of the result could be luck", columns, tuple(rows))


def costs(data: ReportData) -> Table:
    """Cost multiples, then the delayed execution."""
    ordered = sorted(data.cost_rows, key=lambda row: row.multiple)
    studied = [row.multiple for row in ordered].index(1.0) if _has_one(data) else -1
    rows = [
        (
            escape(f"costs × {row.multiple:g}" + (" (the study)" if row.multiple == 1 else "")),
            number(row.sharpe, "ratio"),
            number(row.total_return, "percent"),
            number(row.max_drawdown, "percent"),
        )
        for row in ordered
    ]
    if data.delayed is not None:
        late = data.delayed
        bars = "1 bar" if late.bars == 1 else f"{late.bars} bars"
        rows.append(
            (
                escape(f"fills {bars} later"),
                number(late.sharpe, "ratio"),
                number(late.total_return, "percent"),
                number(late.max_drawdown, "percent"),
            )
        )
    columns = (
        Column("Champion with", kind="text"),
        Column("Sharpe", "a year"),
        Column("Return", "total"),
        Column("Max drawdown"),
    )
    return Table("The champion under higher costs and slower fills", columns, tuple(rows), studied)


def best_trials(data: ReportData) -> Table:
    """The best trials by objective, and the champion where it is not among them."""
    table = finished(data).sort("objective", descending=True, maintain_order=True)
    ranked = table.with_row_index("rank", offset=1)
    top = ranked.head(TOP)
    if data.champion not in top["number"]:
        top = pl.concat([top, ranked.filter(pl.col("number") == data.champion)])
    names = [item.name for item in data.dimensions]
    rows = [
        (
            number(row["rank"], "count"),
            escape(f"{row['number']}" + (" ◆" if row["number"] == data.champion else "")),
            number(row["objective"], "ratio"),
            *(number(row[name]) for name in names),
        )
        for row in top.iter_rows(named=True)
    ]
    columns = (
        Column("Rank"),
        Column("Trial"),
        Column("Objective", data.objective),
        *(searched(name) for name in names),
    )
    marked = top["number"].to_list().index(data.champion)
    return Table("Best trials by objective (◆ the champion)", columns, tuple(rows), marked)


def instruments(data: ReportData) -> Table:
    """One row an instrument, as the quality gate saw it."""
    ends = [end for row in data.instruments for end in (row.first, row.last)]
    days = all(end.hour == end.minute == 0 for end in ends)
    plain = all(row.zero_volume is None for row in data.instruments)
    rows = [
        (
            escape(row.symbol),
            moment(row.first, dates_only=days),
            moment(row.last, dates_only=days),
            number(row.bars, "count"),
            number(row.missing, "count"),
            *(() if plain else (number(row.zero_volume, "count", "not counted"),)),
            *(() if plain else (number(row.largest_move, "percent", "a single bar"),)),
        )
        for row in data.instruments
    ]
    columns = (
        Column("Symbol", kind="text"),
        Column("First bar", kind="time"),
        Column("Last bar", kind="time"),
        Column("Bars"),
        Column("Missing", "between first and last"),
        *(() if plain else (Column("No volume", "bars"), Column("Largest move", "close to close"))),
    )
    return Table("Instruments", columns, tuple(rows))


@dataclass(frozen=True, slots=True)
class Card:
    """A key figure: its label, its value, and what to hold it against."""

    label: str
    value: Markup
    beside: Markup


def cards(data: ReportData) -> tuple[Card, ...]:
    """The figures a reader wants first."""
    found = []
    for key in ("total_return", "sharpe", "max_drawdown"):
        term = glossary.METRICS[key]
        reason = data.reasons.get(key, UNDEFINED)
        own = number(data.champion_metrics.get(key), term.unit, reason)
        other = number(data.buy_and_hold_metrics.get(key), term.unit, reason)
        found.append(Card(term.label, own, Markup("buy and hold {}").format(other)))
    for key, label, beside in (
        ("dsr", "Deflated Sharpe", "probability; 0.95 wanted"),
        ("pbo", "Overfitting (PBO)", "probability; noise is 0.5"),
    ):
        reason = data.reasons.get(key, UNDEFINED)
        value = number(data.statistics.get(key), "probability", reason)
        found.append(Card(label, value, escape(beside)))
    life = data.statistics.get("trials_project")
    beside_trials = (
        escape("in this study")
        if life is None
        else escape(f"{bare(float(life), 'count')} in the project's life")
    )
    found.append(Card("Trials", number(data.trials.height, "count"), beside_trials))
    return tuple(found)


def searched(name: str) -> Column:
    """The header of a searched dimension: the field, and the study file's table beneath."""
    table, _, field = name.rpartition(".")
    return Column(field, table)


def _named(term: glossary.Term) -> Markup:
    """The label of a metric or statistic with its unit."""
    return Markup("{} <small>{}</small>").format(term.label, term.unit_text)


def _has_one(data: ReportData) -> bool:
    """Whether the study's own costs are among the rows."""
    return any(row.multiple == 1 for row in data.cost_rows)
