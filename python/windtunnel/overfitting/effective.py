"""How many independent trials a set of correlated trials is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.overfitting._returns import check_returns, varies
from windtunnel.overfitting.clusters import cluster_trials

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EffectiveTrials:
    """Effective numbers of trials, each by its name.

    Attributes
    ----------
    trials : int
        Columns given, M.
    constant : int
        Columns without variation (no trades, for instance): they have no correlation and
        are left out of the figures below.
    mean_correlation : float
        Average off-diagonal correlation, rho; NaN with fewer than two varying columns.
    by_correlation : float
        rho + (1 - rho) M, between 1 and M (Bailey and Lopez de Prado 2014, appendix 3).
    by_participation : float
        Participation ratio of the eigenvalues of the correlation matrix,
        (sum of l)**2 / sum of l**2, between 1 and min(M, T - 1).
    by_clusters : float
        Clusters of the correlation matrix, between 1 and M; see `cluster_trials`.

    All are NaN when every column is constant.
    """

    trials: int
    constant: int
    mean_correlation: float
    by_correlation: float
    by_participation: float
    by_clusters: float


def effective_trials(returns: Float64Array) -> EffectiveTrials:
    """Effective number of trials from the correlation of their returns.

    Parameters
    ----------
    returns : (T, C) float64
        Simple returns of each trial, T >= 2.

    Returns
    -------
    EffectiveTrials
        Three estimates. They differ: one cluster of copies among independent trials weighs
        more in the participation ratio, and clusters neglect the spread within themselves.
        Deflating by the largest is the safer choice.

    Raises
    ------
    MetricError
        NaN or infinite returns, a wrong shape, T < 2, no trial.

    Notes
    -----
    None needs the eigenvalues: the sum of their squares is the squared Frobenius norm
    of the correlation matrix, taken over the smaller of T and C, and rho follows from the
    sum of the standardised columns.
    """
    values = check_returns(returns, trials=1, bars=2)
    bars, trials = values.shape
    moving = varies(values)
    kept = int(moving.sum())
    if kept == 0:
        return EffectiveTrials(trials, trials, np.nan, np.nan, np.nan, np.nan)
    z = values[:, moving] - values[:, moving].mean(axis=0)
    z /= np.sqrt((z * z).sum(axis=0))
    gram = z.T @ z if kept <= bars else z @ z.T
    participation = kept**2 / float((gram * gram).sum())
    if kept == 1:
        return EffectiveTrials(trials, trials - 1, np.nan, 1.0, 1.0, 1.0)
    total = float((z.sum(axis=1) ** 2).sum())
    rho = (total - kept) / (kept * (kept - 1))
    return EffectiveTrials(
        trials=trials,
        constant=trials - kept,
        mean_correlation=rho,
        by_correlation=float(np.clip(rho + (1.0 - rho) * kept, 1.0, kept)),
        by_participation=float(np.clip(participation, 1.0, kept)),
        by_clusters=cluster_trials(values).count,
    )
