"""backtesting.py against the engine: single runs that fill at the next open in whole units.

What is arranged: no spread, which it takes on entries only, and the same lot size of one unit.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures
from windtunnel.backtest.execution import Execution

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # those of a peer's import are its own
    backtesting = pytest.importorskip("backtesting")

# The same for what it warns of while it runs.
pytestmark = pytest.mark.filterwarnings("ignore")

CASH = 100_000.0
SHARE = 0.9
BARS = 400


@pytest.mark.parametrize("fee", [0.0, 1e-3])
@pytest.mark.parametrize("fill", ["next_open", "same_close"])
@pytest.mark.parametrize("side", [1, -1])
def test_entries_and_exits(make_market, fee, fill, side) -> None:
    panel = make_market(3, BARS)
    inside = np.cumsum(np.random.default_rng(3).random(BARS) < 1 / 15) % 2 == 1
    inside[-1] = inside[-2]  # it has no bar left on which to act on the last one

    class Follow(backtesting.Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            wanted = inside[len(self.data) - 1]
            if wanted and not self.position:
                (self.buy if side > 0 else self.sell)(size=SHARE)
            elif not wanted and self.position:
                self.position.close()

    bars = pd.DataFrame(
        {
            "Open": panel.open[:, 0],
            "High": panel.high[:, 0],
            "Low": panel.low[:, 0],
            "Close": panel.close[:, 0],
            "Volume": panel.volume[:, 0],
        },
        index=pd.DatetimeIndex(panel.timestamps),
    )
    run = backtesting.Backtest(
        bars, Follow, cash=CASH, commission=fee, trade_on_close=fill == "same_close"
    ).run()

    # A decision at the edges alone: it does not rebalance.
    before = np.concatenate([[False], inside[:-1]])
    targets = np.where(inside == before, np.nan, np.where(inside, side * SHARE / (1 + fee), 0.0))
    found = run_exposures(
        panel,
        targets[:, None, None].copy(),
        band=0.0,
        costs=Costs(fee, 0.0, 0.0, 0.0),
        execution=Execution(fill, CASH, lot_size=1.0),
        periods_per_year=252.0,
    )
    theirs = run["_equity_curve"]["Equity"].to_numpy()
    # With fills at the close it writes equity down before the orders of that close.
    alike = inside == before if fill == "same_close" else np.ones(BARS, bool)
    np.testing.assert_allclose(theirs[alike], found.equity[alike, 0], rtol=1e-9)
    assert found.fills[0] > 20
