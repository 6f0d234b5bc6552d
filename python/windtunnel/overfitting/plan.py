"""The deflated Sharpe ratio as an objective: deflated by what a search sets out to try."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from windtunnel.overfitting.sharpe import dsr

Float64Array = npt.NDArray[np.float64]


def dsr_by_plan(
    sharpe: npt.ArrayLike,
    observations: int,
    *,
    trials: int,
    skewness: npt.ArrayLike = 0.0,
    kurtosis: npt.ArrayLike = 3.0,
) -> Float64Array:
    """Deflated Sharpe ratio against the luckiest of the trials that a search plans.

    `dsr` with N the planned number of trials and V = 1 / (T - 1), the variance of the Sharpe
    ratio of T normal returns without skill. Both are known before the first trial, so that the
    measure is the same one from the first trial to the last, whatever else was tried, in which
    order, and whenever the search was stopped and resumed.

    Parameters
    ----------
    sharpe : float or array
        Sharpe ratio per period, ddof 1; NaN gives NaN.
    observations : int
        Number of returns, T >= 2.
    trials : int
        Planned number of trials, N >= 1.
    skewness, kurtosis : float or array
        Of the returns; kurtosis raw (normal = 3).

    Raises
    ------
    MetricError
        As `dsr`.

    Notes
    -----
    Departs from Bailey and Lopez de Prado (2014), who take V from the Sharpe ratios of the
    trials made and N from their number. Those grow as a search goes on: the same curve would be
    worth less the later it is found, and a search would compare what was measured by different
    yardsticks. A study's verdict keeps to the paper, and counts the trials of the whole ledger.
    """
    return dsr(
        sharpe,
        observations,
        trials=trials,
        trial_variance=1.0 / max(observations - 1, 1),
        skewness=skewness,
        kurtosis=kurtosis,
        nan_policy="propagate",
    )
