"""The kernels: one causal value per instrument and bar, each window computed afresh.

Every kernel is called as ``kernel(*series, run, window, out)`` with float64 arrays (N, T), one
instrument a row, `run` (N, T) from `listed_run` and `out` (N, T) full of NaN, and writes the
bars whose window has no missing bar. Nothing is carried from one window to the next and loops
count from the window's start, so a value depends, bit for bit, on the bars of its window
alone: not on where the history starts, nor on what follows.

A window without variance has no defined ratio to its standard deviation. The values chosen
for it are the limits that mean "nothing happened"; they are stated kernel by kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, sqrt
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

Series = npt.NDArray[np.float64]
Run = npt.NDArray[np.int64]
F = TypeVar("F", bound=Callable[..., Any])

# Log returns are computed to about 2e-16: a spread below this is rounding, not variance.
STILL = 1e-12
# The same for prices and volumes, relative to their mean.
STILL_RELATIVE = 1e-12
# Log volatility of a market that stands still is that of one moving 1e-6 a bar.
VOLATILITY_FLOOR = 1e-6
# A straight line has an infinite t-statistic.
TREND_LIMIT = 100.0


def jit(function: F) -> F:
    """Compile on first call; keep the machine code on disk where a place can be written."""
    try:
        return cast("F", numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # neither beside this file nor in the user's cache directory
        return cast("F", numba.njit(nogil=True)(function))


@jit
def listed_run(close: Series) -> Run:
    """(N, T) number of bars without a gap up to and including each bar; 0 where missing."""
    run = np.zeros(close.shape, np.int64)
    for n in range(close.shape[0]):
        for t in range(close.shape[1]):
            if not np.isnan(close[n, t]):
                run[n, t] = 1 + (run[n, t - 1] if t > 0 else 0)
    return run


@jit
def _mean(values: Series) -> float:
    total = 0.0
    for i in range(values.size):
        total += values[i]
    return total / values.size


@jit
def _deviation(values: Series) -> float:
    """Sample standard deviation (ddof 1), in two passes."""
    mean = _mean(values)
    total = 0.0
    for i in range(values.size):
        total += (values[i] - mean) ** 2
    return sqrt(total / (values.size - 1))


@jit
def _log_returns(closes: Series) -> Series:
    """Log returns of w + 1 closes."""
    returns = np.empty(closes.size - 1)
    for i in range(returns.size):
        returns[i] = log(closes[i + 1] / closes[i])
    return returns


@jit
def log_return(close: Series, run: Run, window: int, out: Series) -> None:
    """log(close_t / close_{t-w})."""
    for n in range(close.shape[0]):
        for t in range(window, close.shape[1]):
            if run[n, t] > window:
                out[n, t] = log(close[n, t] / close[n, t - window])


@jit
def return_deviation(close: Series, run: Run, window: int, out: Series) -> None:
    """Sample standard deviation of w log returns; exactly 0 when it is only rounding."""
    for n in range(close.shape[0]):
        for t in range(window, close.shape[1]):
            if run[n, t] > window:
                spread = _deviation(_log_returns(close[n, t - window : t + 1]))
                out[n, t] = spread if spread > STILL else 0.0


@jit
def log_volatility(close: Series, run: Run, window: int, out: Series) -> None:
    """Log of the standard deviation of w log returns, floored at log(1e-6)."""
    for n in range(close.shape[0]):
        for t in range(window, close.shape[1]):
            if run[n, t] > window:
                spread = _deviation(_log_returns(close[n, t - window : t + 1]))
                out[n, t] = log(max(spread, VOLATILITY_FLOOR))


@jit
def volatility_ratio(close: Series, run: Run, window: int, out: Series) -> None:
    """Deviation of w log returns over that of 5w; 1 when the long one is 0."""
    long = 5 * window
    for n in range(close.shape[0]):
        for t in range(long, close.shape[1]):
            if run[n, t] > long:
                returns = _log_returns(close[n, t - long : t + 1])
                spread = _deviation(returns)
                out[n, t] = _deviation(returns[long - window :]) / spread if spread > STILL else 1.0


@jit
def cutler_rsi(close: Series, run: Run, window: int, out: Series) -> None:
    """(gains - losses) / (gains + losses) over w changes, which is 2 RSI/100 - 1; 0 if none.

    Cutler's form: simple means in place of Wilder's smoothing, whose memory has no end.
    """
    for n in range(close.shape[0]):
        for t in range(window, close.shape[1]):
            if run[n, t] > window:
                gains, losses = 0.0, 0.0
                for i in range(t - window + 1, t + 1):
                    change = close[n, i] - close[n, i - 1]
                    if change > 0:
                        gains += change
                    else:
                        losses -= change
                moved = gains + losses
                out[n, t] = (gains - losses) / moved if moved > 0 else 0.0


@jit
def last_zscore(values: Series, run: Run, window: int, out: Series) -> None:
    """Last value minus the mean of w, over their standard deviation (ddof 1); 0 if constant."""
    for n in range(values.shape[0]):
        for t in range(window - 1, values.shape[1]):
            if run[n, t] >= window:
                recent = values[n, t - window + 1 : t + 1]
                mean, spread = _mean(recent), _deviation(recent)
                still = spread <= STILL_RELATIVE * abs(mean)
                out[n, t] = 0.0 if still else (values[n, t] - mean) / spread


@jit
def drawdown(high: Series, close: Series, run: Run, window: int, out: Series) -> None:
    """Close over the highest high of w bars, minus 1."""
    for n in range(close.shape[0]):
        for t in range(window - 1, close.shape[1]):
            if run[n, t] >= window:
                top = high[n, t]
                for i in range(t - window + 1, t):
                    top = max(top, high[n, i])
                # A close may stand above its high by rounding, within the gate's tolerance.
                out[n, t] = min(close[n, t] / top - 1.0, 0.0)


@jit
def mean_range(
    high: Series, low: Series, close: Series, run: Run, window: int, out: Series
) -> None:
    """Mean of (high - low) / close over w bars."""
    for n in range(close.shape[0]):
        for t in range(window - 1, close.shape[1]):
            if run[n, t] >= window:
                total = 0.0
                for i in range(t - window + 1, t + 1):
                    total += (high[n, i] - low[n, i]) / close[n, i]
                out[n, t] = total / window


@jit
def rank_return(close: Series, run: Run, window: int, out: Series) -> None:
    """Cross-sectional rank of the w-bar return, in [-0.5, 0.5]; ties share the mean rank.

    Ranked are the instruments whose own window has no missing bar; one alone gets 0.
    """
    growth = np.empty(close.shape[0])
    for t in range(window, close.shape[1]):
        count = 0
        for n in range(close.shape[0]):
            growth[n] = np.nan
            if run[n, t] > window:
                growth[n] = close[n, t] / close[n, t - window]
                count += 1
        for n in range(close.shape[0]):
            if np.isnan(growth[n]):
                continue
            below, equal = 0, 0
            for other in growth:  # comparisons with NaN are false
                below += other < growth[n]
                equal += other == growth[n]
            out[n, t] = (below + 0.5 * (equal - 1)) / (count - 1) - 0.5 if count > 1 else 0.0


@jit
def mean_gap(opening: Series, close: Series, run: Run, window: int, out: Series) -> None:
    """Mean of open_t / close_{t-1} - 1 over w bars."""
    for n in range(close.shape[0]):
        for t in range(window, close.shape[1]):
            if run[n, t] > window:
                total = 0.0
                for i in range(t - window + 1, t + 1):
                    total += opening[n, i] / close[n, i - 1] - 1.0
                out[n, t] = total / window


@jit
def skewness(close: Series, run: Run, window: int, out: Series) -> None:
    """Third central moment over the second to the power 3/2, of w log returns; 0 if constant."""
    for n in range(close.shape[0]):
        for t in range(window, close.shape[1]):
            if run[n, t] > window:
                returns = _log_returns(close[n, t - window : t + 1])
                mean = _mean(returns)
                second, third = 0.0, 0.0
                for i in range(window):
                    deviation = returns[i] - mean
                    second += deviation**2
                    third += deviation**3
                spread = sqrt(second / window)
                out[n, t] = third / window / spread**3 if spread > STILL else 0.0


@jit
def autocorrelation(close: Series, run: Run, window: int, out: Series) -> None:
    """Lag-1 autocorrelation of w log returns about their one mean; 0 if constant."""
    for n in range(close.shape[0]):
        for t in range(window, close.shape[1]):
            if run[n, t] > window:
                returns = _log_returns(close[n, t - window : t + 1])
                mean = _mean(returns)
                square, product = (returns[0] - mean) ** 2, 0.0
                for i in range(1, window):
                    square += (returns[i] - mean) ** 2
                    product += (returns[i] - mean) * (returns[i - 1] - mean)
                out[n, t] = product / square if sqrt(square / window) > STILL else 0.0


@jit
def trend(close: Series, run: Run, window: int, out: Series) -> None:
    """t-statistic of the least-squares slope of log close on time, within +-100.

    slope / (s / sqrt(S_xx)), s the residual standard deviation with w - 2 degrees of freedom.
    A constant close gives 0, a straight line +-100: a random walk of a few hundred bars stays
    below that, and a scaler keeps its meaning.
    """
    middle = (window - 1) / 2
    spread_x = window * (window**2 - 1) / 12
    levels = np.empty(window)
    for n in range(close.shape[0]):
        for t in range(window - 1, close.shape[1]):
            if run[n, t] < window:
                continue
            start = t - window + 1
            for i in range(window):  # relative to the first close, to keep digits
                levels[i] = log(close[n, start + i] / close[n, start])
            mean = _mean(levels)
            slope = 0.0
            for i in range(window):
                slope += (i - middle) * (levels[i] - mean)
            slope /= spread_x
            residual = 0.0
            for i in range(window):
                residual += (levels[i] - mean - slope * (i - middle)) ** 2
            spread = sqrt(residual / (window - 2))
            if spread > STILL:
                out[n, t] = min(max(slope * sqrt(spread_x) / spread, -TREND_LIMIT), TREND_LIMIT)
            elif abs(slope) > STILL:
                out[n, t] = TREND_LIMIT if slope > 0 else -TREND_LIMIT
            else:
                out[n, t] = 0.0
