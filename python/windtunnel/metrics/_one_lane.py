"""Metrics of one equity curve, step by step: the careful way.

The vector passes of `_financial_kernel` hand a configuration over when it is ruined, not
finite, beyond their range, or so steady that sums of powers would lose its digits.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from windtunnel.metrics._tails import lane_tails

Float64Array = npt.NDArray[np.float64]

NAMES = (
    "total_return",
    "cagr",
    "volatility",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "max_drawdown_bars",
    "hit_rate",
    "profit_factor",
    "tail_ratio",
    "cvar_95",
    "skewness",
    "kurtosis",
)

# Rounding of one quotient of equities, in returns; four of them pass for no variation.
ROUNDING = 4 * float(np.finfo(np.float64).eps)


@njit(nogil=True, cache=True, error_model="numpy")
def measure_lane(
    path: Float64Array,
    initial: float,
    periods_per_year: float,
    scratch: Float64Array,
    out: Float64Array,
) -> int:
    """Fill out (14,) from one equity curve; return its first non-finite bar, or -1.

    `path` (T,) is overwritten by its returns; `scratch` holds 2 T values.
    """
    out[:] = np.nan
    first_bad = _first_non_finite(path)
    if first_bad >= 0:
        return first_bad
    _path(path, initial, periods_per_year, out)
    to_returns(path, initial)
    _gains(path, out)
    if path.size > 1:
        _moments(path, periods_per_year, out)
        lane_tails(path, scratch, out)
    for k in range(out.size):
        if math.isinf(out[k]):
            out[k] = np.nan
    return -1


@njit(nogil=True, cache=True, error_model="numpy")
def _first_non_finite(path: Float64Array) -> int:
    for t in range(path.size):
        if not math.isfinite(path[t]):
            return t
    return -1


@njit(nogil=True, cache=True, error_model="numpy")
def _path(path: Float64Array, initial: float, periods_per_year: float, out: Float64Array) -> None:
    peak = initial
    worst = 0.0
    under = 0
    longest = 0
    ruined = False
    for t in range(path.size):
        if path[t] <= 0.0:
            ruined = True
        if path[t] >= peak:
            peak = path[t]
            under = 0
        else:
            under += 1
            longest = max(longest, under)
            worst = max(worst, (peak - path[t]) / peak)
    growth = path[path.size - 1] / initial
    out[0] = growth - 1.0
    out[1] = -1.0 if ruined else growth ** (periods_per_year / path.size) - 1.0
    if worst > ROUNDING and math.isfinite(out[1]):
        out[5] = out[1] / worst
    out[6] = worst
    out[7] = longest


@njit(nogil=True, cache=True, error_model="numpy")
def to_returns(path: Float64Array, initial: float) -> None:
    previous = initial
    ruined = False
    for t in range(path.size):
        now = path[t]
        path[t] = 0.0 if ruined else now / previous - 1.0
        ruined = ruined or now <= 0.0
        previous = now


@njit(nogil=True, cache=True, error_model="numpy")
def _gains(r: Float64Array, out: Float64Array) -> None:
    gains = 0.0
    losses = 0.0
    downside = 0.0
    largest = 0.0
    up = 0
    down = 0
    for t in range(r.size):
        largest = max(largest, abs(r[t]))
        if r[t] > 0.0:
            up += 1
            gains += r[t]
        elif r[t] < 0.0:
            down += 1
            losses -= r[t]
            downside += r[t] * r[t]
    if up + down > 0:
        out[8] = up / (up + down)
    if math.sqrt(downside / r.size) > ROUNDING * (1.0 + largest):
        out[9] = gains / losses


@njit(nogil=True, cache=True, error_model="numpy")
def _moments(r: Float64Array, periods_per_year: float, out: Float64Array) -> None:
    n = r.size
    total = 0.0
    largest = 0.0
    downside = 0.0
    for t in range(n):
        total += r[t]
        largest = max(largest, abs(r[t]))
        if r[t] < 0.0:
            downside += r[t] * r[t]
    mean = total / n
    d1 = 0.0
    d2 = 0.0
    d3 = 0.0
    d4 = 0.0
    for t in range(n):
        d = r[t] - mean
        d1 += d
        d2 += d * d
        d3 += d * d * d
        d4 += d * d * d * d
    mean += d1 / n
    d2 -= d1 * d1 / n
    floor = ROUNDING * (1.0 + largest)
    root = math.sqrt(periods_per_year)
    deviation = math.sqrt(max(d2, 0.0) / (n - 1))
    if deviation > floor:
        out[2] = deviation * root
        out[3] = mean / deviation * root
        out[12] = (d3 / n) / (d2 / n) ** 1.5
        out[13] = (d4 / n) / (d2 / n) ** 2
    else:
        out[2] = 0.0
    semideviation = math.sqrt(downside / n)
    if semideviation > floor:
        out[4] = mean / semideviation * root
