"""Whether the interval between false alarms can be promised, and how it is spoken of."""

from __future__ import annotations

import math

# Blocks are at most this part of a reference. What remembers longer strays farther than its
# blocks show, and alarms up to four times as often as was asked for: see docs/drift.md.
STRETCHES = 8


def block_within(memory: float, bars: int) -> float:
    """Mean length of blocks for a reference of so many bars: the memory, or an eighth of them."""
    return min(memory, bars / STRETCHES)


def too_short(memory: float, bars: int) -> str:
    """Why a reference of so many bars keeps no promise; empty if it does.

    A short reference hides how long its memory is, so that the number of bars it asks for is
    a lower bound.
    """
    needed = math.ceil(STRETCHES * memory)
    if needed <= bars:
        return ""
    return (
        f"the {bars:,} bars of the training rows are too few for how long they remember; "
        f"{needed:,} are needed, or more"
    )


def how_often(bars: int, unkept: str) -> str:
    """How often there is an alarm without drift, with the reason why that is not sure."""
    if not unkept:
        return f"once in {bars} bars at most"
    return f"perhaps more often than once in {bars} bars, since {unkept}"
