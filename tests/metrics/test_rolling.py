from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import MetricError
from windtunnel.metrics.financial import financial_metrics
from windtunnel.metrics.rolling import rolling_sharpe


def test_a_window_is_the_sharpe_ratio_of_its_bars():
    values = np.random.default_rng(1).normal(0.001, 0.01, 5000)
    found = rolling_sharpe(values, window=60, periods_per_year=252.0)
    assert np.isnan(found[:59]).all()
    for bar in (59, 60, 2107, 2108, 4999):
        equity = np.cumprod(1 + values[bar - 59 : bar + 1])[:, None]
        whole = financial_metrics(equity, initial=1.0, periods_per_year=252.0)
        assert found[bar] == pytest.approx(whole["sharpe"][0])


def test_without_variation_or_with_a_gap_it_is_not_defined():
    values = np.array([0.01, 0.01, 0.01, 0.02, np.nan, 0.02, 0.01])
    found = rolling_sharpe(values, window=2, periods_per_year=1.0)
    assert np.isnan(found).tolist() == [True, True, True, False, True, True, False]
    assert np.isnan(rolling_sharpe(values[:2], window=3, periods_per_year=1.0)).all()


@pytest.mark.parametrize(
    ("values", "window", "year"), [([[0.1]], 2, 1.0), ([0.1], 1, 1.0), ([0.1], 2, 0.0)]
)
def test_bad_arguments(values, window, year):
    with pytest.raises(MetricError, match="must be"):
        rolling_sharpe(np.array(values), window=window, periods_per_year=year)
