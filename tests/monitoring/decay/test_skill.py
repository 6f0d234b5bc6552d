"""Skill and calibration: true models are left in peace, decayed ones found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from windtunnel.monitoring.decay.account import EquityWatch, SlippageWatch
from windtunnel.monitoring.decay.skill import SkillWatch

START = datetime(2020, 1, 1, tzinfo=UTC)
REFERENCE = np.linspace(-0.6, 0.6, 2001)


def watch_of(kind: str, horizon: int = 1, floor: float = 0.0) -> SkillWatch:
    return SkillWatch(
        "m version 1",
        kind=kind,  # type: ignore[arg-type]
        horizon=horizon,
        reference_scores=REFERENCE,
        floor=floor,
    )


def directions(skill: float, drift: float, bars: int, seed: int, instruments: int = 5):
    """Scores and rises whose true probability is (1 + skill * score + drift) / 2."""
    random = np.random.default_rng(seed)
    scores = random.uniform(-0.6, 0.6, (bars, instruments))
    rises = random.random(scores.shape) < (1 + skill * scores + drift) / 2
    return scores, rises.astype(float)


def fed(watch: SkillWatch, scores: np.ndarray, outcomes: np.ndarray):
    for t in range(len(scores)):
        watch.add(START + timedelta(days=t), scores[t], outcomes[t])
    return {found.signal: found for found in watch.conditions(START + timedelta(days=len(scores)))}


def test_a_model_as_good_as_it_says_raises_nothing() -> None:
    found = fed(watch_of("direction"), *directions(1.0, 0.0, 1500, seed=1))
    assert not found["ic"].breached
    assert not found["calibration"].breached
    # 3 E[u v] with u uniform on [-1, 1] and E[v | u] = 0.6 u is 0.6.
    assert found["ic"].value == pytest.approx(0.6, abs=0.05)
    assert len(found["ic"].history) == 500


def test_rank_correlation_is_what_it_says_for_returns() -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(2)
    scores = random.uniform(-0.6, 0.6, (4000, 3))
    returns = 1.7 * (scores / 0.35 * 0.3 + random.normal(size=scores.shape))
    found = fed(watch_of("forward_return"), scores, returns)
    expected = stats.spearmanr(scores.ravel(), returns.ravel()).statistic
    assert found["ic"].value == pytest.approx(expected, abs=0.04)
    assert "calibration" not in found


def test_skill_turned_against_itself_is_found() -> None:
    found = fed(watch_of("direction"), *directions(-1.0, 0.0, 1000, seed=3))
    assert found["ic"].breached
    assert "surely below" in found["ic"].what


def test_skill_below_what_was_promised_is_found() -> None:
    found = fed(watch_of("direction", floor=0.3), *directions(0.0, 0.0, 4000, seed=4))
    assert found["ic"].breached


def test_a_rising_market_is_no_skill_and_shows_in_the_calibration() -> None:
    found = fed(watch_of("direction"), *directions(0.0, 0.3, 2500, seed=5))
    assert found["ic"].value == pytest.approx(0.0, abs=0.05)
    assert found["calibration"].breached
    assert "more often" in found["calibration"].what


def test_false_alarms_are_as_rare_as_stated_with_overlapping_outcomes() -> None:
    """The score is noise, outcomes overlap by four fifths: one stream in twenty may alarm."""
    horizon, alarms = 5, 0
    for seed in range(60):
        random = np.random.default_rng((6, seed))
        shocks = random.normal(size=(800 + horizon, 4))
        sums = shocks.cumsum(axis=0)
        rises = (sums[horizon:] - sums[:-horizon] > 0).astype(float)
        level = random.uniform(-0.6, 0.6, (800 // horizon + 1, 4)).repeat(horizon, axis=0)[:800]
        watch = watch_of("direction", horizon)
        for t in range(800):
            watch.add(START + timedelta(days=t), level[t], rises[t])
            if t % 25 == 24 and watch.ic().high < 0:
                alarms += 1
                break
    assert alarms <= 60 * 0.05 + 2 * np.sqrt(60 * 0.05 * 0.95)


def test_nan_is_left_out() -> None:
    watch = watch_of("direction")
    watch.add(START, np.array([np.nan, 0.1]), np.array([1.0, np.nan]))
    assert watch.ic().count == 0


def test_the_account_is_compared_with_the_backtest_on_the_same_bars() -> None:
    random = np.random.default_rng(7)
    fine, short = EquityWatch("m"), EquityWatch("m")
    for t in range(500):
        market = random.normal(0, 0.01)
        at = START + timedelta(days=t)
        fine.add(at, market + random.normal(0, 0.0005), market)
        short.add(at, market - 0.0003 + random.normal(0, 0.0005), market)
    assert not fine.condition(START).breached
    found = short.condition(START)
    assert found.breached
    assert found.value == pytest.approx(-0.0003, abs=0.00005)
    assert "-13" in found.what or "-14" in found.what  # 500 x 3 basis points


def test_slippage_beyond_the_assumption_is_found_on_both_sides() -> None:
    random = np.random.default_rng(8)
    watch = SlippageWatch("m", assumed_bps=2.0)
    for t in range(300):
        side = 1 if t % 2 else -1
        cost = random.normal(5.0, 4.0)
        watch.add(START + timedelta(days=t), side, 100 * (1 + side * cost / 1e4), 100.0)
        if t == 20:
            assert not watch.condition(START).breached  # too few fills to say
    found = watch.condition(START)
    assert found.breached
    assert found.value == pytest.approx(5.0, abs=0.8)
