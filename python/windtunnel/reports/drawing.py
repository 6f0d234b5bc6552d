"""What all pictures share: the base layout, colour names, thinning and number lists.

A figure is a plain dict as plotly.js reads it. Its colours are names such as `champion` or
`grid/40` (with a two-digit hexadecimal opacity) that the page resolves from its style
sheet, so that light, dark and print share one figure and one palette.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray

from windtunnel.reports.data import FloatArray, TimeArray

Figure: TypeAlias = dict[str, Any]

# as many points as a screen can show, four curves and their extremes included
POINTS = 4000


def layout(**more: Any) -> dict[str, Any]:
    """Build the base layout; `more` overrides it."""
    base: dict[str, Any] = {
        "autosize": True,
        "margin": {"l": 56, "r": 14, "t": 24, "b": 40},
        "paper_bgcolor": "clear",
        "plot_bgcolor": "clear",
        "font": {"size": 12, "color": "muted"},
        "hoverlabel": {
            "bgcolor": "card",
            "bordercolor": "grid",
            "align": "left",
            "font": {"color": "text"},
        },
        "showlegend": False,
    }
    return base | more


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """One axis with quiet grid lines."""
    base: dict[str, Any] = {
        "gridcolor": "grid",
        "linecolor": "axis",
        "zeroline": False,
        "ticks": "",
        "automargin": True,
        "title": {"text": title, "font": {"size": 12}, "standoff": 8},
    }
    return base | more


def plain(text: str) -> str:
    """User text inside a figure, where plotly would read HTML tags."""
    return str(escape(text))


def values(numbers: Iterable[float]) -> list[float | None]:
    """Six significant digits, None where not finite: what a picture needs and JSON can hold."""
    return [float(f"{x:.6g}") if math.isfinite(x) else None for x in map(float, numbers)]


def times(stamps: TimeArray) -> list[str]:
    """Timestamps as plotly reads them; dates alone when every bar lies on midnight."""
    texts = np.datetime_as_string(stamps, unit="D" if on_midnight(stamps) else "s")
    return [str(text) for text in texts]


def on_midnight(stamps: TimeArray) -> bool:
    """Whether every timestamp is a whole UTC day."""
    return bool(np.all(stamps == stamps.astype("datetime64[D]")))


def drawdown(equity: FloatArray, initial: float) -> FloatArray:
    """Fraction below the highest equity so far (at least `initial`), (T,), at most 0."""
    peak = np.maximum(np.maximum.accumulate(equity), initial)
    return np.asarray(equity / peak - 1.0)


def thin(curves: Sequence[FloatArray], limit: int = POINTS) -> NDArray[np.int64]:
    """Indices to draw: all, or the ends and each bucket's extremes of every curve."""
    bars = curves[0].size
    if bars <= limit:
        return np.arange(bars)
    edges = np.linspace(0, bars, limit // (2 * len(curves)) + 1).astype(np.int64)
    kept = {0, bars - 1}
    for low, high in pairwise(edges.tolist()):
        for curve in curves:
            part = curve[low:high]
            kept |= {int(low + np.argmin(part)), int(low + np.argmax(part))}
    return np.array(sorted(kept), dtype=np.int64)


def log_ticks(low: float, high: float) -> list[float]:
    """Round values for a log axis: evenly spaced on a short one, else 1, 2, 5 or decades."""
    tens = range(math.floor(math.log10(low)) - 2, math.ceil(math.log10(high)) + 1)
    if high / low < 4:
        for step in (s * 10.0**n for n in reversed(tens) for s in (5.0, 2.5, 2.0, 1.0)):
            found = [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
            if len(found) >= 4:
                return [float(f"{tick:.12g}") for tick in found]
    found = []
    for steps in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)):
        found = [float(f"{s}e{n}") for n in tens for s in steps if low <= s * 10.0**n <= high]
        if len(found) >= 4:
            break
    return found[:: 1 + len(found) // 10]


def padded(numbers: Iterable[float], share: float) -> list[float]:
    """An axis range over `numbers` with a margin on both sides; one value gets room too."""
    found = [float(x) for x in numbers if math.isfinite(x)]
    low, high = min(found), max(found)
    room = (high - low) * share or max(abs(low), 1.0) * share
    return [low - room, high + room]


def short(value: float) -> str:
    """A tick label: 120k, 1.5M, 0.03, 1e-05."""
    size = abs(value)
    for limit, unit, letter in ((1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if limit <= size < 1e13:
            return f"{value / unit:.4g}{letter}"
    return f"{value:.3g}"
