"""One configuration taken apart, bar by bar and instrument by instrument.

The engine returns one equity for each of thousands of configurations and forgets how it came
about. For the one that is looked at closely it logs every fill, from which this module works out
what each instrument earned and cost. It is a picture of the engine's result, never a source of
one: its equity is compared with the engine's, and the gap is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from windtunnel.backtest.trades import REASONS
from windtunnel.errors import BacktestError

if TYPE_CHECKING:
    from windtunnel.backtest.costs import Costs
    from windtunnel.backtest.execution import Execution
    from windtunnel.backtest.trades import TradeLog
    from windtunnel.data.panel import Panel

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_DECISION, _LIQUIDATION = REASONS.index("decision"), REASONS.index("liquidation")


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
        Currency: what fills cost; borrow on short positions; value bought and sold.
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


def trace_fills(
    trades: TradeLog,
    cash: Float64Array,
    panel: Panel,
    *,
    costs: Costs,
    execution: Execution,
    periods_per_year: float,
) -> Trace:
    """Take one configuration's fills apart by bar and instrument, whatever the orders cost.

    Parameters
    ----------
    trades : TradeLog
        Of one configuration, as the engine logged them.
    cash : (T,) float64
        Its cash at each close, `BacktestResult.cash`.
    panel : Panel
        The T bars that it traded on.
    costs, execution, periods_per_year
        What it traded under.

    Raises
    ------
    BacktestError
        `cash` is not (T,), or the log is of several configurations or holds fills by stops: it
        does not say whether they came before the orders of a bar.
    """
    bars, instruments = panel.bars, panel.instruments
    if np.shape(cash) != (bars,):
        raise BacktestError(f"cash: must be (T,) = ({bars},), got {np.shape(cash)}")
    trades.require_one()
    at, of = trades.bar, trades.instrument

    marks = _carried(panel.close, 1.0)
    after = np.full((bars, instruments), np.nan)
    after[at, of] = trades.units  # of several fills in a bar the last
    units = _carried(after, 0.0)
    worth = units * marks
    equity = cash + worth.sum(axis=1)
    liquidation = trades.reason == _LIQUIDATION
    if not (liquidation | (trades.reason == _DECISION)).all():
        raise BacktestError(
            "log: holds fills by stops, whose place among the orders of a bar it does not tell",
            "Take apart what was traded without stops",
        )
    closed = np.arange(bars) >= (at[liquidation].min() if liquidation.any() else bars)

    # What a bar begins with pays for the time since the last close.
    before, last = _delayed(units, 0.0), _delayed(marks, 1.0)
    money = np.r_[execution.initial_cash, cash[:-1]]
    pays = ~np.r_[True, closed[:-1]]
    due = pays * np.maximum(-money, 0.0) * (costs.financing_apr / periods_per_year)
    rent = np.maximum(-before * last, 0.0) * (pays * costs.borrow_apr / periods_per_year)[:, None]

    # Orders are sized by equity at the prices that they fill at.
    prices = np.where(panel.listed, panel.open, last) if execution.fill == "next_open" else marks
    capital = money - due - rent.sum(axis=1) + (before * prices).sum(axis=1)
    value = np.abs(trades.change) * trades.price
    sized = np.bincount(at[~liquidation], value[~liquidation], bars).astype(np.float64)

    def by_instrument(amounts: Float64Array) -> Float64Array:
        return np.bincount(of, amounts, instruments).astype(np.float64)

    paid = by_instrument(trades.cost)
    flow = by_instrument(-trades.change * trades.price)
    return Trace(
        equity=equity,
        gross=_shares(np.abs(worth).sum(axis=1), equity),
        net=_shares(worth.sum(axis=1), equity),
        turnover=_shares(sized, capital),
        profit=flow + units[-1] * marks[-1] - paid - rent.sum(axis=0),
        costs=paid,
        borrow=rent.sum(axis=0),
        traded=by_instrument(value),
        fills=np.bincount(of, minlength=instruments),
        held=(units[~closed] != 0).sum(axis=0),
        interest=float(due.sum()),
    )


def _shares(values: Float64Array, of: Float64Array) -> Float64Array:
    """Values as shares, 0 where there is nothing."""
    shares: Float64Array = np.divide(values, of, out=np.zeros(len(values)), where=values != 0)
    return shares


def _carried(values: Float64Array, first: float) -> Float64Array:
    """The last known value of each column (T, N); `first` before there is one."""
    known = ~np.isnan(values)
    row = np.maximum.accumulate(np.where(known, np.arange(len(values))[:, None], -1), axis=0)
    return np.where(row < 0, first, np.take_along_axis(values, np.maximum(row, 0), axis=0))


def _delayed(values: Float64Array, first: float) -> Float64Array:
    """A bar later; `first` at the first bar."""
    return np.vstack([np.full((1, values.shape[1]), first), values[:-1]])
