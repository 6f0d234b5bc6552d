"""How long the blocks of the stationary bootstrap should be."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError
from windtunnel.overfitting._returns import check_returns, varies

Float64Array = npt.NDArray[np.float64]

MIN_BARS = 20
_COLUMNS = 256  # series whose autocovariances are taken at once


def stationary_block_length(returns: Float64Array) -> float:
    """Mean block length that suits the stationary bootstrap of a mean.

    Politis and White (2004), Automatic Block-Length Selection for the Dependent
    Bootstrap, section 3.2, with the constant as corrected by Patton, Politis and White
    (2009): (2 G**2 / D)**(1/3) T**(1/3), D = 2 g(0)**2, autocovariances tapered by the
    flat-top window.

    Parameters
    ----------
    returns : (T,) float64
        T >= 20.

    Returns
    -------
    float
        Between 1 and ceil(min(3 sqrt(T), T / 3)); 1 for a constant series.

    Raises
    ------
    MetricError
        NaN or infinite returns, a wrong shape, T < 20.

    Notes
    -----
    The bandwidth is twice the first lag from which max(5, sqrt(log10 T)) autocorrelations
    in a row stay below 2 sqrt(log10(T) / T), as in the authors' code (the paper's text
    counts that lag one lower). Without such a lag it is the largest allowed.
    """
    values = check_series(returns)
    return float(_lengths(values[:, None])[0]) if varies(values[:, None])[0] else 1.0


def common_block_length(returns: Float64Array) -> float:
    """One mean block length for trials that are resampled together.

    The median over the trials of `stationary_block_length`: resampling whole bars keeps the
    dependence between trials, so all of them need the same blocks, and a single trial's
    length is too noisy to let the longest decide.

    Parameters
    ----------
    returns : (T, C) float64
        T >= 20. Trials without variation have no say.

    Returns
    -------
    float
        1 when no trial varies.

    Raises
    ------
    MetricError
        NaN or infinite returns, a wrong shape, T < 20.
    """
    values = check_returns(returns, trials=1, bars=MIN_BARS)
    moving = values[:, varies(values)]
    if moving.shape[1] == 0:
        return 1.0
    parts = range(0, moving.shape[1], _COLUMNS)
    lengths = np.concatenate([_lengths(moving[:, c : c + _COLUMNS]) for c in parts])
    return float(np.median(lengths))


def check_series(returns: Float64Array) -> Float64Array:
    """(T,) float64, finite, T >= 20."""
    if np.ndim(returns) != 1:
        raise MetricError(
            f"returns: must be (T,), got shape {np.shape(returns)}", "Give one trial's returns"
        )
    return check_returns(np.asarray(returns)[:, None], trials=1, bars=MIN_BARS)[:, 0]


def _lengths(values: Float64Array) -> Float64Array:
    """(C,) block lengths of columns that vary."""
    n, trials = values.shape
    run = max(5, math.ceil(math.sqrt(math.log10(n))))
    longest = min(math.ceil(math.sqrt(n)) + run, n - 1)
    x = np.ascontiguousarray(values.T)
    x = x - x.mean(axis=1, keepdims=True)
    covariance = np.stack(
        [np.einsum("ct,ct->c", x[:, lag:], x[:, : n - lag]) for lag in range(longest + 1)]
    )
    covariance /= n
    small = np.abs(covariance / covariance[0]) < 2.0 * math.sqrt(math.log10(n) / n)
    bandwidth = np.full(trials, longest)
    for lag in range(longest + 1 - run, 0, -1):
        quiet = small[lag : lag + run].all(axis=0)
        bandwidth[quiet] = min(2 * lag, longest)
    lags = np.arange(1, longest + 1)[:, None]
    window = np.clip(2.0 * (1.0 - lags / bandwidth), 0.0, 1.0)
    taper = window * covariance[1:]
    spectrum = covariance[0] + 2.0 * taper.sum(axis=0)
    slope = 2.0 * (lags * taper).sum(axis=0)
    bound = float(math.ceil(min(3.0 * math.sqrt(n), n / 3.0)))
    with np.errstate(divide="ignore"):
        length = np.cbrt((slope / np.where(spectrum == 0.0, np.nan, spectrum)) ** 2 * n)
    return np.asarray(np.clip(np.where(np.isnan(length), bound, length), 1.0, bound))
