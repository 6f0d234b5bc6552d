"""Trades put together from fills: worked by hand, and adding up to the equity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.round_trips import round_trips
from windtunnel.errors import BacktestError

NAN = float("nan")


def run(panel, exposures, costs, **execution):
    return run_exposures(
        panel,
        np.ascontiguousarray(exposures[:, :, None]),
        band=0.0,
        costs=costs,
        execution=Execution("next_open", 1000.0, **execution),
        periods_per_year=1.0,
        want_trades=True,
    )


def test_hand_worked(make_panel):
    # 50 long at 10; at 12 turned to 100 short (equity 1,100 less the fee); covered at 6;
    # 1 % of each value is paid.
    opens = [10.0, 10.0, 12.0, 6.0, 6.0, 6.0]
    panel = make_panel(opens, opens)
    exposures = np.array([0.5, -1.0, 0.0, 0.25, NAN, NAN])[:, None]
    result = run(panel, exposures, Costs(0.01, 0.0, 0.0, 0.0))
    table = round_trips(result.trades, panel)
    assert table["side"].to_list() == ["long", "short", "long"]
    assert table["symbol"].to_list() == ["S0"] * 3
    first, second, third = table.iter_rows(named=True)
    assert first["bars"] == 1
    assert first["units"] == 50.0
    assert first["costs"] == pytest.approx(0.01 * 50 * 10 + 0.01 * 50 * 12)
    assert first["profit"] == pytest.approx(50 * 2 - first["costs"])
    assert first["gain"] == pytest.approx(first["profit"] / 500)
    assert first["fills"] == second["fills"] == 2
    short = second["units"]
    assert second["profit"] == pytest.approx(short * 6 - 0.01 * short * 18)
    assert second["opened"] == first["closed"]
    assert third["closed"] is None
    assert third["reason"] == "held"
    assert third["bars"] == 1  # opened at bar 4, the last is bar 5
    assert table["profit"].sum() == pytest.approx(result.final_equity[0] - 1000)


@given(
    seed=st.integers(0, 10**6),
    borrow=st.sampled_from([0.0, 0.3]),
    maintenance=st.sampled_from([0.0, 0.6]),
    width=st.sampled_from([0.4, 1.5]),
)
def test_profits_add_up_to_the_equity(random_world, seed, borrow, maintenance, width):
    market = random_world(seed, 60, 3, 0.08, 0.1)
    exposures = market.rng.uniform(-width, width, (60, 3))
    exposures[market.rng.random((60, 3)) < 0.4] = 0.0
    result = run(
        market.panel, exposures, Costs(1e-3, 2e-4, borrow, borrow), maintenance=maintenance
    )
    table = round_trips(result.trades, market.panel)
    total = table["profit"].sum() - result.financing[0]
    assert 1000 + total == pytest.approx(result.final_equity[0], rel=1e-9, abs=1e-6)
    assert table["costs"].sum() == pytest.approx(result.costs[0], rel=1e-9, abs=1e-9)
    # No trip of an instrument begins before the one before it has ended.
    for _, part in table.group_by("symbol", maintain_order=True):
        ends = part["closed"].to_list()
        assert all(end is not None for end in ends[:-1])
        starts = part["opened"].to_list()
        assert all(start >= end for start, end in zip(starts[1:], ends[:-1], strict=True))


def test_no_fill_is_no_trade(make_panel):
    panel = make_panel([10.0, 10.0], [10.0, 10.0])
    result = run(panel, np.zeros((2, 1)), Costs(0.01, 0.0, 0.0, 0.0))
    table = round_trips(result.trades, panel)
    assert table.is_empty()
    assert "profit" in table.columns


def test_a_log_of_several_configurations_is_taken_apart_first(random_world):
    market = random_world(5, 80, 2, 0.02, 0.0)
    exposures = market.rng.choice([0.5, -0.5, 0.0, NAN], (80, 2, 3))
    result = run_exposures(
        market.panel,
        exposures,
        band=0.0,
        costs=Costs(0.001, 0.0, 0.0, 0.0),
        execution=Execution("next_open", 1000.0),
        periods_per_year=1.0,
        want_trades=True,
    )
    with pytest.raises(BacktestError, match=r"fills of 3 configurations, 0 to 2.*log.of\(0\)"):
        round_trips(result.trades, market.panel)
    for c in range(3):
        profit = round_trips(result.trades.of(c), market.panel)["profit"].sum()
        assert profit == pytest.approx(result.final_equity[c] - 1000.0, abs=1e-6)
