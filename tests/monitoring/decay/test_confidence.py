"""Sequences cover the mean at all times together, and agree with their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import MonitoringError
from windtunnel.monitoring.decay.confidence import AsymptoticSequence, EmpiricalBernstein


def plain_bernstein(values: list[float], alpha: float) -> tuple[float, float]:
    """Theorem 2 of the paper, from the start at each value, values in [0, 1]."""
    bets, penalties = [], []
    for t, x in enumerate(values, start=1):
        means = [(0.5 + sum(values[:k])) / (k + 1) for k in range(t + 1)]
        spread = [(x - m) ** 2 for x, m in zip(values, means[1:], strict=False)]
        variance_before = (0.25 + sum(spread[: t - 1])) / t
        bet = min(math.sqrt(2 * math.log(2 / alpha) / (variance_before * t * math.log(1 + t))), 0.5)
        bets.append(bet)
        penalties.append(4 * (x - means[t - 1]) ** 2 * (-math.log(1 - bet) - bet) / 4)
    centre = sum(b * x for b, x in zip(bets, values, strict=True)) / sum(bets)
    margin = (math.log(2 / alpha) + sum(penalties)) / sum(bets)
    return max(centre - margin, 0), min(centre + margin, 1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=25), st.sampled_from([0.01, 0.05, 0.2]))
def test_bernstein_is_the_papers(values: list[float], alpha: float) -> None:
    sequence = EmpiricalBernstein(alpha)
    for value in values:
        sequence.add(value)
    found = sequence.interval()
    low, high = plain_bernstein(values, alpha)
    assert found.low == pytest.approx(low, abs=1e-9)
    assert found.high == pytest.approx(high, abs=1e-9)
    assert found.mean == pytest.approx(np.mean(values))


def test_asymptotic_by_hand() -> None:
    sequence = AsymptoticSequence(0.05, tuned_for=100, fewest=2)
    for value in (1.0, 3.0, 2.0, 2.0):
        sequence.add(value)
    rho2 = (-2 * math.log(0.05) + math.log(-2 * math.log(0.05)) + 1) / 100
    grown = 4 * rho2 + 1
    margin = math.sqrt(0.5) * math.sqrt(2 * grown / (16 * rho2) * math.log(math.sqrt(grown) / 0.05))
    assert sequence.interval().high == pytest.approx(2 + margin)
    assert sequence.interval().low == pytest.approx(2 - margin)


@pytest.mark.parametrize(
    ("make", "draw", "mean"),
    [
        (lambda: EmpiricalBernstein(0.1), lambda r, n: r.beta(2, 6, n), 0.25),
        (lambda: EmpiricalBernstein(0.1, -1, 1), lambda r, n: r.choice([-1.0, 1.0], n), 0.0),
        (lambda: AsymptoticSequence(0.1), lambda r, n: r.standard_t(5, n) + 0.3, 0.3),
        (lambda: AsymptoticSequence(0.1), lambda r, n: r.exponential(1, n), 1.0),
    ],
    ids=["beta", "signs", "heavy tails", "skewed"],
)
def test_the_mean_is_ever_outside_no_more_often_than_stated(make, draw, mean: float) -> None:
    left, streams = 0, 150
    random = np.random.default_rng(12)
    for _ in range(streams):
        sequence = make()
        for value in draw(random, 600):
            sequence.add(float(value))
            found = sequence.interval()
            if not found.low <= mean <= found.high:
                left += 1
                break
    assert left / streams <= 0.1 + 2 * math.sqrt(0.1 * 0.9 / streams)


def test_an_ordinary_interval_is_left_far_more_often() -> None:
    """Why this is needed: the daily look at a 90 % interval."""
    random = np.random.default_rng(13)
    steps = np.arange(1, 601)
    sums = random.normal(size=(300, 600)).cumsum(axis=1)
    left = (np.abs(sums / np.sqrt(steps))[:, 30:] > 1.645).any(axis=1).mean()
    assert left > 0.3


def test_both_ends_move_out_by_the_resolution() -> None:
    plain, coarse = AsymptoticSequence(0.5), AsymptoticSequence(0.5, resolution=0.25)
    for value in np.random.default_rng(15).normal(size=50).tolist():
        plain.add(value)
        coarse.add(value)
    assert coarse.interval().low == pytest.approx(plain.interval().low - 0.25)
    assert coarse.interval().high == pytest.approx(plain.interval().high + 0.25)


@pytest.mark.parametrize("make", [lambda: EmpiricalBernstein(0.05), AsymptoticSequence])
def test_they_find_what_is_there(make) -> None:
    random = np.random.default_rng(14)
    sequence = make()
    for value in random.beta(8, 2, 800):
        sequence.add(float(value))
    found = sequence.interval()
    assert found.low > 0.7
    assert found.high < 0.9
    assert found.count == 800


def test_before_there_are_values_nothing_is_known() -> None:
    assert EmpiricalBernstein().interval().low == 0.0
    interval = AsymptoticSequence().interval()
    assert (interval.low, interval.high) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: EmpiricalBernstein(0.0), "alpha"),
        (lambda: EmpiricalBernstein(0.1, 1, 0), "low and high"),
        (lambda: EmpiricalBernstein().add(1.5), "between 0.0 and 1.0"),
        (lambda: AsymptoticSequence(tuned_for=0), "tuned_for"),
        (lambda: AsymptoticSequence(0.9), "alpha: must be at most 0.5"),
        (lambda: AsymptoticSequence(resolution=-1.0), "resolution"),
        (lambda: AsymptoticSequence().add(math.nan), "finite"),
    ],
)
def test_what_is_wrong_is_named(make, named: str) -> None:
    with pytest.raises(MonitoringError, match=named):
        make()
