"""A policy's seeds as a distribution, and what stands beside it: one picture, one table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup, escape

from windtunnel.reports.data import ReportData
from windtunnel.reports.details import RivalRow
from windtunnel.reports.drawing import Figure, axis, layout, padded
from windtunnel.reports.formats import Unit, number
from windtunnel.reports.tables import Column, Table

UNITS: dict[str, Unit] = {
    "sharpe": "ratio",
    "total_return": "percent",
    "max_drawdown": "percent",
    "turnover": "ratio",
}
COLOURS = {"champion": "champion", "seed": "dots", "supervised": "luck", "hold": "benchmark"}
NO_RISK = "its returns do not vary"


def rivals(data: ReportData) -> Figure | None:
    """Sharpe ratio of the champion, of each of its seeds alone, and of what stands beside."""
    rows = [row for row in data.rivals if math.isfinite(row.sharpe)]
    if not rows:
        return None
    # From the top: the first kind comes last on an axis that counts upwards.
    kinds = list(dict.fromkeys(row.kind for row in rows))[::-1]
    names = {row.kind: _label(row) for row in rows}
    traces = []
    for kind in kinds:
        found = [row for row in rows if row.kind == kind]
        shape = "circle" if kind == "seed" else "diamond"
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [float(f"{row.sharpe:.6g}") for row in found],
                "y": [names[kind]] * len(found),
                "text": [row.name for row in found],
                "marker": {"size": 11, "color": COLOURS[kind], "symbol": shape, "opacity": 0.9},
                "hovertemplate": "%{text}: %{x:.2f}<extra></extra>",
            }
        )
    ends = padded([0.0, *(row.sharpe for row in rows)], 0.08)
    zero = {"type": "line", "yref": "paper", "x0": 0, "x1": 0, "y0": 0, "y1": 1}
    return {
        "data": traces,
        "layout": layout(
            margin={"l": 150, "r": 14, "t": 14, "b": 44},
            xaxis=axis("annualised Sharpe ratio, out of sample", range=ends, nticks=9),
            yaxis=axis(type="category", range=[-0.6, len(kinds) - 0.4]),
            shapes=[zero | {"line": {"color": "axis", "width": 1}}],
        ),
    }


def _label(row: RivalRow) -> str:
    return "its seeds, each alone" if row.kind == "seed" else row.name


def table(data: ReportData) -> Table | None:
    """Every rival; of several seeds first their lowest, median and highest, figure by figure."""
    if not data.rivals:
        return None
    seeds = [row for row in data.rivals if row.kind == "seed"]
    rows = []
    for row in data.rivals:
        if len(seeds) > 1 and row is seeds[0]:
            for name, share in (("lowest", 0.0), ("median", 0.5), ("highest", 1.0)):
                cells = _cells({key: _quantile(seeds, key, share) for key in UNITS})
                rows.append((escape(f"of its seeds, the {name}"), escape(""), *cells))
        tried = number(row.trials, "count") if row.trials else escape("")
        rows.append((escape(row.name), tried, *_cells({key: getattr(row, key) for key in UNITS})))
    columns = (
        Column("On the validation slices", kind="text"),
        Column("Chosen from", "trials"),
        Column("Sharpe ratio", "a year"),
        Column("Total return"),
        Column("Max drawdown"),
        Column("Turnover", "times equity, in all"),
    )
    return Table("The policy, its seeds and its rivals, after costs", columns, tuple(rows), 0)


def _quantile(seeds: Sequence[RivalRow], key: str, share: float) -> float:
    """A quantile of one figure over the seeds that have it."""
    found = [value for seed in seeds if math.isfinite(value := getattr(seed, key))]
    return float(np.quantile(found, share)) if found else math.nan


def _cells(figures: Mapping[str, float]) -> list[Markup]:
    return [number(value, UNITS[key], NO_RISK) for key, value in figures.items()]
