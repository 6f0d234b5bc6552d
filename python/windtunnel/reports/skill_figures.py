"""Pictures of what the champion knows: calibration, decay, and who earned the profit."""

from __future__ import annotations

import numpy as np

from windtunnel.reports.data import ReportData
from windtunnel.reports.details import Details
from windtunnel.reports.drawing import Figure, axis, layout, padded, plain, values
from windtunnel.reports.figures import LEGEND, level

MOST_BARS = 12  # instruments in the picture; the table has them all


def calibration(data: ReportData) -> Figure | None:
    """Share of rises by what the champion said of a bar.

    Of a probability, beside the diagonal of a model that keeps word; of a level, which
    promises no share, beside the share of all rows.
    """
    details = data.details
    found = details.calibration if details else None
    if details is None or found is None or not found.rows.size:
        return None
    ends = padded([*found.predicted, *found.low, *found.high], 0.05)
    said = found.predicted
    title, form = "Stated probability of a rise", ".0%"
    if details.levels:
        ends = padded([*found.low, *found.high], 0.05)
        said = 2 * found.predicted - 1
        title, form = "Level decided on, of the largest exposure", "+.0%"
    x = padded(said, 0.08)
    mean = np.average(found.observed, weights=found.rows)
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "x": values(x),
                "y": values([mean, mean] if details.levels else x),
                "line": {"color": "axis", "width": 1.5, "dash": "dash"},
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "mode": "markers+lines",
                "x": values(said),
                "y": values(found.observed),
                "customdata": found.rows.tolist(),
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": values(found.high - found.observed),
                    "arrayminus": values(found.observed - found.low),
                    "color": "champion",
                    "thickness": 1.2,
                    "width": 0,
                },
                "marker": {"size": 8, "color": "champion"},
                "line": {"color": "champion", "width": 1},
                "hovertemplate": f"{'level' if details.levels else 'said'} %{{x:.1%}}, "
                "rose %{y:.1%} of %{customdata:,} rows<extra></extra>",
            },
        ],
        "layout": layout(
            xaxis=axis(title, tickformat=form, nticks=6, range=x)
            | ({"tickformat": ".1%"} if x[1] - x[0] < 0.06 else {}),
            yaxis=axis("Share that rose", tickformat=".0%", nticks=6, range=ends),
        ),
    }


def decay(data: ReportData) -> Figure | None:
    """Rank correlation of score and return by horizon, with each fold as a dot."""
    found = data.details.decay if data.details else None
    if found is None or not np.isfinite(found.rank_ic).any():
        return None
    places = list(range(len(found.horizons)))
    parts = found.by_part.shape[1]
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "name": "Each fold",
                "x": [place for place in places for _ in range(parts)],
                "y": values(found.by_part.ravel()),
                "marker": {"size": 6, "color": "dots", "opacity": 0.7},
                "hovertemplate": "%{y:.3f}",
            },
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": "All bars",
                "x": places,
                "y": values(found.rank_ic),
                "line": {"color": "champion", "width": 2.2},
                "marker": {"size": 8, "color": "champion"},
                "hovertemplate": "%{y:.3f}",
            },
        ],
        "layout": layout(
            showlegend=True,
            legend=LEGEND | {"traceorder": "reversed"},
            xaxis=axis(
                "Bars ahead",
                tickvals=places,
                ticktext=[str(horizon) for horizon in found.horizons],
                showgrid=False,
            ),
            yaxis=axis("Rank correlation", nticks=6, tickformat=".2f"),
            shapes=[level(0.0, "axis", "solid")],
        ),
    }


def contributions(data: ReportData) -> Figure | None:
    """Profit of each instrument as a share of the initial cash, the largest on top."""
    details = data.details
    if details is None or not details.symbols:
        return None
    order = ranked(details)[:MOST_BARS][::-1]
    shares = details.trace.profit[order] / data.initial_cash
    names = [plain(details.symbols[i]) for i in order]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "x": values(shares),
                "y": list(range(len(order))),
                "marker": {"color": ["benchmark" if s < 0 else "champion" for s in shares]},
                "customdata": names,
                "hovertemplate": "%{customdata}: %{x:.1%}<extra></extra>",
            }
        ],
        "layout": layout(
            bargap=0.35,
            xaxis=axis("Profit, of the initial cash", tickformat=".0%", nticks=6),
            yaxis=axis(tickvals=list(range(len(order))), ticktext=names, showgrid=False),
            shapes=[
                {
                    "type": "line",
                    "yref": "paper",
                    "x0": 0,
                    "x1": 0,
                    "y0": 0,
                    "y1": 1,
                    "line": {"color": "axis", "width": 1},
                }
            ],
        ),
    }


def ranked(details: Details) -> list[int]:
    """Instruments by size of their profit or loss, the largest first, ties in their order."""
    return [int(i) for i in np.argsort(-np.abs(details.trace.profit), kind="stable")]
