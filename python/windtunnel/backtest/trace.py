"""One configuration once more, bar by bar and instrument by instrument.

The engine returns one equity for each of thousands of configurations and forgets how it came
about. For the one that is looked at closely this module trades the same rules with arrays
over instruments and keeps what each of them earned and cost. It is a picture of the engine's
result, never a source of one: its equity is compared with the engine's, and the gap is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from windtunnel.errors import BacktestError

if TYPE_CHECKING:
    from windtunnel.backtest.costs import Costs
    from windtunnel.backtest.execution import Execution
    from windtunnel.data.panel import Panel

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trace:
    """What one configuration did over T bars in N instruments.

    Attributes
    ----------
    equity : (T,) float64
        Currency, at each close.
    gross, net : (T,) float64
        Sum of absolute and of signed position values / equity at each close; 0 once
        liquidated.
    turnover : (T,) float64
        Traded value / equity before the trade, of each bar; no liquidation.
    profit : (N,) float64
        Currency: what the instrument's positions gained, less its own costs and borrow. The
        sum less `interest` is the last equity less the initial cash.
    costs, borrow, traded : (N,) float64
        Currency: fees and half-spreads; borrow on short positions; value bought and sold.
        Those of a liquidation are included.
    fills, held : (N,) int64
        Orders filled; closes with a position.
    interest : float
        Currency, on negative cash: it belongs to no instrument.
    """

    equity: Float64Array
    gross: Float64Array
    net: Float64Array
    turnover: Float64Array
    profit: Float64Array
    costs: Float64Array
    borrow: Float64Array
    traded: Float64Array
    fills: Int64Array
    held: Int64Array
    interest: float


def trace_exposures(
    panel: Panel,
    exposures: Float64Array,
    *,
    band: float,
    costs: Costs,
    execution: Execution,
    periods_per_year: float,
) -> Trace:
    """Trade one series of target exposures, (T, N), by the rules of `backtest.oracle`.

    NaN is no decision. Sums run over arrays, so that figures differ from the engine's by
    rounding.

    Raises
    ------
    BacktestError
        `exposures` is not (T, N) as the panel.
    """
    shape = (panel.bars, panel.instruments)
    if np.shape(exposures) != shape:
        raise BacktestError(f"exposures: must be (T, N) = {shape}, got {np.shape(exposures)}")
    bars, instruments = shape
    listed = panel.listed
    rate = costs.trading_rate
    lag = 0 if execution.fill == "same_close" else 1
    cash, closed, interest = execution.initial_cash, False, 0.0
    units, marks, flow = np.zeros(instruments), np.ones(instruments), np.zeros(instruments)
    paid, borrowed, traded = (np.zeros(instruments) for _ in range(3))
    fills, held = np.zeros(instruments, np.int64), np.zeros(instruments, np.int64)
    equity, gross, net, turnover = (np.zeros(bars) for _ in range(4))
    for t in range(bars):
        if t and not closed:
            due = max(-cash, 0.0) * costs.financing_apr / periods_per_year
            rent = np.maximum(-units * marks, 0.0) * (costs.borrow_apr / periods_per_year)
            cash -= due + rent.sum()
            interest += due
            borrowed += rent
        here = listed[t]
        last, marks = marks, np.where(here, panel.close[t], marks)
        prices = np.where(here, panel.open[t], last) if execution.fill == "next_open" else marks
        before = cash + units @ prices
        if t >= lag and not closed and before > 0:
            target = exposures[t - lag]
            apart = np.abs(target * before - units * prices) > band * before
            wanted = ((target == 0) & (units != 0)) | apart
            order = wanted & ~np.isnan(target) & panel.tradable[t]
            change = np.where(order, np.where(order, target, 0.0) * before / prices - units, 0.0)
            value = np.abs(change) * prices
            cash -= change @ prices + value.sum() * rate
            flow -= change * prices
            units = units + change
            paid += value * rate
            traded += value
            fills += order
            turnover[t] = value.sum() / before
        worth = units * marks
        total, size = cash + worth.sum(), np.abs(worth).sum()
        if not closed and (total <= execution.maintenance * size or total <= 0):
            fills += units != 0
            paid += np.abs(worth) * rate
            traded += np.abs(worth)
            flow += worth
            cash = total = total - size * rate
            units, worth, closed = np.zeros(instruments), np.zeros(instruments), True
        equity[t] = total
        if not closed:
            gross[t], net[t] = size / total, worth.sum() / total
            held += units != 0
    return Trace(
        equity=equity,
        gross=gross,
        net=net,
        turnover=turnover,
        profit=flow + units * marks - paid - borrowed,
        costs=paid,
        borrow=borrowed,
        traded=traded,
        fills=fills,
        held=held,
        interest=interest,
    )
