"""Fourteen metrics of 10,000 configurations in one call, against loops over public packages.

The peers get what suits them: empyrical NumPy arrays (its quickest form), quantstats the dated
series that it asks for. Each is timed on a few configurations and scaled up, in turn with the
call itself, so that a slow moment of the machine falls on all.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from windtunnel.metrics.financial import financial_metrics, returns
from windtunnel.overfitting import pbo, superior_predictive_ability

BARS, CONFIGURATIONS, PEERS, ROUNDS = 2500, 10_000, 8, 7
YEAR = 252.0

empyrical = pytest.importorskip("empyrical")

BY_EMPYRICAL = {
    "total_return": empyrical.cum_returns_final,
    "cagr": empyrical.cagr,
    "volatility": empyrical.annual_volatility,
    "sharpe": empyrical.sharpe_ratio,
    "sortino": empyrical.sortino_ratio,
    "calmar": empyrical.calmar_ratio,
    "max_drawdown": lambda r: -empyrical.max_drawdown(r),
    "tail_ratio": empyrical.tail_ratio,
}


@pytest.fixture(scope="module")
def equity() -> np.ndarray:
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((BARS, CONFIGURATIONS), dtype=np.float32).astype(np.float64)
    return 100 * np.cumprod(1 + 0.01 * steps + 0.0003, axis=0)


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def test_financial_metrics(equity: np.ndarray, benchmark) -> None:
    ours = partial(financial_metrics, equity, initial=100.0, periods_per_year=YEAR)
    measured = ours()
    r = returns(equity[:, :PEERS].copy(), 100.0)
    arrays = [r[:, c].copy() for c in range(PEERS)]

    # The answers first.
    for c, x in enumerate(arrays):
        for name, peer in BY_EMPYRICAL.items():
            assert measured[name][c] == pytest.approx(peer(x), rel=1e-9), name
        # empyrical's CVaR is the mean of the floor(.05 (T - 1)) + 1 lowest returns; that is
        # the same set here, as 2,499 x .05 is no integer.
        assert measured["cvar_95"][c] == pytest.approx(
            empyrical.conditional_value_at_risk(x), rel=1e-9
        )
    loops = {"empyrical, 9 of the metrics": partial(_empyrical, arrays)}
    quantstats = _quantstats()
    if quantstats is not None:
        stats, series = quantstats(arrays)
        for c, x in enumerate(series):
            assert measured["hit_rate"][c] == pytest.approx(stats.win_rate(x), rel=1e-9)
            assert measured["profit_factor"][c] == pytest.approx(stats.profit_factor(x), rel=1e-9)
            # quantstats corrects skewness and (excess) kurtosis for bias; T is 2,500 here.
            assert measured["skewness"][c] == pytest.approx(stats.skew(x), abs=2e-3)
            assert measured["kurtosis"][c] - 3 == pytest.approx(stats.kurtosis(x), abs=1e-2)
        loops["empyrical, and quantstats for the 4 it lacks"] = partial(
            _both, arrays, series, stats
        )
        loops["quantstats, 13 of the metrics"] = partial(_quantstats_loop, series, stats)

    times: dict[str, list[float]] = {name: [] for name in ("ours", *loops)}
    for _ in range(ROUNDS):
        times["ours"].append(timed(ours))
        for name, loop in loops.items():
            times[name].append(timed(loop) * CONFIGURATIONS / PEERS)
    own = statistics.median(times["ours"])
    print(f"\n14 metrics, {CONFIGURATIONS:,} configurations x {BARS:,} bars: {own * 1e3:.0f} ms")
    for name in loops:
        peer = statistics.median(times[name])
        print(f"  {name}: {peer:.1f} s, {peer / own:.0f} times as long")
        benchmark.extra_info[name] = peer / own
    benchmark.pedantic(ours, rounds=3)


def _empyrical(arrays: list[np.ndarray]) -> None:
    for x in arrays:
        for peer in BY_EMPYRICAL.values():
            peer(x)
        empyrical.conditional_value_at_risk(x)


def _quantstats():
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pandas as pd
            from quantstats import stats
    except ImportError:
        return None

    def prepare(arrays):
        days = pd.bdate_range("2015-01-01", periods=BARS)
        return stats, [pd.Series(x, index=days) for x in arrays]

    return prepare


def _both(arrays, series, stats) -> None:
    _empyrical(arrays)
    for x in series:
        for peer in (stats.win_rate, stats.profit_factor, stats.skew, stats.kurtosis):
            peer(x)


def _quantstats_loop(series, stats) -> None:
    # Without the longest drawdown, which takes quantstats 40 ms a configuration.
    names = (
        "comp cagr volatility sharpe sortino calmar max_drawdown win_rate profit_factor "
        "tail_ratio cvar skew kurtosis"
    )
    for x in series:
        for name in names.split():
            getattr(stats, name)(x)


def test_superior_predictive_ability(benchmark) -> None:
    """1,000 resamples of 1,000 trials of 1,000 bars, block length chosen too."""
    r = np.random.default_rng(0).normal(0, 0.01, (1000, 1000))
    r[:, 7] += 0.002
    assert superior_predictive_ability(r).consistent < 0.01
    benchmark.pedantic(lambda: superior_predictive_ability(r), rounds=5)


def test_probability_of_overfitting(benchmark) -> None:
    """16 blocks, 12,870 splits, 1,000 trials."""
    r = np.random.default_rng(0).normal(0, 0.01, (1000, 1000))
    r[:, 7] += 0.005
    assert pbo(r).pbo < 0.01
    benchmark.pedantic(lambda: pbo(r), rounds=5)
