"""Stops inside, at the edge of and across bars: by hand, and on random worlds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_policy
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.oracle import simulate_policy
from windtunnel.backtest.oracle_stops import StopRules
from windtunnel.backtest.policy import Policies
from windtunnel.backtest.stops import Stops
from windtunnel.errors import BacktestError

NAN = float("nan")
FREE = Costs(0.0, 0.0, 0.0, 0.0)
PLAIN = Execution("next_open", 1000.0, 0.0)
AT_CLOSE = Execution("next_close", 1000.0, 0.0)


@dataclass(frozen=True)
class Case:
    """Bars (open, high, low, close), scores, and what must come of them from 1000."""

    bars: list[tuple[float, float, float, float]]
    scores: list[float]
    rules: StopRules
    equity: list[float]
    totals: dict[str, float] = field(default_factory=dict)
    execution: Execution = PLAIN
    costs: Costs = FREE
    band: float = 0.5


FLAT = (10.0, 10.0, 10.0, 10.0)
CASES = {
    # 100 units at 10; the low of 8 passes 9, which is where the stop fills.
    "loss": Case(
        [FLAT, FLAT, (10, 10, 8, 10), FLAT],
        [1, 1, 1, 1],
        StopRules(loss=0.1),
        [1000, 1000, 900, 900],
        {"fills": 2, "ambiguous": 0, "turnover": 2 - 0.1},
    ),
    # The open of 7 lies beyond: the fill is at 7.
    "loss across a gap": Case(
        [FLAT, FLAT, (7, 10, 7, 10), FLAT],
        [1, 1, 1, 1],
        StopRules(loss=0.1),
        [1000, 1000, 700, 700],
        {"fills": 2},
    ),
    # The bar of the entry counts too where the entry is at its open.
    "loss on the bar of the entry": Case(
        [FLAT, (10, 10, 8, 10), FLAT],
        [1, 1, 1],
        StopRules(loss=0.1),
        [1000, 900, 900],
        {"fills": 2},
    ),
    # At its close the entry comes after the low.
    "an entry at the close knows nothing of its bar": Case(
        [FLAT, (10, 10, 8, 10), FLAT],
        [1, 1, 1],
        StopRules(loss=0.1),
        [1000, 1000, 1000],
        {"fills": 1},
        AT_CLOSE,
    ),
    "profit": Case(
        [FLAT, FLAT, (10, 15, 10, 10), FLAT],
        [1, 1, 1, 1],
        StopRules(profit=0.2),
        [1000, 1000, 1200, 1200],
        {"fills": 2},
    ),
    "profit across a gap": Case(
        [FLAT, FLAT, (13, 15, 10, 10), FLAT],
        [1, 1, 1, 1],
        StopRules(profit=0.2),
        [1000, 1000, 1300, 1300],
        {"fills": 2},
    ),
    # Stop at 9 and target at 12 inside one bar: the stop, and the bar is counted.
    "both inside a bar": Case(
        [FLAT, FLAT, (10, 15, 8, 14), FLAT],
        [1, 1, 1, 1],
        StopRules(loss=0.1, profit=0.2),
        [1000, 1000, 900, 900],
        {"fills": 2, "ambiguous": 1},
    ),
    # The open is beyond the target: nothing is ambiguous.
    "a gap decides": Case(
        [FLAT, FLAT, (13, 15, 8, 14), FLAT],
        [1, 1, 1, 1],
        StopRules(loss=0.1, profit=0.2),
        [1000, 1000, 1300, 1300],
        {"ambiguous": 0},
    ),
    # High of 20 at bar 2; 10 % below it lies at 18, and bar 3 falls from 19 to 15.
    "trailing": Case(
        [FLAT, FLAT, (10, 20, 10, 19), (19, 19, 15, 15), FLAT],
        [1, 1, 1, 1, 1],
        StopRules(trailing=0.1),
        [1000, 1000, 1900, 1800, 1800],
        {"fills": 2},
    ),
    # Short 100 units at 10; the high of 12 passes 11.
    "short loss": Case(
        [FLAT, FLAT, (10, 12, 10, 10), FLAT],
        [-1, -1, -1, -1],
        StopRules(loss=0.1),
        [1000, 1000, 900, 900],
        {"fills": 2},
    ),
    # Low of 5 at bar 2; 20 % above it lies 6, and bar 3 rises to 8.
    "short trailing": Case(
        [FLAT, FLAT, (10, 10, 5, 5), (5, 8, 5, 8), FLAT],
        [-1, -1, -1, -1, -1],
        StopRules(trailing=0.2),
        [1000, 1000, 1500, 1400, 1400],
        {"fills": 2},
        band=0.9,
    ),
    # Entered at the open of bar 1, closed at the open of bar 3.
    "time": Case(
        [FLAT, FLAT, (10, 12, 10, 12), (11, 15, 11, 15), FLAT],
        [1, 1, 1, 1, 1],
        StopRules(bars=2),
        [1000, 1000, 1200, 1100, 1100],
        {"fills": 2},
    ),
    # Stopped at 9 on bar 2. The signal is still long at bar 3, leaves at bar 4, and comes again
    # at bar 5: 900 at the open of 10 on bar 6.
    "a stopped side waits for the signal to leave": Case(
        [FLAT, FLAT, (10, 10, 8, 10), FLAT, FLAT, FLAT, (10, 20, 10, 20)],
        [1, 1, 1, 1, 0, 1, 1],
        StopRules(loss=0.1),
        [1000, 1000, 900, 900, 900, 900, 1800],
        {"fills": 3},
    ),
    # The other side is open at once.
    "the other side": Case(
        [FLAT, FLAT, (10, 10, 8, 10), (10, 10, 5, 5)],
        [1, 1, -1, -1],
        StopRules(loss=0.1),
        [1000, 1000, 900, 1350],
        {"fills": 3},
    ),
    # At the close the stop of the bar comes before its order, which the barred side forbids.
    "stop before an order at the close": Case(
        [FLAT, FLAT, (10, 10, 8, 10), FLAT],
        [1, 1, 1, 1],
        StopRules(loss=0.1),
        [1000, 1000, 900, 900],
        {"fills": 2},
        Execution("same_close", 1000.0, 0.0),
    ),
    # A stop pays as an order does: 1 % of 1000, then 1 % of 900.
    "costs of a stop": Case(
        [FLAT, FLAT, (10, 10, 8, 10), FLAT],
        [1, 1, 1, 1],
        StopRules(loss=0.1),
        [1000, 990, 881, 881],
        {"costs": 19},
        costs=Costs(0.01, 0.0, 0.0, 0.0),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_hand_worked(name, make_panel) -> None:
    case = CASES[name]
    open_, high, low, close = np.array(case.bars, float).T[:, :, None].copy()
    panel = replace(make_panel(open_, close), high=high, low=low)
    scores = np.array(case.scores, np.float32)[:, None]
    terms = {"costs": case.costs, "execution": case.execution, "periods_per_year": 1.0}
    rule = {"enter": 0.5, "exit": 0.1, "leverage": 1.0, "band": case.band}
    ledger = simulate_policy(panel, scores, long_only=False, stops=case.rules, **rule, **terms)
    np.testing.assert_allclose(ledger.equity, case.equity, rtol=1e-12)
    policies = Policies(
        column=np.zeros(1, np.int64),
        long_only=False,
        **{name: np.array([value]) for name, value in rule.items()},
    )
    stops = Stops(**{name: np.array([float(value)]) for name, value in vars(case.rules).items()})
    result = run_policy(panel, scores[:, :, None].copy(), policies, stops=stops, **terms)
    np.testing.assert_allclose(result.equity[:, 0], case.equity, rtol=1e-12)
    for total, expected in case.totals.items():
        assert getattr(ledger, total) == pytest.approx(expected, rel=1e-12), total
        assert getattr(result, total)[0] == pytest.approx(expected, rel=1e-12), total


def test_refusals(make_panel) -> None:
    with pytest.raises(BacktestError, match=r"stops.loss\[1\]: must be above 0, got .*0.0"):
        Stops(loss=np.array([0.1, 0.0]))
    with pytest.raises(BacktestError, match=r"stops.bars\[0\]: must be at least 1, got .*nan"):
        Stops(bars=np.array([NAN]))
    with pytest.raises(BacktestError, match=r"stops.profit: must be a one-dimensional float64"):
        Stops(profit=[0.1])
    panel = make_panel([10, 10], [10, 10])
    one = np.ones(1)
    policies = Policies(np.zeros(1, np.int64), one, one, one, one, long_only=True)
    terms = {"costs": FREE, "execution": PLAIN, "periods_per_year": 1.0}
    scores = np.zeros((2, 1, 1), np.float32)
    with pytest.raises(BacktestError, match=r"stops.loss: must have one entry a policy \(1\)"):
        run_policy(panel, scores, policies, stops=Stops(loss=np.ones(2)), **terms)
    upside_down = replace(panel, low=panel.low + 1)
    with pytest.raises(BacktestError, match=r"panel.low\[0, 0\] \(S0\): must be finite and above"):
        run_policy(upside_down, scores, policies, stops=Stops(loss=one), **terms)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    bars=st.integers(1, 30),
    instruments=st.integers(1, 3),
    volatility=st.sampled_from([0.001, 0.05, 0.3, 1.5]),
    holes=st.sampled_from([0.0, 0.1, 0.5]),
    execution=st.builds(
        Execution,
        fill=st.sampled_from(["next_open", "next_close", "same_close"]),
        initial_cash=st.just(1e5),
        maintenance=st.sampled_from([0.0, 0.2]),
        participation=st.sampled_from([None, 0.2]),
        lot_size=st.sampled_from([0.0, 1.0]),
    ),
    costs=st.sampled_from([FREE, Costs(1e-3, 2e-4, 0.5, 0.5, 0.001, 1.0, 0.01)]),
    width=st.sampled_from([1, 3, 17]),
    long_only=st.booleans(),
)
def test_stops_equal_the_specification(
    random_world,
    assert_equals,
    seed,
    bars,
    instruments,
    volatility,
    holes,
    execution,
    costs,
    width,
    long_only,
) -> None:
    market = random_world(seed, bars, instruments, volatility, holes)
    panel, rng = market.panel, market.rng
    prices = np.where(panel.listed, panel.close, 1.0)
    panel = replace(
        panel,
        high=panel.high * np.exp(rng.exponential(volatility, prices.shape)),
        low=panel.low * np.exp(-rng.exponential(volatility, prices.shape)),
        volume=np.where(panel.tradable, 1e5 / prices * rng.uniform(0.1, 10, prices.shape), NAN),
    )
    scores = rng.choice([-1.0, -0.25, 0.0, 0.25, 0.5, 1.0, np.nan], (bars, instruments, 2))
    scores = scores.astype(np.float32)
    policies = Policies(
        column=rng.integers(0, 2, width),
        enter=rng.choice([0.0, 0.25, 0.5], width),
        exit=rng.choice([0.0, 0.1, 0.5], width),
        leverage=rng.choice([0.3, 1.0, 4.0], width),
        band=rng.choice([0.0, 0.02, 0.5], width),
        long_only=long_only,
    )
    sizes = volatility * np.array([0.5, 1.0, 3.0, inf])
    stops = Stops(
        loss=rng.choice(sizes, width),
        profit=rng.choice(sizes, width),
        trailing=rng.choice(sizes, width),
        bars=rng.choice([1.0, 3.0, inf], width),
    )
    terms = {"costs": costs, "execution": execution, "periods_per_year": 12.0}
    result = run_policy(panel, scores, policies, stops=stops, threads=2, **terms)
    for c in range(width):
        ledger = simulate_policy(
            panel,
            scores[:, :, policies.column[c]],
            enter=float(policies.enter[c]),
            exit=float(policies.exit[c]),
            leverage=float(policies.leverage[c]),
            band=float(policies.band[c]),
            long_only=long_only,
            stops=StopRules(**{name: float(value[c]) for name, value in vars(stops).items()}),
            **terms,
        )
        assert_equals(result, c, ledger)


def test_stops_that_are_off_change_nothing(random_world) -> None:
    market = random_world(5, 200, 3, 0.05, 0.1)
    scores = market.rng.uniform(-1, 1, (200, 3, 4)).astype(np.float32)
    half = np.full(4, 0.5)
    policies = Policies(np.arange(4), half, half / 2, half * 2, half / 10, long_only=False)
    terms = {
        "costs": Costs(1e-3, 2e-4, 0.1, 0.1),
        "execution": PLAIN,
        "periods_per_year": 12.0,
    }
    plain = run_policy(market.panel, scores, policies, **terms)
    off = run_policy(market.panel, scores, policies, stops=Stops(loss=np.full(4, inf)), **terms)
    np.testing.assert_array_equal(plain.equity, off.equity)


def test_an_open_that_rounding_put_outside_the_range_lies_inside(make_panel) -> None:
    """The quality gate lets adjusted prices be off by 1e-9; so do stops."""
    prices = np.array([10.0, 10.0, 9.0, 9.0])
    panel = make_panel(prices, prices)
    narrow = replace(panel, high=panel.high * (1 - 5e-10), low=panel.low * (1 + 5e-10))
    scores = np.ones((4, 1, 1), np.float32)
    one = np.ones(1)
    policies = Policies(np.zeros(1, np.int64), one, 0 * one, one, 0 * one, long_only=True)
    terms = {"costs": FREE, "execution": PLAIN, "periods_per_year": 1.0}
    for each in (panel, narrow):
        result = run_policy(each, scores, policies, stops=Stops(loss=np.array([0.1])), **terms)
        assert result.fills[0] == 2
    wide = replace(panel, high=panel.high * (1 - 5e-9))
    with pytest.raises(BacktestError, match=r"panel.high\[0, 0\].*at least open and close"):
        run_policy(wide, scores, policies, stops=Stops(loss=np.array([0.1])), **terms)
