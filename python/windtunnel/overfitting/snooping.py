"""Whether the best of many trials beats a benchmark, given that it was chosen.

Both tests resample whole bars by the stationary bootstrap of Politis and Romano (1994), which
keeps the dependence between trials and, within blocks, over time. So they need no effective
number of trials: copies of a trial change nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.overfitting._resampled import prepare

Float64Array = npt.NDArray[np.float64]

_CONSTANT = "no trial's returns vary against the benchmark"


@dataclass(frozen=True)
class RealityCheck:
    """Result of `reality_check`.

    Attributes
    ----------
    p_value : float
        (1 + resamples whose best is at least as good) / (resamples + 1). NaN when undefined;
        `reason` then says why.
    statistic : float
        sqrt(T) times the largest mean excess return.
    best : int
        Column of that trial; -1 when undefined.
    constant : int
        Trials without variation against the benchmark: left out.
    block_length : float
        Mean block length in bars.
    resamples : int
        Resamples drawn.
    reason : str
        Empty, or why there is no figure.
    """

    p_value: float
    statistic: float
    best: int
    constant: int
    block_length: float
    resamples: int
    reason: str = ""


@dataclass(frozen=True)
class SuperiorAbility:
    """Result of `superior_predictive_ability`.

    Attributes
    ----------
    lower, consistent, upper : float
        P-values, (1 + resamples whose best is at least as good) / (resamples + 1), in
        ascending order. `consistent` is the test; `lower` takes trials that look bad to be
        as bad as they look, `upper` takes all of them to be as good as the benchmark. NaN
        when undefined; `reason` then says why.
    statistic : float
        Largest studentised mean excess return, or 0 when no mean is positive (the p-values
        are then 1).
    best : int
        Column of the trial with the largest; -1 when undefined.
    constant, block_length, resamples, reason
        As in `RealityCheck`.
    """

    lower: float
    consistent: float
    upper: float
    statistic: float
    best: int
    constant: int
    block_length: float
    resamples: int
    reason: str = ""


def reality_check(
    returns: Float64Array,
    *,
    benchmark: Float64Array | None = None,
    resamples: int = 1000,
    seed: int = 0,
    block_length: float | None = None,
) -> RealityCheck:
    """White's Reality Check: the best mean excess return against the best of luck's.

    White (2000), A Reality Check for Data Snooping, Econometrica 68, 1097-1126, Corollary
    2.4 and the procedure of section 3. Null: no trial has a mean above the benchmark's.

    Parameters
    ----------
    returns : (T, C) float64
        Simple returns of all trials on the same bars, T >= 20. Leaving out unsuccessful
        trials makes the p-value worthless.
    benchmark : (T,) float64, optional
        Returns to beat; zero when absent.
    resamples : int
        At least 100; the smallest p-value is 1 / (resamples + 1).
    seed : int
        0 to 2**63 - 1.
    block_length : float, optional
        Mean block length in bars, 1 to T; `common_block_length` of the excess returns when
        absent.

    Returns
    -------
    RealityCheck
        Trials are not studentised here, so a few volatile ones drown the others, and bad
        trials lower its power: prefer `superior_predictive_ability`.

    Raises
    ------
    MetricError
        NaN or infinite returns, shapes that do not agree, T < 20, an argument out of range.
    """
    sample = prepare(returns, benchmark, resamples, seed, block_length)
    constant = len(sample.moving) - sample.trials
    if sample.trials == 0:
        return RealityCheck(np.nan, np.nan, -1, constant, sample.block, resamples, _CONSTANT)
    best = int(np.argmax(sample.mean))
    statistic = sample.root * float(sample.mean[best])
    highest = np.full(resamples, -np.inf)
    for _, drawn in sample.tiles(np.arange(sample.trials)):
        np.maximum(highest, drawn.max(axis=1), out=highest)
    return RealityCheck(
        p_value=_p_value(highest, statistic),
        statistic=statistic,
        best=int(np.flatnonzero(sample.moving)[best]),
        constant=constant,
        block_length=sample.block,
        resamples=resamples,
    )


def superior_predictive_ability(
    returns: Float64Array,
    *,
    benchmark: Float64Array | None = None,
    resamples: int = 1000,
    seed: int = 0,
    block_length: float | None = None,
) -> SuperiorAbility:
    """Hansen's test for superior predictive ability: studentised, and not misled by bad trials.

    Hansen (2005), A Test for Superior Predictive Ability, Journal of Business and Economic
    Statistics 23, 365-380: statistic max(0, max sqrt(T) d / omega) with omega the long-run
    deviation of its page 372, bootstrap means recentred by g_l, g_c and g_u of page 372;
    g_c leaves trials below -sqrt(2 log log T) deviations where they are.

    Parameters
    ----------
    returns, benchmark, resamples, seed, block_length
        As in `reality_check`.

    Returns
    -------
    SuperiorAbility
        Three p-values. Under noise the consistent one is at most alpha with a probability of about
        alpha, and 1 where no mean is positive.

    Raises
    ------
    MetricError
        As `reality_check`.

    Notes
    -----
    The paper takes the deviation of the sample in every resample. Here it is scaled by how much
    the deviation of single bars in the resample is that of the sample: with returns that often
    gain a little and seldom lose much, a test without rejects a true null of 250 bars in 16 to 61
    cases of 100 where 5 are promised, with it in 7 to 9. Autocorrelated returns are allowed for
    only partly: with 250 bars and a coefficient of 0.3 it rejects in about 11.
    """
    sample = prepare(returns, benchmark, resamples, seed, block_length)
    constant = len(sample.moving) - sample.trials
    if sample.trials == 0:
        nan = np.nan
        return SuperiorAbility(nan, nan, nan, nan, -1, constant, sample.block, resamples, _CONSTANT)
    score = sample.root * sample.mean / sample.deviation
    best = int(np.argmax(score))
    statistic = max(float(score[best]), 0.0)
    bars = len(sample.excess)
    # What recentring leaves of each trial's mean: d - g(d), in deviations.
    left = {
        "lower": np.minimum(score, 0.0),
        "consistent": np.where(score < -math.sqrt(2.0 * math.log(math.log(bars))), score, 0.0),
        "upper": np.zeros(sample.trials),
    }
    highest = {name: np.zeros(resamples) for name in left}
    for columns, drawn, scale in sample.studentised_tiles(np.arange(sample.trials)):
        for name, rest in left.items():
            found = ((drawn + rest[columns]) / scale).max(axis=1)
            np.maximum(highest[name], found, out=highest[name])
    return SuperiorAbility(
        lower=_p_value(highest["lower"], statistic),
        consistent=_p_value(highest["consistent"], statistic),
        upper=_p_value(highest["upper"], statistic),
        statistic=statistic,
        best=int(np.flatnonzero(sample.moving)[best]),
        constant=constant,
        block_length=sample.block,
        resamples=resamples,
    )


def _p_value(highest: Float64Array, statistic: float) -> float:
    return float((1 + (highest >= statistic).sum()) / (len(highest) + 1))
