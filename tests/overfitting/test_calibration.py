"""What the statistics say about trials that have no skill at all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from windtunnel.metrics.financial import financial_metrics
from windtunnel.overfitting import dsr, psr, sidak_p_value

STUDIES, BARS, TRIALS = 400, 250, 40


@pytest.fixture(scope="module")
def best() -> dict[str, np.ndarray]:
    """The best of 40 noise trials in each of 400 studies, and the spread of their ratios."""
    rng = np.random.default_rng(2024)
    returns = rng.normal(0, 0.01, (BARS, STUDIES * TRIALS))
    metrics = financial_metrics(np.cumprod(1 + returns, axis=0), initial=1.0, periods_per_year=1.0)
    table = {name: value.reshape(STUDIES, TRIALS) for name, value in metrics.items()}
    chosen = table["sharpe"].argmax(axis=1)[:, None]
    picked = {
        name: np.take_along_axis(table[name], chosen, axis=1)[:, 0]
        for name in ("sharpe", "skewness", "kurtosis")
    }
    return {**picked, "variance": table["sharpe"].var(axis=1, ddof=1)}


def confidence(best: dict[str, np.ndarray]) -> np.ndarray:
    return psr(best["sharpe"], BARS, skewness=best["skewness"], kurtosis=best["kurtosis"])


def test_sidak_is_uniform_under_noise(best: dict[str, np.ndarray]) -> None:
    p = sidak_p_value(confidence(best), TRIALS)
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_an_uncorrected_confidence_is_fooled(best: dict[str, np.ndarray]) -> None:
    assert (confidence(best) > 0.95).mean() > 0.8


def test_deflation_is_a_conservative_gate(best: dict[str, np.ndarray]) -> None:
    deflated = np.array(
        [
            dsr(s, BARS, trials=TRIALS, trial_variance=v, skewness=a, kurtosis=b)
            for s, v, a, b in zip(
                best["sharpe"],
                best["variance"],
                best["skewness"],
                best["kurtosis"],
                strict=True,
            )
        ]
    )
    assert deflated.mean() == pytest.approx(0.5, abs=0.05)
    assert deflated.std() < 0.25  # uniform would be 1 / sqrt(12) = .289
    assert (deflated > 0.95).mean() < 0.02


def test_the_standard_error_of_2012_covers() -> None:
    rng = np.random.default_rng(1)
    true = 0.1
    r = rng.gamma(4.0, 0.5, (300, 3000))  # skewed: g3 = 1, g4 = 4.5
    r = (r - 2.0) + true  # standard deviation 1
    sharpe = r.mean(axis=0) / r.std(axis=0, ddof=1)
    z = psr(sharpe, 300, benchmark=true, skewness=1.0, kurtosis=4.5)
    assert (z < 0.05).mean() == pytest.approx(0.05, abs=0.02)
    assert (z > 0.95).mean() == pytest.approx(0.05, abs=0.02)
    spread = math.sqrt((1 - true + 3.5 / 4 * true**2) / 299)
    assert sharpe.std() == pytest.approx(spread, rel=0.06)
