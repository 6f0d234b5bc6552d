"""Burn rates against counts of every request, and the alert that they decide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import MonitoringError
from windtunnel.monitoring.burn_rate import HOUR, BurnMeter, BurnWindow, Objective

FAST = Objective("fast", 0.99, 0.05)


def test_burn_is_the_bad_share_over_the_allowance() -> None:
    meter = BurnMeter(FAST)
    for k in range(1000):
        meter.add(0.1 if k % 10 == 0 else 0.01, now=k * 0.1)
    (hour, six_hours, three_days) = meter.burns(now=100.0)
    # A tenth of the requests is slow, a hundredth is allowed.
    assert hour.long == pytest.approx(10.0)
    assert hour.short == pytest.approx(10.0)
    assert not hour.alert  # 14.4 is the limit
    assert six_hours.alert
    assert three_days.alert


def test_the_short_window_ends_the_alert_soon_after_the_trouble() -> None:
    meter = BurnMeter(FAST)
    for k in range(600):
        meter.add(1.0, now=float(k))
    assert meter.burns(600.0)[0].alert
    for k in range(600, 1100):
        meter.add(0.01, now=float(k))
    burn = meter.burns(1100.0)[0]
    assert burn.long > burn.window.rate
    assert not burn.alert


def test_few_requests_say_nothing() -> None:
    meter = BurnMeter(FAST)
    for k in range(99):
        meter.add(1.0, now=float(k))
    assert not any(burn.alert for burn in meter.burns(100.0))
    meter.add(1.0, now=100.0)
    assert all(burn.alert for burn in meter.burns(100.0))


def test_an_idle_service_burns_nothing() -> None:
    meter = BurnMeter(FAST)
    for k in range(200):
        meter.add(1.0, now=float(k))
    assert [burn.long for burn in meter.burns(1000 * HOUR)] == [0.0, 0.0, 0.0]


@given(
    st.lists(st.tuples(st.floats(0, 4000), st.booleans()), min_size=1, max_size=300),
    st.floats(100, 3000),
)
def test_windows_are_exact_to_a_step(requests: list[tuple[float, bool]], long: float) -> None:
    """Against a list of every request: the meter sees between `long` and `long` + a step."""
    objective = Objective("o", 0.5, 0.05, (BurnWindow(long, long / 2, 1.0, "warning"),), fewest=1)
    meter = BurnMeter(objective, step=10.0)
    requests.sort()
    for at, bad in requests:
        meter.add(1.0 if bad else 0.0, at)
    now = requests[-1][0]
    (burn,) = meter.burns(now)
    least = sum(at >= now - long for at, _ in requests)
    most = sum(at >= now - long - 10.0 for at, _ in requests)
    assert least <= burn.requests <= most


def test_memory_does_not_grow() -> None:
    meter = BurnMeter(FAST, step=30.0)
    for k in range(20_000):
        meter.add(0.01, now=k * 60.0)
    assert len(meter._steps) <= 72 * 120 + 2


@pytest.mark.parametrize(("target", "seconds"), [(1.0, 0.1), (0.0, 0.1), (0.99, 0.0)])
def test_an_objective_must_leave_an_allowance(target: float, seconds: float) -> None:
    with pytest.raises(MonitoringError, match="must be"):
        Objective("o", target, seconds)
