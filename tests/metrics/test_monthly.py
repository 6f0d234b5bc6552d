from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import MetricError
from windtunnel.metrics.monthly import monthly_returns


def stamps(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[us]")


def test_months_worked_by_hand():
    when = stamps("1999-12-30", "1999-12-31", "2000-02-01T23:00", "2000-02-02", "2000-03-01")
    found = monthly_returns(np.array([110.0, 120.0, 90.0, 60.0, 63.0]), when, 100.0)
    assert found.years == (1999, 2000)
    assert found.values[0, 11] == pytest.approx(0.2)
    assert found.values[1, [1, 2]] == pytest.approx([-0.5, 0.05])
    assert np.isnan(found.values).sum() == 21
    assert found.totals == pytest.approx([0.2, 63 / 120 - 1])


def test_months_chain_to_the_whole():
    rng = np.random.default_rng(0)
    equity = 100 * np.cumprod(1 + rng.normal(0, 0.01, 700))
    when = np.datetime64("1969-11-03", "us") + np.arange(700) * np.timedelta64(1, "D")
    found = monthly_returns(equity, when, 100.0)
    assert found.years == (1969, 1970, 1971)
    assert np.nanprod(1 + found.values) == pytest.approx(equity[-1] / 100)
    assert np.prod(1 + found.totals) == pytest.approx(equity[-1] / 100)


def test_after_ruin_there_is_no_return():
    when = stamps("2000-01-01", "2000-02-01", "2000-03-01")
    found = monthly_returns(np.array([50.0, -10.0, 20.0]), when, 100.0)
    assert found.values[0, :2] == pytest.approx([-0.5, -1.2])
    assert np.isnan(found.values[0, 2])


def test_bad_arguments():
    with pytest.raises(MetricError, match="alike"):
        monthly_returns(np.ones(2), stamps("2000-01-01"), 1.0)
    with pytest.raises(MetricError, match="initial"):
        monthly_returns(np.ones(1), stamps("2000-01-01"), 0.0)


@pytest.mark.parametrize(
    ("equity", "days", "says"),
    [
        ([1.0, np.nan], [0, 1], r"equity\[1\]: must be finite"),
        ([1.0, 1.0], [1, 0], r"timestamps\[1\]: must be later"),
        ([1.0, 1.0], [1, 1], r"timestamps\[1\]: must be later"),
        ([1.0, 1.0], ["NaT", 1], r"timestamps\[0\]: must be later"),
    ],
)
def test_a_curve_out_of_order_is_refused(equity, days, says):
    stamps = np.array(days, "datetime64[D]")
    with pytest.raises(MetricError, match=says):
        monthly_returns(np.array(equity), stamps, 1.0)
