"""What is worked out from a log is what the engine reports, and its parts add up to the whole."""

from __future__ import annotations

import numpy as np
import pytest

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures, run_policy
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.policy import Policies
from windtunnel.backtest.stops import Stops
from windtunnel.backtest.trace import trace_fills
from windtunnel.errors import BacktestError

COSTS = Costs(0.0005, 0.0005, 0.02, 0.05)
FINER = Costs(0.0005, 0.0005, 0.02, 0.05, fee_per_unit=0.001, minimum_fee=0.1, impact=0.1)
LOTS = {"lot_size": 0.5, "participation": 0.02}


def trace_of(result, panel, terms):
    del terms["band"]
    return trace_fills(result.trades, result.cash[:, 0], panel, **terms)


def trade(panel, exposures, *, band=0.02, fill="next_open", costs=COSTS, **limits):
    terms = {
        "band": band,
        "costs": costs,
        "execution": Execution(fill, 1000.0, **limits),
        "periods_per_year": 252.0,
    }
    result = run_exposures(
        panel, np.ascontiguousarray(exposures[:, :, None]), want_trades=True, **terms
    )
    return result, trace_of(result, panel, terms)


def assert_adds_up(found, engine):
    np.testing.assert_allclose(found.equity, engine.equity[:, 0], rtol=1e-9, atol=1e-6)
    assert found.fills.sum() == engine.fills[0]
    assert found.turnover.sum() == pytest.approx(engine.turnover[0])
    assert found.costs.sum() == pytest.approx(engine.costs[0])
    assert found.borrow.sum() + found.interest == pytest.approx(engine.financing[0])
    assert found.gross.mean() == pytest.approx(engine.exposure[0])
    assert (np.abs(found.net) <= found.gross + 1e-12).all()
    whole = found.equity[-1] - 1000.0
    assert found.profit.sum() - found.interest == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize("limits", [{}, LOTS], ids=["plain", "lots"])
@pytest.mark.parametrize("costs", [COSTS, FINER], ids=["rate", "finer"])
@pytest.mark.parametrize("fill", ["next_open", "next_close", "same_close"])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_engine_and_its_parts_add_up(random_world, seed, fill, costs, limits):
    world = random_world(seed, 120, 5, 0.02, 0.1)
    exposures = world.rng.choice([-0.6, 0.0, 0.3, np.nan], (120, 5))
    engine, found = trade(world.panel, exposures, fill=fill, costs=costs, **limits)
    assert_adds_up(found, engine)


def test_fills_by_stops_are_refused(random_world):
    world = random_world(6, 200, 2, 0.02, 0.0)
    one = np.ones(1)
    policies = Policies(np.zeros(1, np.int64), 0.5 * one, 0 * one, one, 0.02 * one, long_only=False)
    scores = world.rng.uniform(-1, 1, (200, 2, 1)).astype(np.float32)
    terms = {"costs": COSTS, "execution": Execution("next_open", 1000.0), "periods_per_year": 252.0}
    engine = run_policy(
        world.panel, scores, policies, stops=Stops(loss=0.03 * one), want_trades=True, **terms
    )
    assert (engine.trades.reason == 1).any()
    with pytest.raises(BacktestError, match="fills by stops"):
        trace_of(engine, world.panel, terms | {"band": 0.02})


def test_a_liquidation_is_shared_out_too(random_world):
    world = random_world(11, 80, 3, 0.08, 0.0)
    engine, found = trade(world.panel, np.full((80, 3), 1.5), maintenance=0.2)
    assert engine.liquidated[0] > 0
    assert_adds_up(found, engine)
    assert (found.gross[engine.liquidated[0] :] == 0).all()


def test_profit_worked_by_hand(make_panel):
    # Bought at 10 with everything, sold at 12: a fifth of 1000, less 1 % of each traded value.
    panel = make_panel([[10.0, 5.0]] * 2 + [[12.0, 5.0]], [[10.0, 5.0], [11.0, 5.0], [12.0, 5.0]])
    exposures = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    _, found = trade(panel, exposures, band=0.0, costs=Costs(0.01, 0.0, 0.0, 0.0))
    assert found.traded.tolist() == [1000.0 + 1200.0, 0.0]
    assert found.costs.tolist() == pytest.approx([22.0, 0.0])
    assert found.profit.tolist() == pytest.approx([200.0 - 22.0, 0.0])
    assert found.held.tolist() == [1, 0]


def test_without_a_fill_nothing_happened(make_panel):
    _, found = trade(make_panel([1.0, 2.0], [1.0, 2.0]), np.zeros((2, 1)))
    assert found.equity.tolist() == [1000.0, 1000.0]
    assert found.profit.tolist() == found.gross.tolist()[:1] == [0.0]


def test_what_does_not_fit_is_refused(random_world):
    world = random_world(1, 30, 1, 0.02, 0.0)
    engine, _ = trade(world.panel, np.full((30, 1), 0.5))
    terms = {"costs": COSTS, "execution": Execution(), "periods_per_year": 252.0}
    with pytest.raises(BacktestError, match=r"cash: must be \(T,\) = \(30,\), got \(30, 1\)"):
        trace_fills(engine.trades, engine.cash, world.panel, **terms)
    two = run_exposures(
        world.panel, world.rng.uniform(0, 1, (30, 1, 2)), band=0.0, want_trades=True, **terms
    )
    with pytest.raises(BacktestError, match="fills of 2 configurations"):
        trace_fills(two.trades, two.cash[:, 0], world.panel, **terms)
