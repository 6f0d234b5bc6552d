"""Annual Sharpe ratio of returns that depend on one another."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError
from windtunnel.overfitting._returns import varies
from windtunnel.overfitting.block_length import check_series

Float64Array = npt.NDArray[np.float64]


def annualisation_factor(autocorrelations: npt.ArrayLike, periods: float) -> float:
    """Factor from the Sharpe ratio per period to that of `periods` periods together.

    q / sqrt(q + 2 sum over k < q of (q - k) rho_k): Lo (2002), The Statistics of Sharpe
    Ratios, Financial Analysts Journal 58(4), eq. 20. Without autocorrelation it is sqrt(q);
    positive autocorrelation, which smooth or slowly turning returns have, makes it smaller.

    Parameters
    ----------
    autocorrelations : (L,) array
        rho_1 to rho_L, each between -1 and 1; zero beyond. Those from lag q on play no part.
    periods : float
        q, periods a year; at least 1.

    Returns
    -------
    float
        NaN where the autocorrelations given leave no positive variance.

    Raises
    ------
    MetricError
        NaN, an autocorrelation outside [-1, 1], q below 1 or infinite.
    """
    rho = np.atleast_1d(np.asarray(autocorrelations, dtype=np.float64))
    if rho.ndim != 1:
        raise MetricError(
            f"autocorrelations: must be (L,), got shape {rho.shape}",
            "Give rho_1, rho_2, ... as a flat array",
        )
    inside = np.abs(rho) <= 1.0 + 1e-9
    if not inside.all():
        raise MetricError(
            f"autocorrelations: must lie between -1 and 1, got {rho[~inside][0]}",
            "Give rho_1, rho_2, ..., each autocovariance over the variance",
        )
    if not (math.isfinite(periods) and periods >= 1):
        raise MetricError(f"periods: must be finite and 1 or more, got {periods}", "252 for days")
    weight = np.maximum(periods - np.arange(1, len(rho) + 1), 0.0)
    variance = periods + 2.0 * float(weight @ rho)
    return periods / math.sqrt(variance) if variance > 0.0 else math.nan


def annual_sharpe(
    returns: Float64Array, *, periods_per_year: float, lags: int | None = None
) -> float:
    """Annual Sharpe ratio that allows for autocorrelation of the returns.

    Mean / standard deviation (ddof 1) times `annualisation_factor` of the sample's
    autocorrelations up to `lags`, those beyond taken to be zero.

    Parameters
    ----------
    returns : (T,) float64
        Simple returns per bar, T >= 20.
    periods_per_year : float
        Bars a year; at least 1.
    lags : int, optional
        0 to T - 1; by default floor(4 (T / 100)**(2/9)), the rule of Newey and West (1994).
        Each further lag adds its sampling error, weighted by q.

    Returns
    -------
    float
        NaN for a constant series, or where the autocorrelations leave no positive variance.

    Raises
    ------
    MetricError
        NaN or infinite returns, a wrong shape, T < 20, an argument out of range.
    """
    values = check_series(returns)
    bars = len(values)
    count = math.floor(4.0 * (bars / 100.0) ** (2.0 / 9.0)) if lags is None else lags
    if not 0 <= count < bars:
        raise MetricError(f"lags: must be 0 to {bars - 1}, got {count}", "Leave it out")
    if not varies(values[:, None])[0]:
        return math.nan
    centred = values - values.mean()
    square = float(centred @ centred)
    rho = [float(centred[k:] @ centred[:-k]) / square for k in range(1, count + 1)]
    sharpe = float(values.mean() / values.std(ddof=1))
    return sharpe * annualisation_factor(rho, periods_per_year)
