"""Interval of a Sharpe ratio by the stationary bootstrap, with automatic block length."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError
from windtunnel.metrics.lanes import over_lanes
from windtunnel.overfitting._bootstrap_kernel import resample_sharpe
from windtunnel.overfitting._returns import rounding, varies
from windtunnel.overfitting.block_length import check_series, stationary_block_length

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SharpeInterval:
    """Result of `bootstrap_sharpe_interval`.

    Attributes
    ----------
    low, high : float
        Ends of the interval, annualised; NaN when undefined, `reason` then says why.
    block_length : float
        Mean block length in bars.
    resamples, undefined : int
        Resamples drawn, and how many of them had no variation and were left out.
    reason : str
        Empty, or why there is no interval.
    """

    low: float
    high: float
    block_length: float
    resamples: int
    undefined: int
    reason: str = ""


def bootstrap_sharpe_interval(
    returns: Float64Array,
    *,
    periods_per_year: float,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    block_length: float | None = None,
) -> SharpeInterval:
    """Percentile interval of the annualised Sharpe ratio under serial dependence.

    Stationary bootstrap of Politis and Romano (1994): blocks of geometric length from a
    circular series. The same arguments give the same interval on any number of threads.

    Parameters
    ----------
    returns : (T,) float64
        Simple returns per bar, T >= 20.
    periods_per_year : float
        Bars a year; the interval is scaled by its square root.
    confidence : float
        Share of the resamples inside, between 0 and 1.
    resamples : int
        How many, at least 100.
    seed : int
        Non-negative, below 2**63.
    block_length : float, optional
        Mean block length in bars, 1 to T; `stationary_block_length` when absent.

    Returns
    -------
    SharpeInterval
        Not corrected for the choice among trials: the interval of the best of many is
        centred on its luck. Bars that depend on one another make it too narrow: at 95 % it
        holds the truth in 91 cases of 100 with 250 or 1,000 bars and an autocorrelation of
        0.3, in 89 with 1,000 bars and 0.9.

    Raises
    ------
    MetricError
        NaN or infinite returns, a wrong shape, T < 20, or an argument out of range.
    """
    values = check_series(returns)
    _check(
        periods_per_year > 0 and math.isfinite(periods_per_year),
        "periods_per_year",
        "finite and above zero",
        periods_per_year,
    )
    _check(0 < confidence < 1, "confidence", "between 0 and 1", confidence)
    _check(resamples >= 100, "resamples", "100 or more", resamples)
    _check(0 <= seed < 2**63, "seed", "between 0 and 2**63 - 1", seed)
    if not varies(values[:, None])[0]:
        return SharpeInterval(
            np.nan, np.nan, np.nan, resamples, resamples, "the returns do not vary"
        )
    block = stationary_block_length(values) if block_length is None else float(block_length)
    _check(1 <= block <= len(values), "block_length", f"between 1 and {len(values)} bars", block)
    drawn = np.empty(resamples)
    noise = float(rounding(values))

    def part(start: int, stop: int) -> None:
        resample_sharpe(values, seed, block, noise, drawn, start, stop)

    over_lanes(part, resamples, width=64)
    defined = drawn[~np.isnan(drawn)]
    missing = resamples - len(defined)
    if missing > resamples // 2:
        return SharpeInterval(
            np.nan,
            np.nan,
            block,
            resamples,
            missing,
            "most resamples have no variation: too few bars with a return",
        )
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail]) * math.sqrt(periods_per_year)
    return SharpeInterval(float(low), float(high), block, resamples, missing)


def _check(passed: bool, name: str, rule: str, value: float) -> None:
    if not passed:
        raise MetricError(f"{name}: must be {rule}, got {value}", f"Change {name}")
