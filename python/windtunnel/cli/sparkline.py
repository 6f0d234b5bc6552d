"""A line of numbers in a few characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """Draw the last `width` values, the lowest as the lowest bar; what is not finite as a gap."""
    shown = list(values)[-width:]
    finite = [value for value in shown if math.isfinite(value)]
    if not finite:
        return " " * len(shown)
    low, reach = min(finite), max(finite) - min(finite)
    return "".join(
        BARS[round((value - low) / reach * (len(BARS) - 1)) if reach else 0]
        if math.isfinite(value)
        else " "
        for value in shown
    )
