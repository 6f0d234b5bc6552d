from __future__ import annotations

import math

import numpy as np
import pytest

from windtunnel.errors import MetricError
from windtunnel.overfitting import annual_sharpe, annualisation_factor


@pytest.mark.parametrize(("rho", "factor"), [(0.0, 3.4641), (0.2, 2.8788), (-0.2, 4.1708)])
def test_known_values_of_monthly_returns(rho: float, factor: float) -> None:
    assert annualisation_factor(rho ** np.arange(1, 12), 12) == pytest.approx(factor, abs=5e-5)


def test_lags_beyond_the_year_play_no_part() -> None:
    rho = 0.9 ** np.arange(1, 40)
    assert annualisation_factor(rho, 12) == pytest.approx(
        annualisation_factor(rho[:11], 12), rel=1e-14
    )
    assert annualisation_factor([], 252) == pytest.approx(math.sqrt(252))


def test_no_positive_variance_is_undefined() -> None:
    assert math.isnan(annualisation_factor([-1.0], 12))


def test_factor_is_that_of_summed_returns() -> None:
    rng = np.random.default_rng(0)
    r = rng.normal(size=400_000)
    for t in range(1, len(r)):
        r[t] += 0.3 * r[t - 1]
    r += 0.05
    sharpe = r.mean() / r.std()
    yearly = r.reshape(-1, 20).sum(axis=1)
    assert annual_sharpe(r, periods_per_year=20, lags=15) == pytest.approx(
        yearly.mean() / yearly.std(), rel=0.02
    )
    assert annual_sharpe(r, periods_per_year=20, lags=0) == pytest.approx(
        sharpe * math.sqrt(20), rel=1e-5
    )


def test_lag_of_default_and_autocorrelation_by_hand() -> None:
    r = np.random.default_rng(1).normal(0.1, 1, 200)
    d = r - r.mean()
    rho = [(d[k:] * d[: len(d) - k]).sum() / (d * d).sum() for k in range(1, 5)]  # 4 x 2**(2/9)
    expected = r.mean() / r.std(ddof=1) * annualisation_factor(rho, 252)
    assert annual_sharpe(r, periods_per_year=252) == pytest.approx(expected, rel=1e-12)
    assert math.isnan(annual_sharpe(np.full(30, 0.01), periods_per_year=252))


def test_misuse_is_refused() -> None:
    with pytest.raises(MetricError, match="autocorrelations"):
        annualisation_factor([1.5], 12)
    with pytest.raises(MetricError, match="autocorrelations"):
        annualisation_factor([[0.1]], 12)
    with pytest.raises(MetricError, match="autocorrelations"):
        annualisation_factor([math.nan], 12)
    with pytest.raises(MetricError, match="periods"):
        annualisation_factor([0.1], 0.5)
    with pytest.raises(MetricError, match="lags"):
        annual_sharpe(np.arange(30.0), periods_per_year=252, lags=30)
