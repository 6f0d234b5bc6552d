from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import MetricError
from windtunnel.overfitting.bands import equity_band


def draws(bars: int = 500) -> np.ndarray:
    return np.random.default_rng(2).normal(0.0005, 0.01, bars)


def test_one_block_of_the_whole_series_brings_it_back_where_it_ends():
    # A circular block of all bars keeps every return once, whatever its start.
    values = draws(64)
    band = equity_band(values, initial=100.0, block_length=64, resamples=400, confidence=0.5)
    end = 100.0 * np.prod(1 + values)
    assert band.low[-1] <= end <= band.high[-1]


def test_it_widens_as_the_root_of_time_with_independent_returns():
    values = np.random.default_rng(5).normal(0.0, 0.01, 4000)
    band = equity_band(values, initial=1.0, resamples=2000, block_length=1.0, confidence=0.9)
    width = np.log(band.high / band.low)
    bars = band.bars + 1
    # 2 * 1.645 deviations of a sum of `bars` draws.
    expected = 2 * 1.6449 * values.std() * np.sqrt(bars)
    np.testing.assert_allclose(width[20:], expected[20:], rtol=0.12)


def test_same_seed_same_band_and_the_last_bar_is_in_it(monkeypatch):
    first = equity_band(draws(), initial=10.0, seed=4, points=50)
    monkeypatch.setattr("windtunnel.metrics.lanes.numba.config.NUMBA_NUM_THREADS", 1)
    again = equity_band(draws(), initial=10.0, seed=4, points=50)
    other = equity_band(draws(), initial=10.0, seed=5, points=50)
    assert np.array_equal(first.low, again.low)
    assert not np.array_equal(first.low, other.low)
    assert len(first.bars) == 50
    assert first.bars[-1] == 499
    assert (first.low < first.high).all()


def test_a_total_loss_is_kept():
    values = draws(200)
    values[60] = -1.0
    band = equity_band(values, initial=10.0, confidence=0.98)
    assert band.low[-1] == 0.0
    assert band.low.min() >= 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"initial": 0.0}, "initial: must be finite and above zero"),
        ({"confidence": 1.0}, "confidence: must be between 0 and 1"),
        ({"resamples": 99}, "resamples: must be 100 or more"),
        ({"seed": -1}, "seed: must be between 0"),
        ({"block_length": 0.5}, "block_length: must be between 1 and 500 bars"),
        ({"points": 1}, "points: must be 2 or more"),
    ],
)
def test_arguments_out_of_range(change, message):
    with pytest.raises(MetricError, match=message):
        equity_band(draws(), **({"initial": 1.0} | change))
    with pytest.raises(MetricError):
        equity_band(np.array([0.1, np.nan] * 20), initial=1.0)
