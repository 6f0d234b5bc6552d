"""Volatility as it was known at each close, for policies that aim at one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from windtunnel.backtest.checks import check_year
from windtunnel.errors import BacktestError
from windtunnel.features.kernels import listed_run, return_deviation

if TYPE_CHECKING:
    import numpy.typing as npt

    from windtunnel.data.panel import Panel


def realised_volatility(
    panel: Panel, window: int, periods_per_year: float
) -> npt.NDArray[np.float64]:
    """Yearly standard deviation of log returns over the last `window` of them, (T, N).

    By the kernel of the feature `volatility`, so that what sizes a position is what a model may
    have seen. NaN until there are enough bars, where an instrument has no bar, and where its price
    has not moved: volatility is then unknown rather than zero.

    Raises
    ------
    BacktestError
        `window` is below 2, or `periods_per_year` is not finite and positive.
    """
    if window < 2:
        raise BacktestError(f"window: must be at least 2 returns, got {window}")
    year = float(np.sqrt(check_year(periods_per_year)))
    close = np.ascontiguousarray(panel.close.T)
    found = np.full(close.shape, np.nan)
    return_deviation(close, listed_run(close), window, found)
    known = np.ascontiguousarray(found.T) * year
    known[~panel.listed | ~(known > 0)] = np.nan
    return known
