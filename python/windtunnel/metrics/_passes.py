"""Vector passes over a tile: time in the outer loop, 128 configurations in the inner one.

Sums are kept in one flat array, a row of 128 for each, and four bars are taken at a time, so
that they stay in registers; the inner loops have no branches, so that they become vector
instructions. Every configuration sees the same operations in the same order whatever its
place, so its results do not depend on its neighbours.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

WIDTH = 128
"""Configurations a tile: what is read of a bar at once, 1 kB, beside what the cache holds."""

# Rows of the sums. The drawdown is kept as a pair, fall and peak: comparing two such needs
# products, where their quotients would need a division a bar.
PEAK, UNDER, LONGEST, FALL, FROM = range(5)
SQUARES, CUBES, FOURTHS, LOSSES, DOWNSIDE, GAINS, UP, DOWN = range(5, 13)
ROWS = 13


@njit(nogil=True, cache=True, error_model="numpy")
def begin(sums: Float64Array, initial: float) -> None:
    """Set the sums to those of no bars."""
    sums[:] = 0.0
    sums[PEAK * WIDTH : (PEAK + 1) * WIDTH] = initial
    sums[FROM * WIDTH : (FROM + 1) * WIDTH] = 1.0


@njit(nogil=True, cache=True, error_model="numpy")
def to_returns(equity: Float64Array, r: Float64Array) -> None:
    """r[t] = equity[t + 1] / equity[t] - 1; (B + 1, W) to (B, W)."""
    # As flat arrays: the compiler would unroll a short inner loop rather than use vectors.
    path = equity.reshape(-1)
    out = r.reshape(-1)
    for i in range(out.size):
        out[i] = path[i + WIDTH] / path[i] - 1.0


@njit(nogil=True, cache=True, error_model="numpy")
def drawdowns(equity: Float64Array, sums: Float64Array) -> None:
    """Running peak, longest time below it and deepest fall; B + 1 rows, B in fours."""
    for t in range(1, equity.shape[0], 4):
        e0 = equity[t]
        e1 = equity[t + 1]
        e2 = equity[t + 2]
        e3 = equity[t + 3]
        for w in range(WIDTH):
            peak = sums[PEAK * WIDTH + w]
            under = sums[UNDER * WIDTH + w]
            longest = sums[LONGEST * WIDTH + w]
            fall = sums[FALL * WIDTH + w]
            fallen_from = sums[FROM * WIDTH + w]
            for k in range(4):
                e = e0[w] if k == 0 else (e1[w] if k == 1 else (e2[w] if k == 2 else e3[w]))
                peak = e if e > peak else peak
                under = under + 1.0 if e < peak else 0.0
                longest = under if under > longest else longest
                depth = peak - e
                deeper = depth * fallen_from > fall * peak
                fall = depth if deeper else fall
                fallen_from = peak if deeper else fallen_from
            sums[PEAK * WIDTH + w] = peak
            sums[UNDER * WIDTH + w] = under
            sums[LONGEST * WIDTH + w] = longest
            sums[FALL * WIDTH + w] = fall
            sums[FROM * WIDTH + w] = fallen_from


@njit(nogil=True, cache=True, error_model="numpy")
def powers(r: Float64Array, sums: Float64Array) -> None:
    """Sums of powers, of gains and of losses; (B, W), B in fours."""
    for t in range(0, r.shape[0], 4):
        r0 = r[t]
        r1 = r[t + 1]
        r2 = r[t + 2]
        r3 = r[t + 3]
        for w in range(WIDTH):
            squares = sums[SQUARES * WIDTH + w]
            cubes = sums[CUBES * WIDTH + w]
            fourths = sums[FOURTHS * WIDTH + w]
            losses = sums[LOSSES * WIDTH + w]
            downside = sums[DOWNSIDE * WIDTH + w]
            gains = sums[GAINS * WIDTH + w]
            up = sums[UP * WIDTH + w]
            down = sums[DOWN * WIDTH + w]
            for k in range(4):
                x = r0[w] if k == 0 else (r1[w] if k == 1 else (r2[w] if k == 2 else r3[w]))
                square = x * x
                squares += square
                cubes += square * x
                fourths += square * square
                loss = x if x < 0.0 else 0.0
                losses += loss
                downside += loss * loss
                gains += x - loss
                up += 1.0 if x > 0.0 else 0.0
                down += 1.0 if x < 0.0 else 0.0
            sums[SQUARES * WIDTH + w] = squares
            sums[CUBES * WIDTH + w] = cubes
            sums[FOURTHS * WIDTH + w] = fourths
            sums[LOSSES * WIDTH + w] = losses
            sums[DOWNSIDE * WIDTH + w] = downside
            sums[GAINS * WIDTH + w] = gains
            sums[UP * WIDTH + w] = up
            sums[DOWN * WIDTH + w] = down


@njit(nogil=True, cache=True, error_model="numpy")
def gather_tails(
    r: Float64Array,
    low: Float64Array,
    high: Float64Array,
    found: Float64Array,
    stride: int,
    counts: Int64Array,
) -> None:
    """Collect what lies at or beyond each configuration's bounds, in order of time; r in fours.

    counts[w] values of configuration w go to found[w * stride :]. Every value is written;
    only those that count move the place of writing on.
    """
    for w in range(WIDTH):
        counts[w] = 0
    for t in range(0, r.shape[0], 4):
        r0 = r[t]
        r1 = r[t + 1]
        r2 = r[t + 2]
        r3 = r[t + 3]
        for w in range(WIDTH):
            start = w * stride
            at = start + counts[w]
            below = low[w]
            above = high[w]
            x = r0[w]
            found[at] = x
            at += 1 if (x <= below) | (x >= above) else 0
            x = r1[w]
            found[at] = x
            at += 1 if (x <= below) | (x >= above) else 0
            x = r2[w]
            found[at] = x
            at += 1 if (x <= below) | (x >= above) else 0
            x = r3[w]
            found[at] = x
            at += 1 if (x <= below) | (x >= above) else 0
            counts[w] = at - start
