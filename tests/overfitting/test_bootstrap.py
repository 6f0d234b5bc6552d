from __future__ import annotations

import math

import numpy as np
import pytest

from windtunnel.errors import MetricError
from windtunnel.metrics import lanes
from windtunnel.overfitting import bootstrap_sharpe_interval, stationary_block_length
from windtunnel.overfitting._bootstrap_kernel import resample_sharpe


def autoregression(phi: float, bars: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0.0005, 0.01, bars)
    series = noise.copy()
    for t in range(1, bars):
        series[t] += phi * series[t - 1]
    return series


def reference_length(x: np.ndarray) -> float:
    """Politis and White in loops, following their section 3.2 line by line."""
    n = len(x)
    d = x - x.mean()

    def r(k: int) -> float:
        return sum(d[t] * d[t + k] for t in range(n - k)) / n

    bound = 2 * math.sqrt(math.log10(n) / n)
    longest = math.ceil(math.sqrt(n)) + 5
    rho = [abs(r(k) / r(0)) for k in range(longest + 1)]
    starts = [m for m in range(1, longest - 3) if all(rho[m + k] < bound for k in range(5))]
    width = min(2 * starts[0], longest) if starts else longest
    g, spectrum = 0.0, 0.0
    for k in range(-width, width + 1):
        t = abs(k) / width
        window = 1.0 if t <= 0.5 else 2 * (1 - t)
        g += window * abs(k) * r(abs(k))
        spectrum += window * r(abs(k))
    length = (2 * g**2 / (2 * spectrum**2)) ** (1 / 3) * n ** (1 / 3)
    return min(max(length, 1.0), math.ceil(min(3 * math.sqrt(n), n / 3)))


@pytest.mark.parametrize("phi", [-0.4, 0.0, 0.3, 0.8, 0.98])
@pytest.mark.parametrize("bars", [30, 150, 400])
def test_block_length_agrees_with_the_paper(phi: float, bars: int) -> None:
    series = autoregression(phi, bars, seed=bars)
    assert stationary_block_length(series) == pytest.approx(reference_length(series), rel=1e-9)


@pytest.mark.parametrize("phi", [0.2, 0.5, 0.8])
def test_block_length_agrees_with_arch(phi: float) -> None:
    arch = pytest.importorskip("arch.bootstrap")
    series = autoregression(phi, 2500, seed=1)
    theirs = float(arch.optimal_block_length(series)["stationary"].iloc[0])
    assert stationary_block_length(series) == pytest.approx(theirs, rel=1e-6)


def test_more_dependence_needs_longer_blocks() -> None:
    lengths = [stationary_block_length(autoregression(phi, 2000, 3)) for phi in (0.1, 0.5, 0.9)]
    assert lengths == sorted(lengths)
    assert lengths[-1] > 3 * lengths[0]
    assert stationary_block_length(np.zeros(50)) == 1.0


def test_interval_on_independent_returns_is_the_textbook_one() -> None:
    series = np.random.default_rng(5).normal(0.001, 0.01, 2000)
    result = bootstrap_sharpe_interval(
        series, periods_per_year=252, resamples=8000, block_length=1.0
    )
    sharpe = series.mean() / series.std(ddof=1)
    error = math.sqrt((1 + sharpe**2 / 2) / 2000) * math.sqrt(252)
    centre = sharpe * math.sqrt(252)
    assert result.low == pytest.approx(centre - 1.96 * error, abs=0.12 * error)
    assert result.high == pytest.approx(centre + 1.96 * error, abs=0.12 * error)
    assert result.undefined == 0


def test_blocks_widen_the_interval_of_a_trending_series() -> None:
    series = autoregression(0.6, 1500, 2)
    kept = bootstrap_sharpe_interval(series, periods_per_year=252)
    broken = bootstrap_sharpe_interval(series, periods_per_year=252, block_length=1.0)
    # In theory sqrt((1 + .6) / (1 - .6)) = 2 times as wide.
    assert 1.5 < (kept.high - kept.low) / (broken.high - broken.low) < 2.5
    assert kept.block_length == stationary_block_length(series)


def test_a_single_block_rotates_the_series() -> None:
    series = autoregression(0.3, 64, 1)
    out = np.empty(50)
    resample_sharpe(series, 0, 1e15, 0.0, out, 0, 50)
    np.testing.assert_allclose(out, series.mean() / series.std(ddof=1), rtol=1e-9)


def test_block_lengths_and_starts_have_their_distribution() -> None:
    # In a series of ones at a single bar, a resample's mean counts visits to that bar.
    bars, draws = 50, 20_000
    for block in (1.0, 7.0):
        series = np.zeros(bars)
        series[11] = 1.0
        out = np.empty(draws)
        resample_sharpe(series, 3, block, 0.0, out, 0, draws)
        # Sharpe of k ones among n: k / n / sqrt(k (n - k) / n / (n - 1)); undefined at k = 0.
        ratio = np.where(np.isnan(out), 0.0, out)
        share = ratio**2 / (ratio**2 + (bars - 1) / bars)
        visits = share * bars
        np.testing.assert_allclose(visits, np.round(visits), atol=1e-6)
        assert visits.mean() == pytest.approx(1.0, abs=0.05)
        if block == 1.0:
            assert visits.var() == pytest.approx(1 - 1 / bars, abs=0.05)


def test_same_seed_same_interval_for_any_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    series = autoregression(0.2, 300, 4)

    def interval(seed: int) -> tuple[float, float]:
        result = bootstrap_sharpe_interval(series, periods_per_year=252, resamples=500, seed=seed)
        return result.low, result.high

    many = interval(7)
    monkeypatch.setitem(vars(lanes.numba.config), "NUMBA_NUM_THREADS", 1)
    assert interval(7) == many
    assert interval(8) != many


def test_no_variation_has_no_interval() -> None:
    result = bootstrap_sharpe_interval(np.zeros(100), periods_per_year=252)
    assert math.isnan(result.low)
    assert math.isnan(result.high)
    assert "do not vary" in result.reason


def test_rare_returns_are_reported() -> None:
    series = np.zeros(100)
    series[50] = 0.1
    result = bootstrap_sharpe_interval(series, periods_per_year=252, block_length=1.0)
    assert 0.3 < result.undefined / result.resamples < 0.45  # (1 - 1 / 100)**100 = .366
    assert result.low > 0
    clustered = bootstrap_sharpe_interval(series, periods_per_year=252, block_length=100.0)
    assert clustered.undefined > 0


@pytest.mark.parametrize(
    ("series", "arguments", "message"),
    [
        (np.ones(19), {}, "T >= 20"),
        (np.ones((30, 2)), {}, "returns"),
        (np.full(30, np.nan), {}, "bar 0"),
        (np.arange(30.0), {"confidence": 1.0}, "confidence"),
        (np.arange(30.0), {"resamples": 99}, "resamples"),
        (np.arange(30.0), {"seed": -1}, "seed"),
        (np.arange(30.0), {"block_length": 0.5}, "block_length"),
        (np.arange(30.0), {"block_length": 31.0}, "block_length"),
        (np.arange(30.0), {"periods_per_year": 0.0}, "periods_per_year"),
    ],
)
def test_misuse_is_refused(series: np.ndarray, arguments: dict[str, float], message: str) -> None:
    with pytest.raises(MetricError, match=message):
        bootstrap_sharpe_interval(series, **{"periods_per_year": 252.0, **arguments})
