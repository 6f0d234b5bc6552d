"""The Pareto front of a study with several objectives: a picture for each further one, a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from markupsafe import escape

from windtunnel.reports import glossary
from windtunnel.reports.data import Further, ReportData
from windtunnel.reports.drawing import Figure, axis, layout, plain, values
from windtunnel.reports.formats import number
from windtunnel.reports.tables import Column, Table, searched
from windtunnel.reports.trial_figures import DRAWN, OBJECTIVE
from windtunnel.tuning.front import non_dominated

LISTED = 20  # rows of the table; a front of four objectives can hold most trials
# Points of the front that a browser draws without effort, beside as many trials behind it.
FRONT = 1000


def judged(data: ReportData) -> pl.DataFrame:
    """Complete trials with all objectives, and whether each is on the `front`."""
    names = [OBJECTIVE, *(each.name for each in data.further)]
    table = data.trials.filter(pl.col("state") == "complete").sort("number")
    # As the sampler was told: a configuration that never traded has no turnover to speak of.
    table = table.with_columns(pl.col(names).cast(pl.Float64).fill_nan(None))
    table = table.filter(pl.col(OBJECTIVE).is_not_null()).with_columns(pl.col(names).fill_null(0.0))
    signs = np.array([1.0, *(-1.0 if each.minimised else 1.0 for each in data.further)])
    return table.with_columns(front=non_dominated(table.select(names).to_numpy() * signs))


def pictures(data: ReportData) -> dict[str, Figure]:
    """The study's objective against each further one, by the name of the latter."""
    if not data.further:
        return {}
    table = judged(data)
    return {each.name: _picture(data, table, each) for each in data.further}


def table(data: ReportData) -> Table | None:
    """Trials of the front, the best by the study's objective first; None for one objective."""
    if not data.further:
        return None
    front = judged(data).filter("front")
    order = [-pl.col(OBJECTIVE), pl.col("number") != data.champion]
    # All trials that never traded are equal, and there may be many.
    objectives = [OBJECTIVE, *(each.name for each in data.further)]
    different = front.sort(order, maintain_order=True).unique(objectives, maintain_order=True)
    names = [item.name for item in data.dimensions]
    shown = different.head(LISTED)
    rows = [
        (
            escape(f"{row['number']}" + (" ◆" if row["number"] == data.champion else "")),
            number(row[OBJECTIVE], _term(data.objective).unit),
            *(number(row[each.name], _term(each.name).unit) for each in data.further),
            *(number(row[name]) for name in names),
        )
        for row in shown.iter_rows(named=True)
    ]
    columns = (
        Column("Trial"),
        Column(_term(data.objective).label, "more is better"),
        *(
            Column(_term(each.name).label, "less is better" if each.minimised else "more is better")
            for each in data.further
        ),
        *(searched(name) for name in names),
    )
    caption = f"The Pareto front: {front.height} trials"
    if different.height < front.height:
        caption += f", of equal ones the first; {different.height} differ"
    if different.height > LISTED:
        caption += f", {LISTED} of them shown"
    caption += " (◆ the champion)"
    numbers = shown["number"].to_list()
    marked = numbers.index(data.champion) if data.champion in numbers else -1
    return Table(caption, columns, tuple(rows), marked)


def _picture(data: ReportData, table: pl.DataFrame, further: Further) -> Figure:
    front = table.filter("front").sort(further.name)
    behind = table.filter(~pl.col("front"))
    champion = table.filter(pl.col("number") == data.champion)
    marks: list[tuple[str, pl.DataFrame, dict[str, Any]]] = [
        ("Other trials", _some(behind, DRAWN), {"size": 6, "color": "dots", "opacity": 0.45}),
        ("Pareto front", _some(front, FRONT), {"size": 9, "color": "luck"}),
        ("Champion", champion, {"size": 13, "color": "champion", "symbol": "diamond"}),
    ]
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": values(part[further.name]),
                "y": values(part[OBJECTIVE]),
                "text": [f"trial {n}" for n in part["number"]],
                "marker": marker,
                "hovertemplate": "%{text}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
            }
            | (_stair(data, further) if name == "Pareto front" else {})
            for name, part, marker in marks
        ],
        "layout": layout(
            showlegend=True,
            legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
            xaxis=axis(_titled(further.name, minimised=further.minimised), nticks=6),
            yaxis=axis(_titled(data.objective, minimised=False), nticks=6),
        ),
    }


def _stair(data: ReportData, further: Further) -> dict[str, Any]:
    """What can be had of one objective at a given other; of three or more there is no line."""
    if len(data.further) > 1:
        return {}
    shape = "hv" if further.minimised else "vh"
    return {"mode": "lines+markers", "line": {"color": "luck", "width": 1.5, "shape": shape}}


def _titled(name: str, *, minimised: bool) -> str:
    better = "less is better" if minimised else "more is better"
    return f"{plain(_term(name).label)}, {better}"


def _term(name: str) -> glossary.Term:
    return glossary.metric(name, {})


def _some(table: pl.DataFrame, limit: int) -> pl.DataFrame:
    """All rows, or an even choice of them that holds both ends."""
    if table.height <= limit:
        return table
    return table[np.linspace(0, table.height - 1, limit).astype(np.int64)]
