"""Skewed differences and rounding do not pass for a loss; a real one is still found."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from windtunnel.monitoring.decay.account import FEWEST, EquityWatch, SlippageWatch

AT = datetime(2024, 1, 1, tzinfo=UTC)
STREAMS = 100


def first_alarm(watch: EquityWatch, differences: np.ndarray) -> int | None:
    for bar, difference in enumerate(differences.tolist(), start=1):
        watch.add(AT, difference, 0.0)
        if watch.condition(AT).breached:
            return bar
    return None


def skewed(random: np.random.Generator) -> np.ndarray:
    """A basis point lost at most bars, 49 won at two in a hundred: nothing on average."""
    return np.where(random.random(1000) < 0.02, 49e-4, -1e-4)


def test_losses_that_rare_gains_make_up_for_are_seldom_an_alarm() -> None:
    alarms = [
        first_alarm(EquityWatch("m"), skewed(np.random.default_rng((1, k)))) for k in range(STREAMS)
    ]
    said = sum(bar is not None for bar in alarms)
    assert said <= 0.15 * STREAMS  # 5 % is what is reached with ever more bars


def test_with_few_bars_they_would_be() -> None:
    """Why so many bars are waited for."""
    alarms = [
        first_alarm(EquityWatch("m", fewest=30), skewed(np.random.default_rng((1, k))))
        for k in range(STREAMS)
    ]
    assert sum(bar is not None for bar in alarms) > 0.4 * STREAMS


@pytest.mark.parametrize(("fewest", "found"), [(FEWEST, 250), (30, 30)])
def test_a_gross_shortfall_is_told_of_at_once_after_the_wait(fewest: int, found: int) -> None:
    losing = np.random.default_rng(2).normal(-2e-3, 2e-3, 400)
    assert first_alarm(EquityWatch("m", fewest=fewest), losing) == found


def test_a_small_shortfall_is_found_no_later_than_with_fewer_bars() -> None:
    slow = 0
    for seed in range(20):
        losing = np.random.default_rng((3, seed)).normal(-1.5e-4, 1e-3, 2000)
        soon = first_alarm(EquityWatch("m", fewest=30), losing)
        waited = first_alarm(EquityWatch("m"), losing)
        assert waited is not None
        assert soon is not None
        assert waited == soon or soon < FEWEST
        slow += soon > FEWEST
    assert slow >= 5


def test_rounding_is_no_loss() -> None:
    watch = EquityWatch("m")
    for bar in range(400):
        watch.add(AT, 0.001 - 1e-17 * (bar % 30), 0.001)
    assert watch.difference().count == 400
    assert not watch.condition(AT).breached


@pytest.mark.parametrize("assumed", [0.3, 1.0, 2.5])
def test_fills_that_cost_what_was_assumed_are_fine(assumed: float) -> None:
    watch = SlippageWatch("m", assumed_bps=assumed)
    for fill in range(400):
        open_ = 100.0 + fill / 7
        watch.add(AT, 1, open_ * (1 + assumed / 1e4), open_)
    assert watch.cost().mean == pytest.approx(assumed)
    assert not watch.condition(AT).breached


def test_a_loss_that_is_always_the_same_is_one() -> None:
    watch = EquityWatch("m")
    assert first_alarm(watch, np.full(300, -1e-4)) == FEWEST
