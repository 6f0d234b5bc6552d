"""The compiled pass behind `financial_metrics`.

Configurations are taken 128 at a time. Blocks of bars are copied into a tile that stays in
cache and swept by the vector passes; the returns of the tile are kept, so that the tail
quantiles can be selected once the mean gain and loss say where the tails begin. What the
sums cannot settle goes to `measure_lane`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from windtunnel.metrics._one_lane import NAMES, ROUNDING, measure_lane
from windtunnel.metrics._passes import (
    CUBES,
    DOWN,
    DOWNSIDE,
    FALL,
    FOURTHS,
    FROM,
    GAINS,
    LONGEST,
    LOSSES,
    PEAK,
    ROWS,
    SQUARES,
    UP,
    WIDTH,
    begin,
    drawdowns,
    gather_tails,
    powers,
    to_returns,
)
from windtunnel.metrics._tails import TAIL, fill_tails, lane_tails, lower_tail

__all__ = ["NAMES", "WIDTH", "measure"]

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_BLOCK = 32  # bars a block; a multiple of 4
_LARGEST = 1e100  # money beyond this may overflow a product
_FEWEST = 128  # bars below which bounds of the tails are not worth their making


@njit(nogil=True, cache=True, error_model="numpy")
def measure(
    equity: Float64Array,
    initial: float,
    periods_per_year: float,
    out: Float64Array,
    first_bad: Int64Array,
    start: int,
    stop: int,
) -> None:
    """Fill out[:, start:stop] (14, C) and first_bad (first non-finite bar, or -1)."""
    bars = equity.shape[0]
    # Bars in front at the initial capital move nothing: they fill the last block of four.
    front = -bars % 4
    sums = np.empty(ROWS * WIDTH)
    block = np.empty((_BLOCK + 1, WIDTH))
    r = np.empty((front + bars, WIDTH))
    # An odd number of cache lines, lest all configurations fall on the same set of them.
    stride = ((front + bars) // 8 + 1 | 1) * 8
    found = np.empty(WIDTH * stride)
    counts = np.empty(WIDTH, dtype=np.int64)
    low = np.empty(WIDTH)
    high = np.empty(WIDTH)
    lane = np.empty(bars)
    scratch = np.empty(2 * bars + 16)
    column = np.empty(out.shape[0])
    plain = 1.0 / _LARGEST < initial < _LARGEST and bars > 1
    for first in range(start, stop, WIDTH):
        width = min(WIDTH, stop - first)
        _sweep(equity, initial, first, width, front, block, r, sums)
        for w in range(width):
            low[w], high[w] = _bounds(sums, w, bars)
        for w in range(width, WIDTH):
            low[w], high[w] = -np.inf, np.inf
        if bars >= _FEWEST:
            gather_tails(r, low, high, found, stride, counts)
        for w in range(width):
            c = first + w
            first_bad[c] = -1
            if plain and _settled(sums, w, bars):
                _finish(sums, w, block[_BLOCK, w], initial, bars, periods_per_year, column)
                if bars < _FEWEST or not _tails(
                    sums, w, bars, found[w * stride :], counts[w], low[w], scratch, column
                ):
                    for t in range(bars):
                        lane[t] = r[front + t, w]
                    lane_tails(lane, scratch, column)
            else:
                for t in range(bars):
                    lane[t] = equity[t, c]
                first_bad[c] = measure_lane(lane, initial, periods_per_year, scratch, column)
            for k in range(out.shape[0]):
                out[k, c] = np.nan if math.isinf(column[k]) else column[k]


@njit(nogil=True, cache=True, error_model="numpy")
def _sweep(
    equity: Float64Array,
    initial: float,
    first: int,
    width: int,
    front: int,
    block: Float64Array,
    r: Float64Array,
    sums: Float64Array,
) -> None:
    """Returns and sums of one tile; leaves the last equity in the last row of `block`."""
    begin(sums, initial)
    block[:] = initial
    total = r.shape[0]
    for done in range(0, total, _BLOCK):
        rows = min(_BLOCK, total - done)
        # The block ends at the last row, so that the next one finds what precedes it there.
        top = _BLOCK - rows
        block[top] = block[_BLOCK]
        for t in range(rows):
            if done + t >= front:
                source = equity[done + t - front]
                target = block[top + 1 + t]
                for w in range(width):
                    target[w] = source[first + w]
        to_returns(block[top:], r[done : done + rows])
        drawdowns(block[top:], sums)
        powers(r[done : done + rows], sums)


@njit(nogil=True, cache=True, error_model="numpy")
def _settled(sums: Float64Array, w: int, bars: int) -> bool:
    """Whether the sums tell all about configuration w, to nearly all digits.

    Ruin is a fall of all there is. NaN and infinity show in the sums, which also lose
    digits when the mean return is larger than the deviation.
    """
    squares = sums[SQUARES * WIDTH + w]
    total = sums[GAINS * WIDTH + w] + sums[LOSSES * WIDTH + w]
    fall = sums[FALL * WIDTH + w]
    if not (
        fall < sums[FROM * WIDTH + w]
        and sums[PEAK * WIDTH + w] < _LARGEST
        and sums[FOURTHS * WIDTH + w] < np.inf
    ):
        return False
    if squares == 0.0:
        return bool(sums[UP * WIDTH + w] + sums[DOWN * WIDTH + w] == 0.0)
    spread = squares - total * total / bars
    floor = ROUNDING * (1.0 + math.sqrt(squares))
    return bool(spread >= 0.5 * squares and spread > floor * floor * bars)


@njit(nogil=True, cache=True, error_model="numpy")
def _finish(
    sums: Float64Array,
    w: int,
    last: float,
    initial: float,
    bars: int,
    periods_per_year: float,
    out: Float64Array,
) -> None:
    """Everything but the tails, from the sums."""
    out[:] = np.nan
    n = float(bars)
    root = math.sqrt(periods_per_year)
    growth = last / initial
    out[0] = growth - 1.0
    out[1] = growth ** (periods_per_year / n) - 1.0
    depth = sums[FALL * WIDTH + w] / sums[FROM * WIDTH + w]
    if depth > ROUNDING and math.isfinite(out[1]):
        out[5] = out[1] / depth
    out[6] = depth
    out[7] = sums[LONGEST * WIDTH + w]
    gains = sums[GAINS * WIDTH + w]
    losses = sums[LOSSES * WIDTH + w]
    up = sums[UP * WIDTH + w]
    down = sums[DOWN * WIDTH + w]
    if up + down == 0.0:
        out[2] = 0.0
        return
    out[8] = up / (up + down)
    mean = (gains + losses) / n
    # Moments about the mean from those about zero.
    second = sums[SQUARES * WIDTH + w] / n
    third = sums[CUBES * WIDTH + w] / n
    fourth = sums[FOURTHS * WIDTH + w] / n
    variance = second - mean * mean
    deviation = math.sqrt(variance * n / (n - 1.0))
    out[2] = deviation * root
    out[3] = mean / deviation * root
    out[12] = (third - 3.0 * mean * second + 2.0 * mean**3) / variance**1.5
    out[13] = (
        fourth - 4.0 * mean * third + 6.0 * mean * mean * second - 3.0 * mean**4
    ) / variance**2
    semideviation = math.sqrt(sums[DOWNSIDE * WIDTH + w] / n)
    if semideviation > ROUNDING * (1.0 + math.sqrt(sums[SQUARES * WIDTH + w])):
        out[4] = mean / semideviation * root
        out[9] = gains / -losses


@njit(nogil=True, cache=True, error_model="numpy")
def _bounds(sums: Float64Array, w: int, bars: int) -> tuple[float, float]:
    """Where the tails begin, if losses and gains each had the shape of half a normal."""
    down = sums[DOWN * WIDTH + w]
    up = sums[UP * WIDTH + w]
    low = -_half_normal_bound(-sums[LOSSES * WIDTH + w], down, bars)
    return low, _half_normal_bound(sums[GAINS * WIDTH + w], up, bars)


@njit(nogil=True, cache=True, error_model="numpy")
def _half_normal_bound(total: float, count: float, bars: int) -> float:
    """Value that somewhat more than a twentieth of all bars exceed; never zero.

    Four standard deviations of the binomial more. The tail of the half normal beyond z is
    taken from 2 (1 - Phi(z)), inverted by Abramowitz and Stegun 26.2.22 (error .003).
    """
    smallest = 5e-324
    mean = TAIL * bars
    wanted = mean + 4.0 * math.sqrt(mean) + 2.0
    if not (wanted < 0.9 * count):
        return smallest
    t = math.sqrt(-2.0 * math.log(0.5 * wanted / count))
    z = t - (2.30753 + 0.27061 * t) / (1.0 + t * (0.99229 + t * 0.04481))
    return max(z * total / count * math.sqrt(0.5 * math.pi), smallest)


@njit(nogil=True, cache=True, error_model="numpy")
def _tails(
    sums: Float64Array,
    w: int,
    bars: int,
    found: Float64Array,
    count: int,
    low: float,
    scratch: Float64Array,
    out: Float64Array,
) -> bool:
    """Tail ratio and CVaR from what was gathered; False if it does not hold the quantiles."""
    needed = int((bars - 1) * TAIL) + 2
    down = int(sums[DOWN * WIDTH + w])
    up = int(sums[UP * WIDTH + w])
    m = 0
    if down + 2 <= needed and bars - up >= needed:
        # So few losses, so many bars without one: the quantile is zero.
        lower, below = 0.0, sums[LOSSES * WIDTH + w] / (bars - up)
    else:
        for t in range(count):
            scratch[m] = found[t]
            m += 1 if found[t] <= low else 0
        if m < needed:
            return False
        lower, below = lower_tail(scratch, m, bars)
    if up + 2 <= needed and bars - down >= needed:
        fill_tails(lower, below, 0.0, out)
        return True
    h = 0
    for t in range(count):
        scratch[h] = -found[t]
        h += 1 if found[t] > low else 0
    if h < needed:
        return False
    upper, _ = lower_tail(scratch, h, bars)
    fill_tails(lower, below, upper, out)
    return True
