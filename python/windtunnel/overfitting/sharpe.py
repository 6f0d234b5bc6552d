"""How likely a Sharpe ratio is to be luck: of one record, and of the best of many trials.

All Sharpe ratios are per period, with risk-free rate 0 and ddof 1. Two variants of the
standard error are named by year everywhere:

"2012"
    Bailey and Lopez de Prado (2012), The Sharpe Ratio Efficient Frontier, eq. 8 and 11:
    sqrt((1 - g3 SR + (g4 - 1) / 4 SR**2) / (T - 1)), at the observed Sharpe ratio.
"2025"
    Lopez de Prado, Lipton and Zoonekynd (2025), How to Use the Sharpe Ratio: the same
    variance at the benchmark Sharpe ratio (the null), divisor T, no autocorrelation.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError
from windtunnel.overfitting._arguments import broadcast
from windtunnel.overfitting._normal import EULER_GAMMA, cdf, quantile, variance_of_maximum

Float64Array = npt.NDArray[np.float64]
Variant = Literal["2012", "2025"]


def psr(
    sharpe: npt.ArrayLike,
    observations: npt.ArrayLike,
    *,
    skewness: npt.ArrayLike = 0.0,
    kurtosis: npt.ArrayLike = 3.0,
    benchmark: npt.ArrayLike = 0.0,
    variant: Variant = "2012",
    nan_policy: Literal["raise", "propagate"] = "raise",
) -> Float64Array:
    """Probabilistic Sharpe ratio: confidence that the true ratio exceeds `benchmark`.

    Phi((SR - SR0) / standard error); see the module for the variants. Its use on the best
    of many trials is a mistake: deflate with `dsr`, or correct with `sidak_p_value`.

    Parameters
    ----------
    sharpe : float or array
        Observed Sharpe ratio per period; an array for many configurations.
    observations : int or array
        Number of returns, T >= 2.
    skewness, kurtosis : float or array
        Of the returns; kurtosis raw (normal = 3), at least 1 + skewness**2.
    benchmark : float or array
        SR0 per period.
    variant : {"2012", "2025"}
        Which standard error.
    nan_policy : {"raise", "propagate"}
        Whether NaN in any argument stops or gives NaN in its place.

    Returns
    -------
    float64 array
        Of the broadcast shape, 0-d for scalars, in [0, 1]. NaN where the standard error
        is zero.

    Raises
    ------
    MetricError
        NaN or infinite input, T < 2, impossible moments, an unknown variant.
    """
    sr, t, g3, g4, sr0 = broadcast(nan_policy, sharpe, observations, skewness, kurtosis, benchmark)
    return cdf(_z_score(sr, t, g3, g4, sr0, 1.0, variant))


def dsr(
    sharpe: npt.ArrayLike,
    observations: npt.ArrayLike,
    *,
    trials: float,
    trial_variance: float,
    skewness: npt.ArrayLike = 0.0,
    kurtosis: npt.ArrayLike = 3.0,
    variant: Literal["2014", "2025"] = "2014",
    nan_policy: Literal["raise", "propagate"] = "raise",
) -> Float64Array:
    """Deflated Sharpe ratio: `psr` against the ratio expected of the luckiest trial.

    "2014" is Bailey and Lopez de Prado (2014), The Deflated Sharpe Ratio, eq. 2: PSR of
    2012 at SR0 = `deflation_threshold`. "2025" also rescales the standard error by the
    standard deviation of the largest of N normal draws (module, second reference).

    The result is a gate, not a p-value: under noise it is far from uniform (100 trials,
    500 bars: mean near one half with a standard deviation of .15), so a threshold of .95
    is passed by luck much less often than one time in twenty.

    Parameters
    ----------
    sharpe, observations, skewness, kurtosis, nan_policy
        As in `psr`.
    trials : float
        Number of trials, N >= 1: all ever tried, or their effective number.
    trial_variance : float
        Variance (ddof 1) of the Sharpe ratios per period over the trials.
    variant : {"2014", "2025"}
        Which form.

    Returns
    -------
    float64 array
        In [0, 1].

    Raises
    ------
    MetricError
        As `psr`; N < 1; a negative variance.
    """
    sr, t, g3, g4, _ = broadcast(nan_policy, sharpe, observations, skewness, kurtosis)
    sr0 = np.float64(deflation_threshold(trials, trial_variance))
    if variant == "2014":
        return cdf(_z_score(sr, t, g3, g4, sr0, 1.0, "2012"))
    if variant == "2025":
        return cdf(_z_score(sr, t, g3, g4, sr0, variance_of_maximum(trials), "2025"))
    raise MetricError(f"variant: must be '2014' or '2025', got {variant!r}", "Use one of the two")


def deflation_threshold(trials: float, trial_variance: float) -> float:
    """Sharpe ratio per period that the best of N skill-less trials is expected to show.

    sqrt(V) * `expected_maximum` (N): Bailey and Lopez de Prado (2014), eq. 1.

    Raises
    ------
    MetricError
        N < 1; a negative or non-finite variance.
    """
    if not (math.isfinite(trial_variance) and trial_variance >= 0):
        raise MetricError(
            f"trial_variance: must be finite and zero or more, got {trial_variance}",
            "Give the variance (ddof 1) of the trials' Sharpe ratios, NaN trials left out",
        )
    return math.sqrt(trial_variance) * expected_maximum(trials)


def expected_maximum(trials: float) -> float:
    """Approximate expectation of the largest of N independent standard normal draws.

    (1 - g) q(1 - 1/N) + g q(1 - 1/(N e)) with g = 0.5772 and q the normal quantile
    (Bailey and Lopez de Prado 2014, eq. 1 and appendix). One trial gives 0; between 1 and
    2, where the approximation turns negative, it is held at 0.

    Raises
    ------
    MetricError
        N is not finite or below 1.
    """
    _check_trials(trials)
    if trials == 1:
        return 0.0
    # q(1 - x) = -q(x) keeps the digits of a small x.
    value = -(1.0 - EULER_GAMMA) * quantile(1.0 / trials) - EULER_GAMMA * quantile(
        1.0 / (trials * math.e)
    )
    return max(value, 0.0)


def minimum_track_record_length(
    sharpe: npt.ArrayLike,
    *,
    benchmark: npt.ArrayLike = 0.0,
    confidence: float = 0.95,
    skewness: npt.ArrayLike = 0.0,
    kurtosis: npt.ArrayLike = 3.0,
    nan_policy: Literal["raise", "propagate"] = "raise",
) -> Float64Array:
    """Observations needed before `psr` ("2012") reaches `confidence`.

    1 + (1 - g3 SR + (g4 - 1) / 4 SR**2) (z / (SR - SR0))**2: Bailey and Lopez de Prado
    (2012), eq. 13.

    Returns
    -------
    float64 array
        Number of returns. NaN where SR <= SR0: no record is ever long enough.

    Raises
    ------
    MetricError
        NaN or infinite input, impossible moments, confidence outside (.5, 1).
    """
    if not 0.5 < confidence < 1:
        raise MetricError(
            f"confidence: must lie between 0.5 and 1, got {confidence}", "0.95 is usual"
        )
    sr, _, g3, g4, sr0 = broadcast(nan_policy, sharpe, 2.0, skewness, kurtosis, benchmark)
    gap = np.where(sr > sr0, sr - sr0, np.nan)
    spread = 1.0 - g3 * sr + (g4 - 1.0) / 4.0 * sr**2
    return np.asarray(1.0 + spread * (quantile(confidence) / gap) ** 2, dtype=np.float64)


def minimum_backtest_length(trials: float, sharpe: float) -> float:
    """Years of data below which the best of N skill-less trials reaches a Sharpe ratio.

    (`expected_maximum` (N) / SR)**2 with an annualised SR: Bailey, Borwein, Lopez de Prado
    and Zhu (2014), Pseudo-Mathematics and Financial Charlatanism, eq. 6, without its
    upper bound.

    Raises
    ------
    MetricError
        N < 1 or a Sharpe ratio that is not finite and above zero.
    """
    if not (math.isfinite(sharpe) and sharpe > 0):
        raise MetricError(
            f"sharpe: must be finite and above zero, got {sharpe}", "Give the annualised ratio"
        )
    return (expected_maximum(trials) / sharpe) ** 2


def sidak_p_value(confidence: npt.ArrayLike, trials: float) -> Float64Array:
    """P-value of the best of N independent trials: 1 - PSR(0)**N (Sidak 1967).

    Uniform under noise when N trials are independent, their returns normal and their bars
    independent; with N their effective number it is approximate. Fat tails and positive
    autocorrelation make it too small: of a hundred trials with Student's t of 3 degrees of
    freedom over 250 bars it is at most 0.05 in 13 cases of 100.

    Parameters
    ----------
    confidence : float or array
        `psr` of the best trial against 0, in [0, 1].
    trials : float
        N >= 1.

    Raises
    ------
    MetricError
        NaN, a confidence outside [0, 1], N < 1.
    """
    _check_trials(trials)
    p = np.asarray(confidence, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise MetricError(
            f"confidence: must lie in [0, 1], got {p}", "Give psr(...) of the best trial"
        )
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(trials * np.log(p)), dtype=np.float64)


def _z_score(
    sr: Float64Array,
    t: Float64Array,
    g3: Float64Array,
    g4: Float64Array,
    sr0: Float64Array | np.float64,
    inflation: float,
    variant: Variant,
) -> Float64Array:
    if variant not in {"2012", "2025"}:
        raise MetricError(
            f"variant: must be '2012' or '2025', got {variant!r}", "Use one of the two"
        )
    at, divisor = (sr, t - 1.0) if variant == "2012" else (sr0, t)
    variance = inflation * (1.0 - g3 * at + (g4 - 1.0) / 4.0 * at**2) / divisor
    positive = np.where(variance > 0, variance, np.nan)
    return np.asarray((sr - sr0) / np.sqrt(positive), dtype=np.float64)


def _check_trials(trials: float) -> None:
    if not (math.isfinite(trials) and trials >= 1):
        raise MetricError(
            f"trials: must be finite and 1 or more, got {trials}", "Count every trial ever made"
        )
