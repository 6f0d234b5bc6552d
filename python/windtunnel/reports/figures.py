"""Pictures of the champion: equity with drawdown, the holdout, and what costs do to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from windtunnel.reports.data import FloatArray, ReportData
from windtunnel.reports.drawing import (
    Figure,
    axis,
    drawdown,
    layout,
    log_ticks,
    padded,
    plain,
    short,
    thin,
    times,
    values,
)

LEGEND = {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "font": {"color": "text"}}
FEW_FOLDS = 7  # with more, labels would touch: numbers alone; past MANY_FOLDS none
MANY_FOLDS = 16


def equity(data: ReportData) -> Figure:
    """Champion, buy and hold and cash above, drawdowns beneath, holdout chained on."""
    stamps, curves = _with_holdout(data)
    champion, benchmark, cash = curves
    falls = (drawdown(champion, data.initial_cash), drawdown(benchmark, data.initial_cash))
    at = thin([champion, benchmark, *falls])
    x = times(stamps[at])
    shapes, notes = _marks(data)
    return {
        "data": [
            *_band(data),
            _line("Cash", x, cash[at], "cash", dash="dot"),
            _line("Buy and hold", x, benchmark[at], "benchmark"),
            _line("Champion", x, champion[at], "champion", width=2.2),
            _line("Buy and hold", x, falls[1][at], "benchmark", below=True),
            _line("Champion", x, falls[0][at], "champion", below=True),
        ],
        "layout": layout(
            showlegend=True,
            legend=LEGEND | {"y": 1.05, "traceorder": "reversed"},
            hovermode="x unified",
            xaxis=axis(anchor="y2", type="date"),
            yaxis=money_axis((*curves, *_reach(data))) | {"domain": [0.36, 1]},
            yaxis2=axis("Drawdown", domain=[0, 0.29], tickformat=".0%", nticks=4),
            shapes=shapes,
            annotations=notes,
        ),
    }


def _band(data: ReportData) -> list[dict[str, Any]]:
    """The bootstrap band behind the curves: its lower edge, then the fill up to the upper."""
    band = data.details.band if data.details else None
    if band is None:
        return []
    x = times(data.timestamps[band.bars])
    edge = {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "line": {"color": "clear", "width": 0},
        "hoverinfo": "skip",
    }
    positive = [values(np.where(ends > 0, ends, np.nan)) for ends in (band.low, band.high)]
    name = f"{band.confidence:.0%} of redrawn curves"
    return [
        edge | {"y": positive[0], "name": "Lower end", "showlegend": False},
        edge | {"y": positive[1], "fill": "tonexty", "fillcolor": "champion/28", "name": name},
    ]


def _reach(data: ReportData) -> tuple[FloatArray, ...]:
    """The band's edges as far as an axis should show them: no lower than a tenth of the cash."""
    band = data.details.band if data.details else None
    if band is None:
        return ()
    return (np.maximum(band.low, data.initial_cash / 10), band.high)


def holdout(data: ReportData) -> Figure | None:
    """The holdout on its own, from the initial cash; None when it was not read."""
    held = data.holdout
    if held is None or not held.read:
        return None
    curves = (held.champion_equity, held.buy_and_hold_equity)
    at = thin(curves)
    x = times(held.timestamps[at])
    return {
        "data": [
            _line("Buy and hold", x, curves[1][at], "benchmark"),
            _line("Champion", x, curves[0][at], "champion", width=2.2),
        ],
        "layout": layout(
            showlegend=True,
            legend=LEGEND | {"traceorder": "reversed"},
            hovermode="x unified",
            xaxis=axis(type="date", nticks=6),
            yaxis=money_axis(curves),
        ),
    }


def costs(data: ReportData) -> Figure | None:
    """Sharpe ratio against the cost multiple; None without rows."""
    if not data.cost_rows:
        return None
    rows = sorted(data.cost_rows, key=lambda row: row.multiple)
    benchmark = data.buy_and_hold_metrics.get("sharpe")
    shapes, notes, reach = [], [], [0.0, *(row.sharpe for row in rows)]
    if benchmark is not None and np.isfinite(benchmark):
        reach.append(float(benchmark))
        shapes.append(level(float(benchmark), "benchmark", "dash"))
        notes.append(level_note(float(benchmark), "Buy and hold", "benchmark"))
    shapes.append(level(0.0, "axis", "solid"))
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": values(row.multiple for row in rows),
                "y": values(row.sharpe for row in rows),
                "line": {"color": "champion", "width": 2.2},
                "marker": {
                    "size": [13 if row.multiple == 1 else 8 for row in rows],
                    "color": "champion",
                    "opacity": 1,
                },
                "hovertemplate": "costs × %{x}: Sharpe %{y:.2f}<extra></extra>",
            }
        ],
        "layout": layout(
            xaxis=axis(
                "Costs, as a multiple of the study's",
                tickvals=values(row.multiple for row in rows),
                ticktext=[f"{row.multiple:g}×" for row in rows],
            ),
            yaxis=axis("annualised Sharpe ratio", nticks=6, range=padded(reach, 0.1)),
            shapes=shapes,
            annotations=notes,
        ),
    }


def goes_negative(data: ReportData) -> bool:
    """Whether an equity reaches zero, so that no log axis can show it."""
    return any(float(np.nanmin(curve)) <= 0 for curve in _with_holdout(data)[1])


def money_axis(curves: tuple[FloatArray, ...]) -> dict[str, Any]:
    """A log axis with round ticks; linear when a curve reaches zero."""
    low = min(float(np.nanmin(curve)) for curve in curves)
    high = max(float(np.nanmax(curve)) for curve in curves)
    if low <= 0:
        return axis("Equity, linear", tickformat="~s")
    low, high = low * 0.97, high * 1.03
    ticks = log_ticks(low, high)
    return axis(
        "Equity, log scale",
        type="log",
        range=[float(np.log10(low)), float(np.log10(high))],
        tickvals=ticks,
        ticktext=[short(tick) for tick in ticks],
        hoverformat=",.0f",
    )


def level(y: float, color: str, dash: str) -> dict[str, Any]:
    """A horizontal reference line."""
    line = {"color": color, "width": 1.5 if dash != "solid" else 1, "dash": dash}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line}


def level_note(y: float, text: str, color: str) -> dict[str, Any]:
    """The label of a horizontal reference line, at its right end."""
    return {
        "xref": "paper",
        "x": 1,
        "y": y,
        "xanchor": "right",
        "yanchor": "bottom",
        "text": plain(text),
        "showarrow": False,
        "font": {"color": color, "size": 12},
    }


def _with_holdout(data: ReportData) -> tuple[Any, tuple[FloatArray, FloatArray, FloatArray]]:
    """Out-of-sample curves, continued by the holdout's growth where it was read."""
    curves = (data.champion_equity, data.buy_and_hold_equity, data.cash_equity)
    held = data.holdout
    if held is None or not held.read:
        return data.timestamps, curves
    flat = np.full(held.timestamps.size, data.initial_cash)
    tails = (held.champion_equity, held.buy_and_hold_equity, flat)
    # what ended at zero or in debt has nothing left to grow: its line stops there
    joined = [
        np.concatenate([curve, tail / data.initial_cash * (curve[-1] if curve[-1] > 0 else np.nan)])
        for curve, tail in zip(curves, tails, strict=True)
    ]
    return np.concatenate([data.timestamps, held.timestamps]), (joined[0], joined[1], joined[2])


def _line(
    name: str,
    x: list[str],
    y: FloatArray,
    color: str,
    *,
    width: float = 1.6,
    dash: str = "solid",
    below: bool = False,
) -> dict[str, Any]:
    """One curve; `below` puts it on the drawdown axis."""
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": values(y),
        "line": {"color": color, "width": width, "dash": dash},
        "hovertemplate": "%{y:,.0f}",
    }
    if below:
        trace |= {
            "yaxis": "y2",
            "showlegend": False,
            "name": f"{name}, drawdown",
            "hovertemplate": "%{y:.1%}",
            "line": {"color": color, "width": 1.2},
        }
        if color == "champion":
            trace |= {"fill": "tozeroy", "fillcolor": "champion/26"}
    return trace


def _marks(data: ReportData) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Fold boundaries as thin lines and the holdout as a shaded band, with their labels."""
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for row in data.folds:
        start = row.start.strftime("%Y-%m-%dT%H:%M:%S")
        shapes.append(
            {
                "type": "line",
                "yref": "paper",
                "x0": start,
                "x1": start,
                "y0": 0,
                "y1": 1,
                "layer": "below",
                "line": {"color": "axis", "width": 1, "dash": "dot"},
            }
        )
        if len(data.folds) <= MANY_FOLDS:
            word = f"fold {row.fold}" if len(data.folds) <= FEW_FOLDS else str(row.fold)
            notes.append(_top_note(start, word, "muted"))
    held = data.holdout
    if held is not None and held.read:
        ends = times(held.timestamps[[0, -1]])
        shapes.append(
            {
                "type": "rect",
                "yref": "paper",
                "x0": ends[0],
                "x1": ends[1],
                "y0": 0,
                "y1": 1,
                "layer": "below",
                "fillcolor": "holdout",
                "line": {"width": 0},
            }
        )
        notes.append(_top_note(ends[0], "holdout", "text"))
    return shapes, notes


def _top_note(x: str, text: str, color: str) -> dict[str, Any]:
    """A small label just right of a boundary, at the top of the picture."""
    return {
        "x": x,
        "y": 1,
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "bottom",
        "text": text,
        "showarrow": False,
        "font": {"size": 10, "color": color},
    }
