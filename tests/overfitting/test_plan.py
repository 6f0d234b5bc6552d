from __future__ import annotations

import math

import numpy as np
import pytest

from windtunnel.errors import MetricError
from windtunnel.overfitting import dsr_by_plan, expected_maximum, psr

BARS = 250


def test_it_is_psr_against_the_luckiest_of_the_plan() -> None:
    sharpe = np.array([-0.05, 0.0, 0.1, 0.2])
    luckiest = expected_maximum(100) / math.sqrt(BARS - 1)
    found = dsr_by_plan(sharpe, BARS, trials=100, skewness=-0.3, kurtosis=4.0)
    expected = psr(sharpe, BARS, skewness=-0.3, kurtosis=4.0, benchmark=luckiest)
    np.testing.assert_array_equal(found, expected)
    assert (np.diff(found) > 0).all()


def test_one_planned_trial_is_not_deflated() -> None:
    assert dsr_by_plan(0.1, BARS, trials=1) == psr(0.1, BARS)
    assert dsr_by_plan(0.1, BARS, trials=1000) < dsr_by_plan(0.1, BARS, trials=10)


def test_luck_alone_comes_out_in_the_middle() -> None:
    """The best of N worthless trials has the Sharpe ratio that it is held against, on average."""
    draw = np.random.default_rng(5).normal(size=(200, 64, BARS))
    best = (draw.mean(axis=2) / draw.std(axis=2, ddof=1)).max(axis=1)
    assert dsr_by_plan(best, BARS, trials=64).mean() == pytest.approx(0.5, abs=0.05)


def test_undefined_stays_undefined_and_nonsense_is_refused() -> None:
    assert np.isnan(dsr_by_plan([math.nan, 0.1], BARS, trials=5)).tolist() == [True, False]
    with pytest.raises(MetricError, match="trials: must be finite and 1 or more"):
        dsr_by_plan(0.1, BARS, trials=0)
    with pytest.raises(MetricError, match="observations: must be 2 or more"):
        dsr_by_plan(0.1, 1, trials=5)
