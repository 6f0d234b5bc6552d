"""What a sweep returns: one entry a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from windtunnel.backtest.trades import TradeLog

Float64Array: TypeAlias = npt.NDArray[np.float64]
Int64Array: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BacktestResult:
    """Equity and totals of C configurations over T bars.

    Attributes
    ----------
    equity : (T, C) float64
        Currency, marked at each close, after the costs of the bar; zero rows when it was not
        asked for. May be negative at and after a liquidation: a debt is shown.
    final_equity : (C,) float64
        Currency, at the last close.
    turnover : (C,) float64
        Sum over bars of |traded value| / equity before the trade. A liquidation is not part
        of it.
    costs : (C,) float64
        Currency: fees, half-spreads and impact, those of a liquidation included.
    financing : (C,) float64
        Currency: interest on negative cash and borrow on short positions.
    fills : (C,) int64
        Orders filled; a liquidation counts one for every position closed.
    dropped : (C,) int64
        Orders that met a bar without trade, and were forgotten.
    exposure : (C,) float64
        Mean over closes of gross position value / equity, 0 once liquidated.
    liquidated : (C,) int64
        Bar of the liquidation, -1 without one.
    capped : (C,) int64
        Orders of which the participation cap, or the lot under it, left a part unfilled.
    ambiguous : (C,) int64
        Bars inside which both a stop and a target lay; the stop was taken.
    metrics : dict of str to (C,) float64, optional
        Metrics of each equity curve by the names of `windtunnel.metrics.financial`, all but those
        of the tails, taken during the pass, when they were asked for.
    trades : TradeLog, optional
        Every fill, when it was asked for.
    cash : (T, C) float64, optional
        Currency at each close, with the trades: cash and units at their marks are the equity.
    """

    equity: Float64Array
    final_equity: Float64Array
    turnover: Float64Array
    costs: Float64Array
    financing: Float64Array
    fills: Int64Array
    dropped: Int64Array
    exposure: Float64Array
    liquidated: Int64Array
    capped: Int64Array
    ambiguous: Int64Array
    metrics: dict[str, Float64Array] | None = None
    trades: TradeLog | None = None
    cash: Float64Array | None = None
