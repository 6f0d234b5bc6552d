"""How much trading may cost before nothing is left, for all configurations at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError

Float64Array = npt.NDArray[np.float64]

# How far the exact search for it goes, in basis points of the value traded.
SEARCHED_BPS = 1000.0


def break_even_cost(
    final_equity: npt.ArrayLike, turnover: npt.ArrayLike, *, initial: float, cost: float
) -> Float64Array:
    """Cost of trading, as a fraction of the value traded, at which the total return is zero.

    cost + log(final / initial) / turnover. A trade of the share x of equity multiplies equity
    by 1 - cost x, so cost takes about cost x turnover from the logarithm of equity; what is
    left of the logarithm, divided by turnover, is what each further unit of cost may take.

    Parameters
    ----------
    final_equity : (C,) float64
        After costs, in the currency of `initial`.
    turnover : (C,) float64
        Sum over bars of |traded value| / equity, as `BacktestResult.turnover`.
    initial : float
        Capital before the first bar.
    cost : float
        What was charged, a fraction of the value traded: fee + half-spread. What is charged in
        other ways has no such fraction: give figures of a run without it.

    Returns
    -------
    (C,) float64
        A fraction; times 10,000 it is basis points. Negative where the configuration loses
        even if trading is free. NaN without a trade, and where equity is not positive at
        the end.

    Raises
    ------
    MetricError
        Shapes that do not agree, a NaN or infinite value, a negative turnover or cost, or
        `initial` not above zero.

    Notes
    -----
    First order in cost x share traded in a bar: at ten basis points and a full turn of the
    book in every bar, the result is off by about a thousandth of itself. Financing, and the
    shares traded, are taken as they were; costs that change which orders pass the rebalance
    band, or a liquidation, are seen only by running the backtest again at the cost found.
    """
    final, turned = np.asarray(final_equity, np.float64), np.asarray(turnover, np.float64)
    if final.shape != turned.shape or final.ndim != 1:
        raise MetricError(
            f"final_equity and turnover: must both be (C,), got {final.shape} and {turned.shape}",
            "Give one value for each configuration",
        )
    for name, values in (("final_equity", final), ("turnover", turned)):
        if not np.isfinite(values).all():
            c = int(np.argmin(np.isfinite(values)))
            raise MetricError(
                f"{name}: configuration {c} is {values[c]}", "Leave failed configurations out"
            )
    if (turned < 0).any():
        c = int(np.argmax(turned < 0))
        raise MetricError(
            f"turnover: must be zero or more, configuration {c} is {turned[c]}", "Sum |trades|"
        )
    if not (np.isfinite(initial) and initial > 0):
        raise MetricError(
            f"initial: must be finite and above zero, got {initial}", "Give initial > 0"
        )
    if not (np.isfinite(cost) and cost >= 0):
        raise MetricError(
            f"cost: must be finite and zero or more, got {cost}", "Give fee + half_spread"
        )
    defined = (turned > 0) & (final > 0)
    growth = np.log(np.where(defined, final, initial) / initial)
    return np.asarray(np.where(defined, cost + growth / np.where(defined, turned, 1.0), np.nan))
