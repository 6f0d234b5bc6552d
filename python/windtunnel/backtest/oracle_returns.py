"""The arithmetic of returns in plain Python: what `run_exposures(..., by_returns=True)` means.

A quick look, not an account: there are no units and no cash. It is how strategies are often
sketched, and differs from the engine by what drift between rebalances, and paying for undoing it,
would have done.
"""

from __future__ import annotations

from math import inf, isnan
from typing import TYPE_CHECKING

from windtunnel.backtest.oracle_account import Ledger

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from windtunnel.backtest.costs import Costs
    from windtunnel.backtest.execution import Execution
    from windtunnel.data.panel import Panel


def simulate_returns(
    panel: Panel,
    exposures: npt.NDArray[np.floating],
    *,
    band: float,
    costs: Costs,
    execution: Execution,
    periods_per_year: float,
) -> Ledger:
    """Trade one series of target exposures, (T, N); NaN is no decision."""
    ledger = Ledger()
    lag = 0 if execution.fill == "same_close" else 1
    equity = execution.initial_cash
    held = [0.0] * panel.instruments
    # An instrument without a bar stays at its last close: its return is 0.
    marks = [1.0] * panel.instruments
    for t in range(panel.bars):
        gain = 0.0
        for n in range(panel.instruments):
            mark = marks[n] if isnan(panel.close[t, n]) else float(panel.close[t, n])
            # A position earns its exposure times the return from close to close.
            if t > 0:
                gain += held[n] * ((mark - marks[n]) / marks[n])
            marks[n] = mark
        if t > 0:
            # What is borrowed is financed: exposure beyond 1, and what is sold short.
            rent = max(sum(held) - 1.0, 0.0) * costs.financing_apr / periods_per_year
            rent += sum(max(-each, 0.0) for each in held) * costs.borrow_apr / periods_per_year
            gain -= rent
            ledger.financing += rent * equity
        turned = 0.0
        for n in range(panel.instruments if t >= lag else 0):
            target = float(exposures[t - lag, n])
            # An order closes a position, or moves an exposure that is further than the band from
            # its target.
            change = abs(target - held[n])
            if isnan(target) or not (change > band or (target == 0 and held[n] != 0)):
                continue
            # Where nothing trades it is dropped and counted.
            if not panel.tradable[t, n]:
                ledger.dropped += 1
                continue
            turned += change
            ledger.fills += 1
            held[n] = target
        # Turnover is the sum of changes of exposure, and pays the proportional costs.
        cost = turned * costs.trading_rate
        ledger.turnover += turned
        ledger.costs += cost * equity
        equity *= 1.0 + (gain - cost)
        # Nothing is left: the account stays flat to the end.
        if equity <= 0 and ledger.liquidated < 0:
            held = [0.0] * panel.instruments
            ledger.liquidated = t
            band = inf
        ledger.exposure += sum(abs(each) for each in held)
        ledger.equity.append(equity)
    ledger.exposure /= panel.bars
    return ledger
