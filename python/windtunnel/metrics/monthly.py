"""Returns by calendar month."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MonthlyReturns:
    """Result of `monthly_returns`.

    Attributes
    ----------
    years : tuple of Y int
        Calendar years, in order, without gaps.
    values : (Y, 12) float64
        Return within each month as a fraction; NaN where no bar lies in it, and once the
        equity before it was at or below zero.
    totals : (Y,) float64
        Return within each year, by the same rule.
    """

    years: tuple[int, ...]
    values: Float64Array
    totals: Float64Array


def monthly_returns(
    equity: Float64Array, timestamps: npt.NDArray[np.datetime64], initial: float
) -> MonthlyReturns:
    """Return of each calendar month (UTC), from the last close before it to its last close.

    Parameters
    ----------
    equity : (T,) float64
        Marked at each close, T >= 1.
    timestamps : (T,) datetime64
        UTC, strictly increasing.
    initial : float
        Capital before the first bar, above zero; the first month is measured from it. The
        first and the last month hold the bars that there are.

    Raises
    ------
    MetricError
        Lengths differ, no bar is there, an equity is not finite, times do not increase, or
        `initial` is not finite and above zero.
    """
    curve = np.asarray(equity, dtype=np.float64)
    if curve.ndim != 1 or curve.shape != np.shape(timestamps) or not len(curve):
        raise MetricError(
            f"equity and timestamps: must be (T,) alike with T >= 1, got {curve.shape} and "
            f"{np.shape(timestamps)}",
            "Cut both to the same bars",
        )
    if not np.isfinite(curve).all():
        bar = int(np.argmin(np.isfinite(curve)))
        raise MetricError(f"equity[{bar}]: must be finite, got {curve[bar]}", "Mend the curve")
    later = np.append(not np.isnat(timestamps[0]), np.diff(timestamps) > np.timedelta64(0))
    if not later.all():
        bar = int(np.argmin(later))
        raise MetricError(
            f"timestamps[{bar}]: must be later than the one before, got {timestamps[bar]}",
            "Sort the bars by time, and drop those without one",
        )
    if not (np.isfinite(initial) and initial > 0):
        raise MetricError(
            f"initial: must be finite and above zero, got {initial}", "Give the capital"
        )
    months = timestamps.astype("datetime64[M]").astype(np.int64) + 12 * 1970
    first = int(months[0] // 12)
    years = tuple(range(first, int(months[-1] // 12) + 1))
    values = np.full(12 * len(years), np.nan)
    place, gains = _gains(curve, months - 12 * first, initial)
    values[place] = gains
    totals = np.full(len(years), np.nan)
    place, gains = _gains(curve, months // 12 - first, initial)
    totals[place] = gains
    return MonthlyReturns(years, values.reshape(len(years), 12), totals)


def _gains(
    curve: Float64Array, period: npt.NDArray[np.int64], initial: float
) -> tuple[npt.NDArray[np.int64], Float64Array]:
    """Periods that have bars, and the return within each."""
    last = np.flatnonzero(np.append(np.diff(period) != 0, True))
    ends = curve[last]
    begins = np.append(initial, ends[:-1])
    solvent = np.logical_and.accumulate(begins > 0)
    gains = np.full(len(ends), np.nan)
    np.divide(ends, begins, out=gains, where=solvent)
    return period[last], gains - 1.0
