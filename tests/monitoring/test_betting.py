"""Looking all the time does not raise the false-alarm rate above what is stated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import MetricError
from windtunnel.monitoring.betting import _SHARES, BettingProcess

ALPHA = 0.05


def reference(bound, observations):
    """Largest mean wealth over the bets, multiplied out one bet at a time."""
    wealth = [1.0 for _ in _SHARES]
    highest = 1.0
    for x in observations:
        wealth = [
            w * (1 + share / (1 + bound) * (x - bound))
            for w, share in zip(wealth, _SHARES, strict=True)
        ]
        highest = max(highest, sum(wealth) / len(wealth))
    return highest


@given(
    st.floats(-0.9, 0.9),
    st.lists(st.lists(st.floats(-1, 1), max_size=20), max_size=5),
)
def test_equals_the_product_written_out(bound, batches):
    process = BettingProcess(bound)
    for batch in batches:
        process.update(batch)
    whole = [x for batch in batches for x in batch]
    assert math.isclose(process.highest, reference(bound, whole), rel_tol=1e-9)
    assert process.count == len(whole)
    if whole:
        assert math.isclose(process.mean, np.mean(whole), abs_tol=1e-12)


def test_wealth_worked_out_by_hand():
    process = BettingProcess(0.0)
    process._bets, process._log_wealth = np.array([0.5]), np.zeros(1)
    assert process.update([1.0]) == pytest.approx(1.5)
    assert process.update([-1.0]) == pytest.approx(1.5), "the peak stays"
    assert process.update([1.0, 1.0]) == pytest.approx(0.75 * 1.5 * 1.5)


def ever_above(worlds, bound):
    """Share of the rows for which the wealth ever reaches 1 / ALPHA."""
    return np.mean([BettingProcess(bound).update(row) >= 1 / ALPHA for row in worlds])


@pytest.mark.parametrize(
    "draw",
    [
        lambda r: (r.random(2000) < 0.02) * 1.0 - (r.random(2000) < 0.02),
        lambda r: r.choice([-1.0, 1.0], 2000),  # the largest variance there is
        lambda r: r.normal(0, 0.2, 2000).clip(-1, 1),
        lambda r: r.beta(0.1, 2, 2000) - r.beta(0.1, 2, 2000),
    ],
    ids=["rare errors", "coin", "normal", "skewed"],
)
def test_false_alarms_under_peeking_at_every_observation(draw):
    random = np.random.default_rng(1)
    rate = ever_above([draw(random) for _ in range(400)], 0.0)
    assert rate <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / 400)


def test_peeking_at_an_ordinary_test_is_what_this_is_for():
    """A z test of the same level, looked at 200 times, raises several times as many."""
    random = np.random.default_rng(2)
    looks = np.arange(10, 2001, 10)
    alarms = 0
    for _ in range(300):
        x = random.choice([-1.0, 1.0], 2000)
        z = np.cumsum(x)[looks - 1] / np.sqrt(looks)
        alarms += (z > 1.645).any()
    assert alarms / 300 > 4 * ALPHA


def test_a_drifting_common_level_raises_no_alarm():
    """Both sides fail more and more often together; the difference keeps its mean."""
    random = np.random.default_rng(3)
    level = np.linspace(0.0, 0.9, 1500)
    worlds = [
        (random.random(1500) < level) * 1.0 - (random.random(1500) < level) for _ in range(300)
    ]
    assert ever_above(worlds, 0.0) <= ALPHA + 0.025


def test_finds_what_is_there():
    random = np.random.default_rng(4)
    worlds = [(random.random(2000) < 0.06) * 1.0 - (random.random(2000) < 0.02) for _ in range(100)]
    assert ever_above(worlds, 0.0) > 0.95


def test_goes_on_after_a_restart():
    random = np.random.default_rng(5)
    x = random.choice([-1.0, 0.0, 1.0], 300, p=[0.1, 0.7, 0.2])
    whole, first = BettingProcess(0.01), BettingProcess(0.01)
    whole.update(x)
    first.update(x[:120])
    second = BettingProcess.from_record(first.to_record())
    second.update(x[120:])
    assert second.highest == pytest.approx(whole.highest)
    assert (second.count, second.total) == (whole.count, whole.total)


def test_wealth_beyond_all_floats_is_held():
    process = BettingProcess(0.0)
    process.update(np.ones(100_000))
    assert math.isfinite(process.highest)
    assert process.highest > 1e300


@pytest.mark.parametrize("bad", [float("nan"), 1.1, -1.5, float("inf")])
def test_refuses(bad):
    process = BettingProcess(0.0)
    with pytest.raises(MetricError, match=r"observations: must lie in \[-1, 1\]"):
        process.update([0.5, bad])
    assert process.count == 0
    with pytest.raises(MetricError, match="bound"):
        BettingProcess(bad)
