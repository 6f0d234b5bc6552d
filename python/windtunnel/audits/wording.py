"""How far a figure moved, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

NO_CHAMPION = (
    "it takes the champion of a finished run; `windtunnel run` the study first, in this workspace"
)


def change(before: float, after: float) -> str:
    """Say what became of a Sharpe ratio; a clause without its subject."""
    if not (math.isfinite(before) and math.isfinite(after)):
        return "leaves nothing to compare: the champion hardly traded"
    moved = f"moves the champion's Sharpe ratio from {before:.2f} to {after:.2f}"
    if before <= 0:
        return f"{moved}; there was no gain to lose"
    lost = (before - after) / before
    if lost >= 1:
        return f"{moved}: nothing of it is left"
    if lost >= 0.1:
        return f"{moved}: {lost:.0%} of it is gone"
    if lost > -0.1:
        return f"{moved}: it hardly matters"
    return f"{moved}: it is not worse for it"


def spread(figure: float, others: Sequence[float], what: str) -> str:
    """Say where a Sharpe ratio stands among others of the same champion; a whole sentence."""
    finite = [other for other in others if math.isfinite(other)]
    if not finite or not math.isfinite(figure):
        return f"With other {what} there is nothing to compare: the champion hardly traded."
    low, high = min(finite), max(finite)
    count = len(finite)
    if count == 1:
        against = "above it" if low > figure else "below it" if low < figure else "the same"
        return (
            f"With one other {what.removesuffix('s')} the champion's Sharpe ratio is {low:.2f}, "
            f"{against}; the study's own gave {figure:.2f}. One says little."
        )
    told = (
        f"With {count} other {what} the champion's Sharpe ratio lies between {low:.2f} and "
        f"{high:.2f}; the study's own gave {figure:.2f}"
    )
    if figure > high:
        return f"{told}, more than any of them: part of it may be luck."
    if figure < low:
        return f"{told}, less than any of them."
    return f"{told}, which is among them."
