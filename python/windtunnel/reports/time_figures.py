"""Pictures of the champion through time: rolling Sharpe ratio, exposure and turnover."""

from __future__ import annotations

from typing import Any

import numpy as np

from windtunnel.reports.data import FloatArray, ReportData, TimeArray
from windtunnel.reports.drawing import Figure, axis, layout, padded, thin, times, values
from windtunnel.reports.figures import LEGEND, level


def rolling(data: ReportData) -> Figure | None:
    """Sharpe ratio of a moving window, champion and buy and hold; None where never defined."""
    details = data.details
    if details is None:
        return None
    curves = (details.rolling, details.rolling_benchmark)
    known = np.flatnonzero(np.isfinite(curves[0]) | np.isfinite(curves[1]))
    if not known.size:
        return None
    first = int(known[0])
    shown = [curve[first:] for curve in curves]
    at = thin([np.nan_to_num(curve) for curve in shown], 1600)
    x = times(data.timestamps[first:][at])
    return {
        "data": [
            _curve("Buy and hold", x, shown[1][at], "benchmark", 1.4),
            _curve("Champion", x, shown[0][at], "champion", 2.0),
        ],
        "layout": layout(
            showlegend=True,
            legend=LEGEND | {"traceorder": "reversed"},
            hovermode="x unified",
            xaxis=axis(type="date", nticks=6),
            yaxis=axis("annualised Sharpe ratio", nticks=6),
            shapes=[level(0.0, "axis", "solid")],
        ),
    }


def activity(data: ReportData) -> Figure | None:
    """Gross and net exposure above, at closes and on average by month; turnover beneath."""
    details = data.details
    if details is None:
        return None
    trace = details.trace
    at = thin([trace.gross, trace.net], 1600)
    first = details.periods.astype("datetime64[D]")
    middle: TimeArray = np.add(first, np.timedelta64(14, "D"))
    months = times(middle)
    pale = _curve("At each close", times(data.timestamps[at]), trace.gross[at], "champion/30", 0.8)
    pale |= {"showlegend": False, "hoverinfo": "skip"}
    gross = _curve("Gross exposure", months, details.gross, "champion", 2.0, ".0%")
    net = _curve("Net exposure", months, details.net, "benchmark", 1.6, ".0%")
    same = bool(np.allclose(trace.gross, trace.net))
    if same:
        gross["name"] = "Exposure, gross and net alike"
    traded = {
        "type": "bar",
        "name": "Turnover",
        "x": months,
        "y": values(details.turnover),
        "yaxis": "y2",
        "showlegend": False,
        "marker": {"color": "dots"},
        "hovertemplate": "%{y:.2f} × equity",
    }
    reach = [0.0, float(np.max(trace.gross)), float(np.min(details.net))]
    return {
        "data": [pale, gross, traded] if same else [pale, gross, net, traded],
        "layout": layout(
            showlegend=True,
            legend=LEGEND,
            hovermode="x unified",
            bargap=0.1,
            xaxis=axis(anchor="y2", type="date", nticks=6),
            yaxis=axis("Of equity", domain=[0.46, 1], tickformat=".0%", nticks=5)
            | {"range": padded(reach, 0.06)},
            yaxis2=axis("Turnover, ×", domain=[0, 0.36], nticks=4, rangemode="tozero"),
        ),
    }


def _curve(
    name: str, x: list[str], y: FloatArray, color: str, width: float, form: str = ".2f"
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": values(y),
        "line": {"color": color, "width": width},
        "hovertemplate": f"%{{y:{form}}}",
    }
