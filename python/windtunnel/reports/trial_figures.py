"""Pictures of the search: parallel coordinates, and a slice along each dimension."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from windtunnel.reports.data import Dimension, FloatArray, ReportData
from windtunnel.reports.drawing import (
    Figure,
    axis,
    layout,
    log_ticks,
    plain,
    short,
    values,
)

DRAWN = 1000  # polylines a browser draws without effort; the histogram always uses all
BEST = 250  # of which this many are the best ones
SHADES = 5
OBJECTIVE = "objective"


def finished(data: ReportData) -> pl.DataFrame:
    """Trials that have an objective, as Float64, in order of their number."""
    wanted = [item.name for item in data.dimensions]
    casts = [pl.col(name).cast(pl.Float64, strict=False) for name in [*wanted, OBJECTIVE]]
    table = data.trials.select(pl.col("number"), *casts)
    return table.filter(pl.col(OBJECTIVE).is_finite()).sort("number")


def drawn(data: ReportData) -> pl.DataFrame:
    """At most `DRAWN` finished trials: champion, the best, and an even choice of the rest."""
    table = finished(data)
    if table.height <= DRAWN:
        return table
    best = table.sort(OBJECTIVE, descending=True, maintain_order=True)["number"].head(BEST)
    chosen = set(best.to_list()) | {data.champion}
    rest = table.filter(~pl.col("number").is_in(list(chosen)))["number"].to_numpy()
    steps = np.linspace(0, rest.size - 1, DRAWN - len(chosen)).astype(np.int64)
    chosen |= set(rest[steps].tolist())
    return table.filter(pl.col("number").is_in(list(chosen)))


def parallel(data: ReportData) -> Figure:
    """One line a trial over all searched dimensions, shaded by objective, champion on top."""
    table = drawn(data)
    axes = [*data.dimensions, Dimension(name=OBJECTIVE)]
    heights = np.column_stack([_unit(table[item.name].to_numpy(), log=item.log) for item in axes])
    order = np.argsort(table[OBJECTIVE].to_numpy(), kind="stable")
    opacity = float(np.clip(60 / max(table.height, 1), 0.1, 0.75))
    traces = []
    for shade, lanes in enumerate(np.array_split(order, SHADES)):
        # one trace a shade: lines of different trials are parted by a gap
        gapped = np.column_stack([heights[lanes], np.full(lanes.size, np.nan)])
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": list(range(len(axes) + 1)) * lanes.size,
                "y": values(gapped.ravel()),
                "line": {"color": f"shade{shade}", "width": 1},
                "opacity": min(0.9, opacity * (1 + shade / 2)),
                "hoverinfo": "skip",
            }
        )
    traces.append(_handles(table, axes, heights))
    at = np.flatnonzero(table["number"].to_numpy() == data.champion)
    if at.size:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": list(range(len(axes))),
                "y": values(heights[at[0]]),
                "line": {"color": "champion", "width": 3},
                "marker": {"color": "champion", "size": 8, "symbol": "diamond"},
                "hoverinfo": "skip",
            }
        )
    shapes = [
        {"type": "line", "x0": i, "x1": i, "y0": 0, "y1": 1, "line": {"color": "axis", "width": 1}}
        for i in range(len(axes))
    ]
    return {
        "data": traces,
        "layout": layout(
            margin={"l": 48, "r": 48, "t": 46, "b": 26},
            xaxis=axis(visible=False, range=[-0.05, len(axes) - 0.95], fixedrange=True),
            yaxis=axis(visible=False, range=[-0.06, 1.06], fixedrange=True),
            shapes=shapes,
            annotations=_axis_notes(table, axes, data.objective),
            dragmode=False,
        ),
    }


def slices(data: ReportData) -> dict[str, Figure]:
    """Objective against each searched dimension, one small picture each, by name."""
    table = drawn(data)
    opacity = float(np.clip(30 / np.sqrt(max(table.height, 1)) / 4, 0.22, 0.75))
    return {item.name: _slice(data, table, item, opacity) for item in data.dimensions}


def _unit(column: FloatArray, *, log: bool) -> FloatArray:
    """Scale a column to [0, 1] (a constant one to 1/2), on a log scale where asked."""
    scaled = np.log(np.where(column > 0, column, np.nan)) if log else column
    low, high = np.nanmin(scaled), np.nanmax(scaled)
    if not high > low:
        return np.where(np.isfinite(scaled), 0.5, np.nan)
    return np.asarray((scaled - low) / (high - low))


def _handles(table: pl.DataFrame, axes: list[Dimension], heights: FloatArray) -> dict[str, Any]:
    """Dots on the objective's axis that name a trial and its values under the pointer."""
    columns = [table[item.name].to_list() for item in axes]
    words = [
        f"<b>trial {number}</b><br>"
        + "<br>".join(
            f"{plain(item.name)}  {_signed(row)}" for item, row in zip(axes, cells, strict=True)
        )
        for number, cells in zip(table["number"], zip(*columns, strict=True), strict=True)
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [len(axes) - 1] * table.height,
        "y": values(heights[:, -1]),
        "marker": {"size": 6, "color": "shade4", "opacity": 0.55},
        "text": words,
        "hovertemplate": "%{text}<extra></extra>",
    }


def _axis_notes(table: pl.DataFrame, axes: list[Dimension], objective: str) -> list[dict[str, Any]]:
    """Names above the axes, and the values at their ends and middle."""
    notes = []
    for place, item in enumerate(axes):
        column = table[item.name].to_numpy()
        low, high = float(np.nanmin(column)), float(np.nanmax(column))
        middle = float(np.sqrt(low * high)) if item.log else (low + high) / 2
        last = place == len(axes) - 1
        name = f"objective<br>{plain(objective)}" if last else _broken(item.name)
        if item.log:
            name = name.replace("<br>", ", log<br>", 1) if "<br>" in name else f"{name}, log"
        base: dict[str, Any] = {"x": place, "showarrow": False}
        title = {"text": name, "y": 1.06, "yanchor": "bottom", "font": {"color": "text"}}
        notes.append(base | title)
        ends = [(0.0, low), (0.5, middle), (1.0, high)] if high > low else [(0.5, low)]
        notes += [
            base
            | {
                "y": y,
                "text": _signed(value),
                "xanchor": "left",
                "xshift": 4,
                "bgcolor": "card/dd",
                "borderpad": 1,
                "font": {"size": 11, "color": "text"},
            }
            for y, value in ends
        ]
    return notes


def _slice(data: ReportData, table: pl.DataFrame, item: Dimension, opacity: float) -> Figure:
    """One slice: every trial a dot, the champion a diamond."""
    champion = table.filter(pl.col("number") == data.champion)
    across: dict[str, Any] = {}
    if item.log:
        low, high = _bounds(table[item.name])
        ticks = log_ticks(low, high) if high > low else [low]
        across = {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:.3g}" for tick in ticks]}
    return {
        "data": [
            _dots(table, item, {"size": 6, "color": "dots", "opacity": opacity}),
            _dots(
                champion,
                item,
                {
                    "size": 13,
                    "symbol": "diamond",
                    "color": "champion",
                    "line": {"color": "card", "width": 1.5},
                },
            ),
        ],
        "layout": layout(
            margin={"l": 40, "r": 10, "t": 8, "b": 40},
            xaxis=axis(plain(item.name) + (" (log)" if item.log else ""), nticks=6, **across),
            yaxis=axis(nticks=5),
        ),
    }


def _dots(table: pl.DataFrame, item: Dimension, marker: dict[str, Any]) -> dict[str, Any]:
    """A scatter of objective against one dimension."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": values(table[item.name].fill_null(np.nan)),
        "y": values(table[OBJECTIVE]),
        "text": [f"trial {number}" for number in table["number"]],
        "marker": marker,
        "hovertemplate": "%{text}<br>%{x:.4g}: %{y:.3f}<extra></extra>",
    }


def _bounds(column: pl.Series) -> tuple[float, float]:
    """Smallest and largest value of a column of floats."""
    found = column.drop_nulls().to_numpy()
    return float(np.nanmin(found)), float(np.nanmax(found))


def _broken(name: str) -> str:
    """A dotted name on two lines: the table above the field."""
    return "<br>".join(plain(part) for part in name.split(".", 1))


def _signed(value: float | None) -> str:
    """A value as a tick label with a true minus sign."""
    return "\N{EN DASH}" if value is None else short(value).replace("-", "\N{MINUS SIGN}")
