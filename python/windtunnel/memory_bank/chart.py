"""A small picture that a repository's web view shows: lines over time, as SVG.

The bank is read where no script runs and written where no browser is, so its one kind of
picture is drawn here. The same values give the same bytes; it follows the viewer's light or
dark setting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MemoryBankError

Float64Array = npt.NDArray[np.float64]

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 30, 24
POINTS = 320
TICKS = 4
# Light and dark, apart under the common colour blindnesses.
COLOURS = (("#0068a8", "#5cb3ec"), ("#b34700", "#f0944a"), ("#5f6b78", "#98a4b1"))


def line_chart(
    title: str,
    timestamps: npt.NDArray[np.datetime64],
    curves: Mapping[str, Float64Array],
    *,
    shaded_from: np.datetime64 | None = None,
) -> str:
    """Draw up to three curves over time.

    Parameters
    ----------
    title : str
        For people who cannot see it.
    timestamps : (T,) datetime64
        Ascending, T >= 2.
    curves : mapping of str to (T,) float64
        Drawn on a log scale when all values are positive; NaN leaves a gap.
    shaded_from : datetime64, optional
        Where a shaded stretch begins that lasts to the end.

    Raises
    ------
    MemoryBankError
        Lengths differ, there are no finite values, or too many curves.
    """
    bars = len(timestamps)
    if not 1 <= len(curves) <= len(COLOURS) or any(len(c) != bars for c in curves.values()):
        raise MemoryBankError(
            f"curves: must be 1 to {len(COLOURS)} of the {bars} timestamps' length",
            "Give one value a timestamp",
        )
    values = np.array(list(curves.values()), dtype=np.float64)
    finite = values[np.isfinite(values)]
    if bars < 2 or not finite.size:
        raise MemoryBankError("curves: hold nothing to draw", "Leave the picture out")
    log = bool((finite > 0).all())
    scaled = np.log10(values) if log else values
    low, high = float(np.nanmin(scaled)), float(np.nanmax(scaled))
    room = (high - low) * 0.05 or max(abs(low), 1.0) * 0.05
    low, high = low - room, high + room
    when = timestamps.astype("datetime64[us]").astype(np.float64)
    x = LEFT + (when - when[0]) / (when[-1] - when[0]) * (WIDTH - LEFT - RIGHT)
    y = TOP + (high - scaled) / (high - low) * (HEIGHT - TOP - BOTTOM)
    parts = [_head(title), *_shade(timestamps, x, shaded_from)]
    for place in np.linspace(low, high, TICKS + 2)[1:-1]:
        at = TOP + (high - place) / (high - low) * (HEIGHT - TOP - BOTTOM)
        told = _short(10.0**place if log else float(place))
        parts.append(f'<path class="g" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{told}</text>')
    for place, anchor in ((0, "start"), (bars // 2, "middle"), (bars - 1, "end")):
        day = str(timestamps[place].astype("datetime64[D]"))
        parts.append(
            f'<text x="{x[place]:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{day}</text>'
        )
    kept = np.unique(np.linspace(0, bars - 1, min(bars, POINTS)).round().astype(np.int64))
    across = LEFT
    for number, name in enumerate(curves):
        parts.append(f'<path class="c{number}" d="{_line(x[kept], y[number][kept])}"/>')
        parts.append(f'<path class="c{number}" d="M{across} 14h18"/>')
        parts.append(f'<text x="{across + 24}" y="18">{escape(name)}</text>')
        across += 40 + 7 * len(name)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _head(title: str) -> str:
    light = "".join(f".c{i}{{stroke:{pair[0]}}}" for i, pair in enumerate(COLOURS))
    dark = "".join(f".c{i}{{stroke:{pair[1]}}}" for i, pair in enumerate(COLOURS))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(title)}">\n'
        f"<style>text{{font:11px sans-serif;fill:#556170}}path{{fill:none;stroke-width:1.5}}"
        f".g{{stroke:#e3e7ec;stroke-width:1}}.s{{fill:#8b9bb4;fill-opacity:.15}}{light}"
        f"@media(prefers-color-scheme:dark){{text{{fill:#a3afbc}}.g{{stroke:#2b333e}}{dark}}}"
        f"</style>\n<title>{escape(title)}</title>"
    )


def _shade(
    timestamps: npt.NDArray[np.datetime64], x: Float64Array, start: np.datetime64 | None
) -> list[str]:
    if start is None or start > timestamps[-1]:
        return []
    left = float(x[int(np.searchsorted(timestamps, start))])
    return [
        f'<rect class="s" x="{left:.1f}" y="{TOP}" width="{WIDTH - RIGHT - left:.1f}" '
        f'height="{HEIGHT - TOP - BOTTOM}"/>'
    ]


def _line(x: Float64Array, y: Float64Array) -> str:
    """A path that lifts the pen where there is no value."""
    path, down = [], False
    for across, depth in zip(x.tolist(), y.tolist(), strict=True):
        if math.isfinite(depth):
            path.append(f"{'L' if down else 'M'}{across:.1f} {depth:.1f}")
        down = math.isfinite(depth)
    return "".join(path)


def _short(value: float) -> str:
    """A tick label: 120k, 1.5M, 0.03."""
    for limit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"
