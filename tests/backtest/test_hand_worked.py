"""Cases worked out by hand; the engine and its specification must both find these numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import run_exposures
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.oracle import simulate_exposures

NAN = float("nan")


@dataclass(frozen=True)
class Case:
    """Opens, closes and decisions, (T,) or (T, N), and what must come of them."""

    open_: list
    close: list
    exposures: list
    equity: list[float]
    tradable: list | None = None
    costs: Costs = field(default_factory=lambda: Costs(0.0, 0.0, 0.0, 0.0))
    execution: Execution = field(default_factory=lambda: Execution("next_open", 1000.0, 0.0))
    band: float = 0.0
    year: float = 1.0
    totals: dict[str, float] = field(default_factory=dict)


CASES = {
    # Half of 1000 at the open of 20 is 25 units; they close at 25, then at 20.
    "fills at the next open": Case(
        open_=[10, 20, 25],
        close=[10, 25, 20],
        exposures=[0.5, NAN, NAN],
        equity=[1000, 500 + 25 * 25, 500 + 25 * 20],
        totals={"fills": 1, "dropped": 0, "turnover": 0.5, "liquidated": -1},
    ),
    # The same at the close of 25: 20 units.
    "fills at the next close": Case(
        open_=[10, 20, 25],
        close=[10, 25, 20],
        exposures=[0.5, NAN, NAN],
        equity=[1000, 1000, 500 + 20 * 20],
        execution=Execution("next_close", 1000.0, 0.0),
        totals={"fills": 1, "turnover": 0.5},
    ),
    # And at the very close of the decision, 10: 50 units.
    "fills at the same close": Case(
        open_=[10, 20, 25],
        close=[10, 25, 20],
        exposures=[0.5, NAN, NAN],
        equity=[1000, 500 + 50 * 25, 500 + 50 * 20],
        execution=Execution("same_close", 1000.0, 0.0),
        totals={"fills": 1, "turnover": 0.5},
    ),
    # 1000 of value costs 1 % fee and 0.5 % spread, 15; cash -15 is financed at 10 % a bar.
    "costs leave cash, which is financed": Case(
        open_=[10, 10, 10],
        close=[10, 10, 10],
        exposures=[1.0, NAN, NAN],
        equity=[1000, 985, 985 - 1.5],
        costs=Costs(0.01, 0.005, 0.0, 0.1),
        totals={"costs": 15, "financing": 1.5, "exposure": (1000 / 985 + 1000 / 983.5) / 3},
    ),
    # Short 50 units at 10, worth 600 at the close of 12: borrow of 20 % a year over 4 bars, 5 %.
    "short positions pay borrow on their mark": Case(
        open_=[10, 10, 12],
        close=[10, 12, 12],
        exposures=[-0.5, NAN, NAN],
        equity=[1000, 1500 - 600, 1500 - 30 - 600],
        costs=Costs(0.0, 0.0, 0.2, 0.0),
        year=4.0,
        totals={"financing": 30},
    ),
    # Two orders at one open share the equity of 1000 before costs: 600 and -400 at 1 % each.
    "orders of a bar are sized by the same equity": Case(
        open_=[[10, 100], [10, 100], [10, 100]],
        close=[[10, 100], [10, 100], [11, 90]],
        exposures=[[0.6, -0.4], [NAN, NAN], [NAN, NAN]],
        equity=[1000, 990, 990 + 60 + 40],
        costs=Costs(0.01, 0.0, 0.0, 0.0),
        totals={"fills": 2, "costs": 10, "turnover": 1.0},
    ),
    # At 12 the exposure of 0.5 has become 600 / 1100 = 0.545: inside 0.05, no order. At 14 it is
    # 700 / 1200 = 0.583: outside, and the order goes back to 0.5, which is 600 / 14 units.
    "the band holds orders back": Case(
        open_=[10, 10, 12, 14],
        close=[10, 12, 14, 14],
        exposures=[0.5, 0.5, 0.5, NAN],
        equity=[1000, 1100, 1200, 1200],
        band=0.05,
        totals={"fills": 2, "turnover": 0.5 + 100 / 1200},
    ),
    # A target of 0 closes whatever the band says.
    "zero closes inside the band": Case(
        open_=[10, 10, 12, 14],
        close=[10, 12, 12, 14],
        exposures=[0.5, 0.0, 0.0, 0.0],
        equity=[1000, 1100, 1100, 1100],
        band=0.49,
        totals={"fills": 2, "turnover": 0.5 + 600 / 1100},
    ),
    # No volume at bar 1: dropped and forgotten. At bar 2 the next decision fills at 20.
    "a bar without volume drops its orders": Case(
        open_=[10, 10, 20, 20],
        close=[10, 10, 20, 30],
        exposures=[1.0, 0.5, NAN, NAN],
        equity=[1000, 1000, 1000, 500 + 25 * 30],
        tradable=[True, False, True, True],
        totals={"fills": 1, "dropped": 1},
    ),
    # Missing at bar 2: 50 units stay at the last close of 12, the closing order is dropped, and
    # the decision of bar 2, though made without a bar, is filled at the open of bar 3.
    "a missing bar is marked at the last close": Case(
        open_=[10, 10, NAN, 20],
        close=[10, 12, NAN, 22],
        exposures=[0.5, 0.0, 0.0, NAN],
        equity=[1000, 500 + 600, 500 + 600, 500 + 1000],
        totals={"fills": 2, "dropped": 1},
    ),
    # The second instrument is listed at bar 2 only; an order for it before that is dropped.
    "late listing": Case(
        open_=[[10, NAN], [10, NAN], [10, 50], [10, 50]],
        close=[[10, NAN], [10, NAN], [10, 50], [10, 60]],
        exposures=[[0.0, 0.5], [0.0, NAN], [0.0, 0.5], [0.0, NAN]],
        equity=[1000, 1000, 1000, 500 + 10 * 60],
        totals={"fills": 1, "dropped": 1, "exposure": 600 / 1100 / 4},
    ),
    # Short 200 units at 10 with cash of 3000 less 2; at 20 they take 4000 and 4 of fees. The debt
    # stays as it is, and a recovery comes too late.
    "liquidation shows the debt": Case(
        open_=[10, 10, 20, 5],
        close=[10, 10, 20, 5],
        exposures=[-2.0, NAN, NAN, NAN],
        equity=[1000, 998, -1006, -1006],
        costs=Costs(0.001, 0.0, 0.0, 5.0),
        totals={"liquidated": 2, "fills": 2, "costs": 6, "turnover": 2.0, "financing": 0},
    ),
    # Long twice: at 6 equity is 1200 - 1000 = 200, below 0.25 x 1200; at 8, 600 against 400.
    "liquidation at the maintenance level": Case(
        open_=[10, 10, 8, 6, 6],
        close=[10, 10, 8, 6, 60],
        exposures=[2.0, NAN, NAN, 2.0, 2.0],
        equity=[1000, 1000, 600, 200, 200],
        execution=Execution("next_open", 1000.0, 0.25),
        totals={"liquidated": 3, "fills": 2, "exposure": (2000 / 1000 + 1600 / 600) / 5},
    ),
    # The open of 4 leaves 800 - 1000 < 0: no order can be sized, and the close liquidates.
    "no order after a gap through zero": Case(
        open_=[10, 10, 4],
        close=[10, 10, 4],
        exposures=[2.0, 0.5, NAN],
        equity=[1000, 1000, -200],
        totals={"liquidated": 2, "fills": 2, "turnover": 2.0},
    ),
    "one bar": Case(open_=[10], close=[11], exposures=[1.0], equity=[1000], totals={"fills": 0}),
}


@pytest.mark.parametrize("name", CASES)
def test_hand_worked(name, make_panel) -> None:
    case = CASES[name]
    panel = make_panel(case.open_, case.close, case.tradable)
    exposures = np.array(case.exposures, np.float64).reshape(panel.close.shape)
    terms = {
        "costs": case.costs,
        "execution": case.execution,
        "periods_per_year": case.year,
        "band": case.band,
    }
    ledger = simulate_exposures(panel, exposures, **terms)
    np.testing.assert_allclose(ledger.equity, case.equity, rtol=1e-12)
    result = run_exposures(panel, exposures[:, :, None].copy(), **terms)
    np.testing.assert_allclose(result.equity[:, 0], case.equity, rtol=1e-12)
    for total, expected in case.totals.items():
        assert getattr(ledger, total) == pytest.approx(expected, rel=1e-12), total
        assert getattr(result, total)[0] == pytest.approx(expected, rel=1e-12), total
