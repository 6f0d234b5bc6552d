"""How far luck alone would reach: Sharpe ratios, the bar that rises, and CSCV logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from windtunnel.reports.data import FloatArray, ReportData
from windtunnel.reports.drawing import Figure, axis, layout, padded, values
from windtunnel.reports.figures import LEGEND

MOST_TRIALS = 3000  # dots in the picture of the search


def luck(data: ReportData) -> Figure | None:
    """Histogram of all trials' Sharpe ratios with the best that luck alone would show."""
    found = sharpe_ratios(data)
    if found.size == 0:
        return None
    sources = [
        ("expected_maximum_sharpe", data.statistics, "best expected by luck", "luck", "dash"),
        ("sharpe", data.champion_metrics, "champion", "champion", "solid"),
        ("sharpe", data.buy_and_hold_metrics, "buy and hold", "benchmark", "dashdot"),
    ]
    marks = [
        (float(value), text, color, dash)
        for key, source, text, color, dash in sources
        if (value := source.get(key)) is not None and np.isfinite(value)
    ]
    ends = [found.min(), found.max(), *(value for value, *_ in marks)]
    middle = float(min(ends) + max(ends)) / 2
    # a label reaches inwards; the outer its line, the higher it sits, so no line crosses it
    marks.sort(key=lambda mark: abs(mark[0] - middle))
    shapes, notes = [], []
    for place, (value, text, color, dash) in enumerate(marks):
        top = 1.03 + 0.085 * place
        line = {"color": color, "width": 2, "dash": dash}
        shapes.append(_upright(value, top, line))
        words = f"{text} {value:.2f}".replace("-", "\N{MINUS SIGN}")
        notes.append(_flag(value, top, words, color, leftwards=value > middle))
    return _histogram(found, "Annualised Sharpe ratio, out of sample", "Trials", shapes, notes)


def logits(data: ReportData) -> Figure | None:
    """Histogram of the CSCV logits; those at or left of zero are overfitted splits."""
    if data.pbo_logits is None or not np.isfinite(data.pbo_logits).any():
        return None
    found = data.pbo_logits[np.isfinite(data.pbo_logits)]
    shape = _upright(0.0, 1.03, {"color": "luck", "width": 2, "dash": "dash"})
    note = _flag(0.0, 1.03, "below the median", "luck", leftwards=True)
    title = "Logit of the winner's rank on unseen blocks"
    return _histogram(found, title, "Splits", [shape], [note])


def deflation(data: ReportData) -> Figure | None:
    """Every trial's Sharpe ratio in the order of the search, against the bar that luck sets."""
    path = data.deflation
    if path is None or not np.isfinite(path).any() or sharpe_ratios(data).size == 0:
        return None
    table = data.trials.sort("number")
    found = table["sharpe"].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    x = np.arange(1, len(found) + 1)
    best = np.fmax.accumulate(found)
    at = np.arange(len(found))
    if len(found) > MOST_TRIALS:  # the highest are never left out: the running best shows them
        at = np.unique(np.linspace(0, len(found) - 1, MOST_TRIALS).astype(np.int64))
    own = int(table["number"].to_list().index(data.champion))
    marker = {"size": 5, "color": "dots", "opacity": 0.65}
    big = {"size": 11, "color": "champion", "symbol": "diamond"}
    base: dict[str, Any] = {"type": "scatter", "hovertemplate": "%{y:.2f}"}
    return {
        "data": [
            base
            | {"mode": "markers", "name": "A trial", "marker": marker}
            | {"x": x[at].tolist(), "y": values(found[at])},
            base
            | {"mode": "lines", "name": "Best so far", "line": {"color": "text", "width": 1.4}}
            | {"x": x[at].tolist(), "y": values(best[at])},
            base
            | {"mode": "lines", "name": "Best expected by luck"}
            | {"line": {"color": "luck", "width": 2, "dash": "dash"}}
            | {"x": x[at].tolist(), "y": values(path[at])},
            base
            | {"mode": "markers", "name": "Champion", "marker": big}
            | {"x": [own + 1], "y": values(found[[own]])},
        ],
        "layout": layout(
            showlegend=True,
            legend=LEGEND,
            xaxis=axis("Trial, in the order of the search", nticks=6, showgrid=False),
            yaxis=axis("annualised Sharpe ratio", nticks=6),
        ),
    }


def paths(data: ReportData) -> Figure | None:
    """Sharpe ratio of each cross-validated path as a dot, against the one walk forward."""
    given = data.path_sharpes
    if given is None or not np.isfinite(given).any():
        return None
    found = np.sort(given[np.isfinite(given)])
    marks = [
        (float(value), text, color, dash)
        for source, text, color, dash in (
            (data.champion_metrics, "walk forward", "champion", "solid"),
            (data.buy_and_hold_metrics, "buy and hold", "benchmark", "dashdot"),
        )
        if (value := source.get("sharpe")) is not None and np.isfinite(value)
    ]
    ends = padded([0.0, *found, *(value for value, *_ in marks)], 0.08)
    middle = sum(ends) / 2
    shapes, notes = [_upright(0.0, 1.0, {"color": "axis", "width": 1})], []
    for place, (value, text, color, dash) in enumerate(marks):
        top = 1.03 + 0.085 * place
        shapes.append(_upright(value, top, {"color": color, "width": 2, "dash": dash}))
        words = f"{text} {value:.2f}".replace("-", "\N{MINUS SIGN}")
        notes.append(_flag(value, top, words, color, leftwards=value > middle))
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "x": values(found),
                "y": list(range(1, len(found) + 1)),
                "marker": {"size": 11, "color": "dots", "opacity": 0.9},
                "hovertemplate": "%{x:.2f}<extra></extra>",
            }
        ],
        "layout": layout(
            margin={"l": 48, "r": 14, "t": 50, "b": 44},
            xaxis=axis("Annualised Sharpe ratio of a path", range=ends, nticks=7),
            yaxis=axis("Path", range=[0.3, len(found) + 0.7], nticks=6, tickformat="d"),
            shapes=shapes,
            annotations=notes,
        ),
    }


def sharpe_ratios(data: ReportData) -> FloatArray:
    """Finite Sharpe ratios of all trials; empty when the table has none."""
    if "sharpe" not in data.trials.columns:
        return np.empty(0)
    found = data.trials["sharpe"].cast(pl.Float64, strict=False).drop_nulls().to_numpy()
    return np.asarray(found[np.isfinite(found)])


def _upright(x: float, top: float, line: dict[str, Any]) -> dict[str, Any]:
    """A vertical reference line that may rise above the picture."""
    ends: dict[str, Any] = {"x0": x, "x1": x, "y0": 0, "y1": top}
    return {"type": "line", "yref": "paper", "line": line} | ends


def _flag(x: float, top: float, text: str, color: str, *, leftwards: bool) -> dict[str, Any]:
    """The label at the top of a vertical reference line, to one side of it."""
    return {
        "x": x,
        "y": top,
        "yref": "paper",
        "xanchor": "right" if leftwards else "left",
        "yanchor": "middle",
        "xshift": -4 if leftwards else 4,
        "text": text,
        "showarrow": False,
        "font": {"color": color, "size": 12},
    }


def _histogram(
    found: FloatArray,
    across: str,
    up: str,
    shapes: list[dict[str, Any]],
    notes: list[dict[str, Any]],
) -> Figure:
    """Bars over at most 60 equal bins, counted here so that all values are in it."""
    spread = float(np.ptp(found)) > 1e-9 * max(1.0, float(np.abs(found).max()))
    bins = int(np.clip(2 * np.sqrt(found.size), 5, 60)) if spread else 1
    counts, edges = np.histogram(found, bins=bins)
    ends = padded([edges[0], edges[-1], *(shape["x0"] for shape in shapes)], 0.03)
    return {
        "data": [
            {
                "type": "bar",
                "x": values((edges[:-1] + edges[1:]) / 2),
                "y": counts.tolist(),
                "width": values(np.diff(edges)),
                "marker": {"color": "dots", "line": {"color": "card", "width": 1}},
                "hovertemplate": "about %{x:.2f}: %{y}<extra></extra>",
            }
        ],
        "layout": layout(
            margin={"l": 48, "r": 14, "t": 66 if len(notes) > 1 else 24, "b": 44},
            bargap=0,
            xaxis=axis(across, range=ends),
            yaxis=axis(up, nticks=5),
            shapes=shapes,
            annotations=notes,
        ),
    }
