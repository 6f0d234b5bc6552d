"""Which of many trials beat a benchmark, with all of them counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.overfitting._resampled import prepare

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StepDown:
    """Result of `romano_wolf`.

    Attributes
    ----------
    p_values : (C,) float64
        Adjusted for all trials: rejecting where it is at most alpha makes one or more false
        rejections with a probability of about alpha at most, as bars grow many. NaN for a trial
        without variation.
    statistics : (C,) float64
        sqrt(T) mean excess return / long-run deviation. NaN likewise.
    constant : int
        Trials without variation against the benchmark.
    block_length : float
        Mean block length in bars.
    resamples : int
        Resamples drawn.
    """

    p_values: Float64Array
    statistics: Float64Array
    constant: int
    block_length: float
    resamples: int


def romano_wolf(
    returns: Float64Array,
    *,
    benchmark: Float64Array | None = None,
    resamples: int = 1000,
    seed: int = 0,
    block_length: float | None = None,
) -> StepDown:
    """P-value of every trial, adjusted for the choice among all of them, by stepping down.

    Romano and Wolf (2005), Stepwise Multiple Testing as Formalized Data Snooping,
    Econometrica 73, 1237-1282, algorithm 4.2 (studentised); p-values by Romano and Wolf
    (2016), Efficient Computation of Adjusted P-Values for Resampling-Based Stepdown
    Multiple Testing, algorithm 4.1. The best trial is compared with luck's best of all,
    the second with luck's best of the rest, and so on; no p-value is below that of a better
    trial.

    Parameters
    ----------
    returns, benchmark, resamples, seed, block_length
        As in `windtunnel.overfitting.reality_check`.

    Returns
    -------
    StepDown
        The p-value of the best trial is the one of `superior_predictive_ability` (upper),
        unless its mean is not positive: here the statistic has no floor at zero.

    Raises
    ------
    MetricError
        As `windtunnel.overfitting.reality_check`.

    Notes
    -----
    The deviation of single bars is taken anew in every resample; how bars depend on one another
    is taken from the sample. See `superior_predictive_ability` for what that leaves.
    """
    sample = prepare(returns, benchmark, resamples, seed, block_length)
    trials = len(sample.moving)
    p_values, statistics = np.full(trials, np.nan), np.full(trials, np.nan)
    score = sample.root * sample.mean / sample.deviation
    # From the worst to the best, so that the best of the rest is a running maximum.
    order = np.argsort(score, kind="stable")
    at_least = np.empty(sample.trials)
    highest = np.full(resamples, -np.inf)
    for columns, drawn, scale in sample.studentised_tiles(order):
        chosen = order[columns]
        best = drawn / scale
        best[:, 0] = np.maximum(best[:, 0], highest)
        np.maximum.accumulate(best, axis=1, out=best)
        highest = best[:, -1].copy()
        at_least[columns] = (best >= score[chosen]).sum(axis=0)
    raw = (1.0 + at_least) / (resamples + 1)
    adjusted = np.empty(sample.trials)
    adjusted[order] = np.maximum.accumulate(raw[::-1])[::-1]
    p_values[sample.moving], statistics[sample.moving] = adjusted, score
    return StepDown(p_values, statistics, trials - sample.trials, sample.block, resamples)
