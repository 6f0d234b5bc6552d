"""The Sharpe ratio over a moving window."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from windtunnel.errors import MetricError

Float64Array = npt.NDArray[np.float64]

# Windows measured at a time: keeps memory small on long histories.
_AT_ONCE = 2048


def rolling_sharpe(returns: Float64Array, *, window: int, periods_per_year: float) -> Float64Array:
    """Annualised Sharpe ratio of the last `window` returns at each bar.

    Parameters
    ----------
    returns : (T,) float64
        Simple returns per bar.
    window : int
        Bars, at least 2.
    periods_per_year : float
        Bars a year; the ratio (ddof 1, Sharpe 1994) is scaled by its square root.

    Returns
    -------
    (T,) float64
        NaN for the first `window` - 1 bars, for a window that holds a NaN, and where the
        returns of the window do not vary by more than rounding.

    Raises
    ------
    MetricError
        A wrong shape, window < 2, or `periods_per_year` not finite and above zero.
    """
    values = np.asarray(returns, dtype=np.float64)
    if values.ndim != 1:
        raise MetricError(f"returns: must be (T,), got shape {values.shape}", "Give one series")
    if window < 2:
        raise MetricError(f"window: must be 2 or more bars, got {window}", "Widen the window")
    if not (np.isfinite(periods_per_year) and periods_per_year > 0):
        raise MetricError(
            f"periods_per_year: must be finite and above zero, got {periods_per_year}",
            "Give bars a year",
        )
    found = np.full(len(values), np.nan)
    if len(values) < window:
        return found
    windows = sliding_window_view(values, window)
    for start in range(0, len(windows), _AT_ONCE):
        part = windows[start : start + _AT_ONCE]
        mean = part.mean(axis=1)
        deviation = part.std(axis=1, ddof=1)
        noise = 4 * np.finfo(np.float64).eps * (1 + np.abs(part).max(axis=1))
        varies = deviation > noise
        at = slice(start + window - 1, start + window - 1 + len(part))
        np.divide(mean, deviation, out=found[at], where=varies)
    return np.asarray(found * np.sqrt(periods_per_year))
