"""Checks that the statistics of returns share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_EPS = float(np.finfo(np.float64).eps)


def check_returns(returns: Float64Array, *, trials: int, bars: int) -> Float64Array:
    """(T, C) float64 C-contiguous, finite, with at least `bars` rows and `trials` columns."""
    values = np.ascontiguousarray(returns, dtype=np.float64)
    if np.ndim(returns) != 2 or values.shape[0] < bars or values.shape[1] < trials:
        raise MetricError(
            f"returns: must be (T, C) with T >= {bars} bars and C >= {trials} trials, got shape "
            f"{np.shape(returns)}",
            "Put time first, and one column for each trial",
        )
    if not np.isfinite(values).all():
        t, c = np.argwhere(~np.isfinite(values))[0]
        raise MetricError(
            f"returns: bar {t} of trial {c} is {values[t, c]}", "Leave failed trials out"
        )
    return values


def rounding(values: Float64Array) -> Float64Array:
    """Deviation that rounding alone may give to returns as large as those of each column, (C,).

    Four roundings of a quotient of equities, the rule of `financial_metrics` too.
    """
    largest: Float64Array = np.abs(values).max(axis=0)
    return 4 * _EPS * (1.0 + largest)


def varies(values: Float64Array) -> BoolArray:
    """(C,) bool: the column's deviation is more than rounding."""
    centred = values - values.mean(axis=0)
    # The mean of many equal numbers is off by more than one rounding: once more.
    centred -= centred.mean(axis=0)
    deviation = np.sqrt((centred * centred).mean(axis=0))
    return np.asarray(deviation > rounding(values))
