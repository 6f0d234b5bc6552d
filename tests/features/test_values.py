"""Each kind against a slow NumPy reference, written from its definition, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from windtunnel.data.align import to_panel
from windtunnel.data.load import load_bars
from windtunnel.features.catalogue import KINDS
from windtunnel.features.compute import compute


def log_returns(bars, w):
    return np.diff(np.log(bars.close[-w - 1 :]))


def volatility(bars, w):
    return np.log(max(np.std(log_returns(bars, w), ddof=1), 1e-6))


def volatility_ratio(bars, w):
    long = np.std(log_returns(bars, 5 * w), ddof=1)
    return np.std(log_returns(bars, w), ddof=1) / long if long > 1e-12 else 1.0


def rsi(bars, w):
    change = np.diff(bars.close[-w - 1 :])
    gain, loss = np.mean(np.maximum(change, 0)), np.mean(np.maximum(-change, 0))
    if gain == loss == 0:
        return 0.0
    index = 100.0 if loss == 0 else 100 - 100 / (1 + gain / loss)
    return index / 50 - 1


def zscore_of(values):
    spread = np.std(values, ddof=1)
    return (
        0.0 if spread <= 1e-12 * abs(np.mean(values)) else (values[-1] - np.mean(values)) / spread
    )


def skewness(bars, w):
    returns = log_returns(bars, w)
    deviation = returns - returns.mean()
    spread = np.std(returns)
    return np.mean(deviation**3) / spread**3 if spread > 1e-12 else 0.0


def autocorrelation(bars, w):
    deviation = log_returns(bars, w) - log_returns(bars, w).mean()
    square = np.dot(deviation, deviation)
    return np.dot(deviation[1:], deviation[:-1]) / square if square > 1e-20 else 0.0


def trend(bars, w):
    x, y = np.arange(w), np.log(bars.close[-w:])
    if np.ptp(y) == 0:
        return 0.0
    design = np.column_stack([np.ones(w), x])
    (_, slope), residual, _, _ = np.linalg.lstsq(design, y, rcond=None)
    error = math.sqrt(residual[0] / (w - 2) * np.linalg.inv(design.T @ design)[1, 1])
    return float(np.clip(slope / error, -100, 100))


REFERENCES = {
    "return": lambda b, w: np.log(b.close[-1]) - np.log(b.close[-w - 1]),
    "volatility": volatility,
    "volatility_ratio": volatility_ratio,
    "rsi": rsi,
    "zscore": lambda b, w: zscore_of(b.close[-w:]),
    "drawdown": lambda b, w: b.close[-1] / b.high[-w:].max() - 1,
    "range": lambda b, w: np.mean((b.high[-w:] - b.low[-w:]) / b.close[-w:]),
    "volume_zscore": lambda b, w: zscore_of(b.volume[-w:]),
    "gap": lambda b, w: np.mean(b.open[-w:] / b.close[-w - 1 : -1] - 1),
    "skewness": skewness,
    "autocorrelation": autocorrelation,
    "trend": trend,
}


class Window:
    """The bars of one instrument that a value may read."""

    def __init__(self, panel, start, stop, n):
        for name in ("open", "high", "low", "close", "volume"):
            setattr(self, name, getattr(panel, name)[start:stop, n])


def reference(panel, kind, w):
    span = KINDS[kind].warmup(w) + 1
    values = np.full(panel.close.shape, np.nan)
    for t in range(span - 1, panel.bars):
        for n in range(panel.instruments):
            window = Window(panel, t - span + 1, t + 1, n)
            if not np.isnan(window.close).any():
                values[t, n] = REFERENCES[kind](window, w)
    return values


def rank_reference(panel, w):
    values = np.full(panel.close.shape, np.nan)
    for t in range(w, panel.bars):
        whole = ~np.isnan(panel.close[t - w : t + 1]).any(axis=0)
        growth = panel.close[t, whole] / panel.close[t - w, whole]
        ranks = [((growth < g).sum() + (growth <= g).sum() - 1) / 2 for g in growth]
        alone = len(ranks) == 1
        values[t, whole] = [0.0 if alone else rank / (len(ranks) - 1) - 0.5 for rank in ranks]
    return values


def test_every_kind_has_a_reference():
    assert set(REFERENCES) | {"rank_return"} == set(KINDS)


@pytest.mark.parametrize("window", [3, 10])
@pytest.mark.parametrize("kind", KINDS)
def test_kernel_agrees_with_the_slow_reference(panel, kind, window):
    values = compute(panel, [f"{kind}_{window}"]).values[:, :, 0]
    expected = rank_reference(panel, window) if kind == "rank_return" else None
    expected = reference(panel, kind, window) if expected is None else expected
    assert np.isfinite(expected).sum() > 100
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-6)


BY_HAND = {
    "return_2": ([100, 50, 110], math.log(1.1)),
    # Log returns +a, -a: mean 0, standard deviation a * sqrt(2).
    "volatility_2": ([100, 110, 100], math.log(math.log(1.1) * math.sqrt(2))),
    # Changes +2, -1, +3: gains 5, losses 1.
    "rsi_3": ([10, 12, 11, 14], 4 / 6),
    # Closes 1, 2, 6: mean 3, variance (4 + 1 + 9) / 2 = 7.
    "zscore_3": ([9, 1, 2, 6], 3 / math.sqrt(7)),
    # Log returns 0, 0, a: deviations -a/3, -a/3, 2a/3; skewness 1/sqrt(2).
    "skewness_3": ([5, 5, 5, 7], 1 / math.sqrt(2)),
    # Log returns a, -a, a, -a: mean 0, products -3 a^2 over 4 a^2.
    "autocorrelation_4": ([1, 2, 1, 2, 1], -3 / 4),
    # log2 closes 0, 2, 1: slope 1/2, residuals -1/2, 1, -1/2 with variance 1.5 over 1 degree;
    # t = (1/2) / (sqrt(1.5) / sqrt(2)).
    "trend_3": ([1, 4, 2], 0.5 * math.sqrt(2 / 1.5)),
    # Ten log returns, eight 0, then a, -a: variance 2 a^2 of the last two, 2/9 a^2 of all.
    "volatility_ratio_2": ([1] * 9 + [2, 1], 3),
}


@pytest.mark.parametrize(("name", "case"), BY_HAND.items(), ids=BY_HAND.keys())
def test_hand_worked_values(make_panel, name, case):
    closes, expected = case
    value = compute(make_panel(closes), [name]).values[-1, 0, 0]
    assert value == pytest.approx(expected, rel=1e-6)


def test_hand_worked_values_of_ranges_gaps_and_volumes(make_panel):
    panel = make_panel(
        [10, 20, 16],
        open=[10, 11, 18],
        high=[12, 25, 20],
        low=[8, 10, 12],
        volume=[1, 2, 6],
    )
    names = ["drawdown_2", "range_2", "gap_2", "volume_zscore_3"]
    # close 16 under high 25; 15/20 and 8/16; 11/10 and 18/20; as zscore above.
    expected = [16 / 25 - 1, (15 / 20 + 8 / 16) / 2, (0.1 - 0.1) / 2, 3 / math.sqrt(7)]
    assert compute(panel, names).values[-1, 0] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ([3, 1, 2, 4], [1 / 6, -0.5, -1 / 6, 0.5]),
        ([2, 1, 2, 4], [0, -0.5, 0, 0.5]),
        ([7, 7, 7, 7], [0, 0, 0, 0]),
        ([5, math.nan, 3, math.nan], [0.5, math.nan, -0.5, math.nan]),
        ([math.nan, math.nan, 3, math.nan], [math.nan, math.nan, 0, math.nan]),
    ],
)
def test_ranks_by_hand(make_panel, last, expected):
    values = compute(make_panel([[1, 1, 1, 1], last]), ["rank_return_1"]).values
    np.testing.assert_allclose(values[1, :, 0], expected, atol=1e-7)


STILL = {
    "return": 0.0,
    "volatility": math.log(1e-6),
    "volatility_ratio": 1.0,
    "rsi": 0.0,
    "zscore": 0.0,
    "drawdown": 0.0,
    "range": 0.0,
    "volume_zscore": 0.0,
    "rank_return": 0.0,
    "gap": 0.0,
    "skewness": 0.0,
    "autocorrelation": 0.0,
    "trend": 0.0,
}


@pytest.mark.parametrize("price", [0.1, 3.3, 123456.7])
@pytest.mark.parametrize("kind", KINDS)
def test_a_market_that_stands_still_has_the_stated_value(make_panel, kind, price):
    values = compute(make_panel(np.full(40, price)), [f"{kind}_5"])
    np.testing.assert_array_equal(values.values[values.warmup :, 0, 0], np.float32(STILL[kind]))


@pytest.mark.parametrize("growth", [1.01, 0.99, 1 + 1e-7])
def test_rounding_is_not_taken_for_variance(make_panel, growth):
    """A close that grows by the same factor each bar has returns without variance."""
    panel = make_panel(7.3 * growth ** np.arange(60.0))
    names = ["volatility_5", "volatility_ratio_5", "skewness_5", "autocorrelation_5", "trend_5"]
    values = compute(panel, names).values[30:, 0]
    steady = [math.log(1e-6), 1, 0, 0, 100 if growth > 1 else -100]
    np.testing.assert_array_equal(values, np.tile(np.float32(steady), (30, 1)))


def test_volume_of_zero_in_the_whole_window_is_no_surprise(make_panel):
    panel = make_panel(np.arange(1.0, 9.0), volume=np.zeros(8))
    np.testing.assert_array_equal(compute(panel, ["volume_zscore_4"]).values[3:, 0, 0], 0)


def test_bundled_prices_give_sane_values(tmp_path):
    """Known of AAPL on 2000-09-29: it closed 51.87 % below the day before."""
    from windtunnel.config.study import DataSection, FeaturesSection

    panel = to_panel(load_bars(DataSection(source="sample:us_equities_1d"), tmp_path))
    tensor = compute(panel, FeaturesSection().use)
    crash = int(np.flatnonzero(panel.timestamps == np.datetime64("2000-09-29"))[0])
    assert tensor.values[crash, 0, 0] == pytest.approx(math.log(1 - 0.518692), abs=1e-5)
    assert tensor.warmup == 100
    complete = np.isfinite(tensor.values).all(axis=2).sum(axis=0)
    assert complete.tolist() == [3170, 96, 2048, 3170, 3170]
