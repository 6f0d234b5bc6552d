"""The picture of an alert: one figure over time and its limit, as a small SVG file.

Kept as SVG because a person opens it from a chat on any device, and the memory bank shows it
in a repository's web view; neither runs scripts.
"""

from __future__ import annotations

import hashlib
import math
import re
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape

from windtunnel import artifacts
from windtunnel.monitoring.alerts.condition import Condition

_WIDTH, _HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 44, 28
_MOST = 400  # points; a longer history keeps the extremes of each stretch


def draw(condition: Condition, folder: Path) -> str:
    """Write the picture of a condition below `folder` and return its path.

    The name tells signal, moment and subject; the same condition gives the same file.
    """
    words = re.sub(r"[^a-z0-9]+", "-", f"{condition.signal} {condition.subject}".lower())[:60]
    mark = hashlib.sha256(condition.subject.encode()).hexdigest()[:6]
    moment = condition.at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = folder / f"{moment}-{words.strip('-')}-{mark}.svg"
    artifacts.write_text(path, render(condition))
    return str(path)


def render(condition: Condition) -> str:
    """The SVG of a condition: its history, the moment itself and the limit."""
    points = [(at.timestamp(), value) for at, value in condition.history if math.isfinite(value)]
    points.append((condition.at.timestamp(), condition.value))
    points = _thin([point for point in points if math.isfinite(point[1])])
    heights = [value for _, value in points]
    if math.isfinite(condition.threshold):
        heights.append(condition.threshold)
    low, high = min(heights, default=0.0), max(heights, default=1.0)
    pad = (high - low) * 0.08 or max(abs(high), 1.0) * 0.08
    low, high = low - pad, high + pad
    first, last = (points[0][0], points[-1][0]) if points else (0.0, 1.0)

    def x(at: float) -> float:
        share = (at - first) / (last - first) if last > first else 1.0
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    line = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
    limit = y(condition.threshold) if math.isfinite(condition.threshold) else None
    colour = "#b3261e" if condition.breached else "#1b6e3c"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(condition.what)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="12" y="18" font-weight="bold" fill="#222222">'
        f"{escape(_short(f'{condition.signal}: {condition.subject}', 90))}</text>",
        f'<text x="12" y="35" fill="#555555">{escape(_short(condition.what, 105))}</text>',
    ]
    parts += [
        f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end" fill="#555555">'
        f"{value:.3g}</text>"
        for value in (low + pad, high - pad)
    ]
    for at, anchor in ((first, "start"), (last, "end")):
        day = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
        parts.append(
            f'<text x="{x(at):.1f}" y="{_HEIGHT - 9}" text-anchor="{anchor}" fill="#555555">'
            f"{day}</text>"
        )
    if limit is not None:
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{limit:.1f}" y2="{limit:.1f}" '
            'stroke="#888888" stroke-dasharray="5 4"/>'
        )
    parts.append(f'<polyline points="{line}" fill="none" stroke="#1f4e8c" stroke-width="1.6"/>')
    if points:
        at, value = points[-1]
        parts.append(f'<circle cx="{x(at):.1f}" cy="{y(value):.1f}" r="4" fill="{colour}"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(points) <= _MOST:
        return points
    size = -(-len(points) // (_MOST // 2))
    kept = []
    for start in range(0, len(points), size):
        part = points[start : start + size]
        ends = {
            part.index(min(part, key=lambda p: p[1])),
            part.index(max(part, key=lambda p: p[1])),
        }
        kept += [part[k] for k in sorted(ends)]
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
