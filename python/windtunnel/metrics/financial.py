"""Financial metrics of equity curves, for all configurations at once.

Conventions, the same in every report: simple returns per bar, the first from the initial
capital; risk-free rate 0; standard deviation with ddof 1; skewness and kurtosis from
population moments, kurtosis raw (normal = 3); value at risk historical with a linear
quantile, signed. An undefined value is NaN, never infinite and never 0 in disguise.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError
from windtunnel.metrics._financial_kernel import NAMES, WIDTH, measure
from windtunnel.metrics.lanes import over_lanes

Float64Array = npt.NDArray[np.float64]


def financial_metrics(
    equity: Float64Array,
    *,
    initial: float,
    periods_per_year: float,
    nan_policy: Literal["raise", "propagate"] = "raise",
) -> dict[str, Float64Array]:
    """Measure C equity curves of T bars in one call.

    Parameters
    ----------
    equity : (T, C) float64
        Marked at each close. Zero and negative values are legal: a debt is shown.
    initial : float
        Capital before the first bar, in the currency of `equity`. The first return is
        equity[0] / initial - 1 and drawdowns are measured from it too.
    periods_per_year : float
        Bars a year.
    nan_policy : {"raise", "propagate"}
        What to do with a configuration whose equity holds a NaN or an infinity: stop, or
        give it NaN for every metric.

    Returns
    -------
    dict of str to (C,) float64
        total_return
            Last equity / initial - 1. Below -1 when a debt remains.
        cagr
            (last / initial) ** (periods_per_year / T) - 1; -1 for a configuration whose
            equity was at or below zero at any bar. NaN where the power overflows.
        volatility
            Annualised standard deviation of returns (ddof 1).
        sharpe
            Mean / standard deviation, annualised by sqrt(periods_per_year) (Sharpe 1994).
        sortino
            Mean / downside deviation, annualised; downside deviation is
            sqrt(mean(min(r, 0)**2)) over all observations (Sortino and Price 1994).
        calmar
            cagr / max_drawdown.
        max_drawdown
            Largest fall from a running peak, as a positive fraction of the peak.
        max_drawdown_bars
            Longest run of bars below the running peak; one still open counts to the end.
        hit_rate
            Share of bars with a gain among the bars with a gain or a loss.
        profit_factor
            Sum of positive returns / sum of negative returns, as a positive number.
        tail_ratio
            abs(95 % quantile) / abs(5 % quantile) of returns.
        cvar_95
            Mean of the returns that are no larger than the 5 % quantile; signed, so a
            loss is negative.
        skewness, kurtosis
            m3 / m2**1.5 and m4 / m2**2.

    Raises
    ------
    MetricError
        `equity` is not (T, C) with T >= 1, holds a non-finite value (names bar and
        configuration), or `initial` or `periods_per_year` is not finite and positive.

    Notes
    -----
    Ruin is absorbing: from the bar after equity first reaches zero or less, returns are 0.
    The bar of ruin itself has a return of -1 or lower, so the Sharpe ratio of a ruined
    configuration is finite and includes it.

    Undefined, hence NaN: with one bar everything that needs a spread (volatility, sharpe,
    sortino, tail_ratio, cvar_95, skewness, kurtosis); without variation sharpe, skewness
    and kurtosis (volatility is 0); without a losing bar sortino and profit_factor; without
    a drawdown calmar; without any gain or loss hit_rate; with a 5 % quantile of zero
    tail_ratio. A deviation counts as none when it is within four roundings of a quotient
    of equities, 4 eps (1 + max abs r): equity that grows by a constant factor gives
    returns that differ by that much. hit_rate goes by signs alone, those of rounding too.
    """
    curves = _curves(equity, "equity")
    if curves.ndim != 2:
        raise MetricError(
            f"equity: must be (T, C) with time first, got shape {curves.shape}",
            "Use equity[:, None] for one configuration",
        )
    _positive("initial", initial)
    _positive("periods_per_year", periods_per_year)
    if nan_policy not in {"raise", "propagate"}:
        raise MetricError(
            f"nan_policy: must be 'raise' or 'propagate', got {nan_policy!r}", "Use one of the two"
        )
    configurations = curves.shape[1]
    out = np.empty((len(NAMES), configurations))
    first_bad = np.empty(configurations, dtype=np.int64)

    def part(start: int, stop: int) -> None:
        measure(curves, float(initial), float(periods_per_year), out, first_bad, start, stop)

    over_lanes(part, configurations, width=WIDTH)
    if nan_policy == "raise" and (first_bad >= 0).any():
        c = int(np.argmax(first_bad >= 0))
        t = int(first_bad[c])
        raise MetricError(
            f"equity: bar {t} of configuration {c} is {curves[t, c]}",
            "Leave failed configurations out, or pass nan_policy='propagate'",
        )
    return dict(zip(NAMES, out, strict=True))


def returns(equity: Float64Array, initial: float) -> Float64Array:
    """Simple returns per bar, as every metric here understands them.

    Parameters
    ----------
    equity : (T,) or (T, C) float64
        Marked at each close. NaN gives NaN in its own return and the next.
    initial : float
        Capital before the first bar.

    Returns
    -------
    float64 of the shape of `equity`
        equity[t] / equity[t-1] - 1, the first from `initial`; 0 after equity has once
        been at or below zero.

    Raises
    ------
    MetricError
        A wrong shape, or `initial` is not finite and positive.
    """
    curves = _curves(equity, "equity")
    if curves.ndim not in {1, 2}:
        raise MetricError(
            f"equity: must be (T,) or (T, C), got shape {curves.shape}", "Put time first"
        )
    _positive("initial", initial)
    previous = np.empty_like(curves)
    previous[0] = initial
    previous[1:] = curves[:-1]
    ruined = np.logical_or.accumulate(previous <= 0.0, axis=0)
    result = np.zeros_like(curves)
    np.divide(curves, previous, out=result, where=~ruined)
    np.subtract(result, 1.0, out=result, where=~ruined)
    return result


def _curves(values: Float64Array, name: str) -> Float64Array:
    array = np.ascontiguousarray(values, dtype=np.float64)
    if np.ndim(values) == 0 or len(array) == 0:
        raise MetricError(
            f"{name}: needs at least one bar, got shape {np.shape(values)}", "Give T >= 1"
        )
    return array


def _positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise MetricError(f"{name}: must be finite and above zero, got {value}", f"Give {name} > 0")
