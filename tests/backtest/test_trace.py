"""The traced configuration is the engine's, and its parts add up to the whole."""

from __future__ import annotations

import numpy as np
import pytest

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.oracle import simulate_exposures
from windtunnel.backtest.trace import trace_exposures
from windtunnel.errors import BacktestError

COSTS = Costs(0.0005, 0.0005, 0.02, 0.05)


def trade(panel, exposures, *, band=0.02, fill="next_open", maintenance=0.0, costs=COSTS):
    terms = {
        "band": band,
        "costs": costs,
        "execution": Execution(fill, 1000.0, maintenance),
        "periods_per_year": 252.0,
    }
    return terms, trace_exposures(panel, exposures, **terms)


@pytest.mark.parametrize("fill", ["next_open", "next_close", "same_close"])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_engine_and_its_parts_add_up(random_world, seed, fill):
    world = random_world(seed, 120, 5, 0.02, 0.1)
    exposures = world.rng.choice([-0.6, 0.0, 0.3, np.nan], (120, 5))
    terms, found = trade(world.panel, exposures, fill=fill)
    engine = run_exposures(
        world.panel, np.ascontiguousarray(exposures[:, :, None]), **terms, threads=1
    )
    np.testing.assert_allclose(found.equity, engine.equity[:, 0], rtol=1e-9, atol=1e-6)
    assert found.fills.sum() == engine.fills[0]
    assert found.turnover.sum() == pytest.approx(engine.turnover[0])
    assert found.costs.sum() == pytest.approx(engine.costs[0])
    assert found.borrow.sum() + found.interest == pytest.approx(engine.financing[0])
    assert found.gross.mean() == pytest.approx(engine.exposure[0])
    assert (np.abs(found.net) <= found.gross + 1e-12).all()
    whole = found.equity[-1] - 1000.0
    assert found.profit.sum() - found.interest == pytest.approx(whole, abs=1e-6)


def test_a_liquidation_is_shared_out_too(random_world):
    world = random_world(11, 80, 3, 0.08, 0.0)
    exposures = np.full((80, 3), 1.5)
    terms, found = trade(world.panel, exposures, maintenance=0.2)
    ledger = simulate_exposures(world.panel, exposures, **terms)
    assert ledger.liquidated > 0
    np.testing.assert_allclose(found.equity, ledger.equity, rtol=1e-9)
    assert found.costs.sum() == pytest.approx(ledger.costs)
    assert found.fills.sum() == ledger.fills
    assert (found.gross[ledger.liquidated :] == 0).all()
    assert found.profit.sum() - found.interest == pytest.approx(found.equity[-1] - 1000.0)


def test_profit_worked_by_hand(make_panel):
    # Bought at 10 with everything, sold at 12: a fifth of 1000, less 1 % of each traded value.
    panel = make_panel([[10.0, 5.0]] * 2 + [[12.0, 5.0]], [[10.0, 5.0], [11.0, 5.0], [12.0, 5.0]])
    exposures = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    _, found = trade(panel, exposures, band=0.0, costs=Costs(0.01, 0.0, 0.0, 0.0))
    assert found.traded.tolist() == [1000.0 + 1200.0, 0.0]
    assert found.costs.tolist() == pytest.approx([22.0, 0.0])
    assert found.profit.tolist() == pytest.approx([200.0 - 22.0, 0.0])
    assert found.held.tolist() == [1, 0]


def test_exposures_must_fit_the_panel(make_panel):
    with pytest.raises(BacktestError, match=r"\(T, N\) = \(2, 1\), got \(3, 1\)"):
        trade(make_panel([1.0, 2.0], [1.0, 2.0]), np.zeros((3, 1)))
