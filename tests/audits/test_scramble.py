"""Scrambled bars hold nothing to find, and are still bars."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from windtunnel.audits.scramble import scrambled
from windtunnel.data import quality
from windtunnel.data.align import to_panel


def test_scrambled_bars_are_bars(case):
    bars = scrambled(case.bars, np.random.default_rng(0))
    quality.gate(bars, case.study.data)
    keys = ["timestamp", "symbol"]
    assert bars.select(keys).equals(case.bars.select(keys))
    assert bars.columns == case.bars.columns


def test_moves_are_kept_but_for_their_sign_and_time(case):
    """Where every instrument has all bars, the sizes of bodies are dealt out, none invented."""
    whole = case.bars.filter(pl.col("symbol") == "AA")
    other = scrambled(whole, np.random.default_rng(1))

    def sizes(bars):
        return (bars["close"] / bars["open"] - 1).abs().round(12).to_numpy()

    kept = np.isin(sizes(other), sizes(whole))
    assert kept.all()
    # The very first bar has no gap before it and cannot be dealt to another place.
    assert np.isin(sizes(whole), sizes(other)).sum() >= len(whole) - 1
    moved = sizes(other) != sizes(whole)
    assert moved.mean() > 0.9
    assert not np.allclose(other["close"].to_numpy(), whole["close"].to_numpy())


@pytest.fixture(scope="module")
def trending(case) -> pl.DataFrame:
    """Bars whose return repeats nine tenths of the last one, on a rising market."""
    rng = np.random.default_rng(0)
    stamps = case.stamps
    moves = np.zeros(len(stamps))
    for t in range(1, len(stamps)):
        moves[t] = 0.9 * moves[t - 1] + 0.001 + rng.normal(0, 0.004)
    close = 50 * np.exp(np.cumsum(moves))
    opening = np.concatenate([[50.0], close[:-1]])
    return pl.DataFrame(
        {
            "timestamp": stamps,
            "symbol": ["AA"] * len(stamps),
            "open": opening,
            "high": np.maximum(opening, close) * 1.001,
            "low": np.minimum(opening, close) * 0.999,
            "close": close,
            "volume": np.full(len(stamps), 1e4),
        }
    )


def returns(bars: pl.DataFrame) -> np.ndarray:
    opening = to_panel(bars).open[:, 0]
    return opening[1:] / opening[:-1] - 1


def test_drift_and_momentum_are_gone(trending):
    before = returns(trending)
    assert np.corrcoef(before[:-1], before[1:])[0, 1] > 0.8
    assert before.mean() / before.std() > 0.5
    draws = [returns(scrambled(trending, np.random.default_rng(seed))) for seed in range(200)]
    lagged = np.array([np.corrcoef(draw[:-1], draw[1:])[0, 1] for draw in draws])
    ratios = np.array([draw.mean() / draw.std() for draw in draws])
    # Four standard errors of the mean of 200 draws of 298 bars.
    bound = 4 / np.sqrt(200 * 298)
    assert abs(lagged.mean()) < bound
    assert abs(ratios.mean()) < bound
