"""The specification of the engine, in plain Python, one configuration at a time.

Slow on purpose and free of NumPy arithmetic, so that each rule reads as one sentence with its
code under it. The compiled engine is held to this module by tests: money and times to 1e-9,
counts exactly. Where the two differ, this one is right.

Words: `mark` is the last known close of an instrument; an instrument is *listed* at a bar when
it has a bar there and *tradable* when volume traded too; a *decision* is a target exposure, a
signed fraction of equity, and NaN is no decision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan, nan
from typing import TYPE_CHECKING

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.execution import Execution

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from windtunnel.data.panel import Panel


@dataclass
class Ledger:
    """What one configuration did.

    Attributes
    ----------
    equity : list of T float
        Currency, marked at each close.
    turnover, costs, financing, exposure : float
        As in `BacktestResult`.
    fills, dropped : int
        Orders filled, and orders that met a bar without trade.
    liquidated : int
        Bar of the liquidation, -1 without one.
    """

    equity: list[float] = field(default_factory=list)
    turnover: float = 0.0
    costs: float = 0.0
    financing: float = 0.0
    exposure: float = 0.0
    fills: int = 0
    dropped: int = 0
    liquidated: int = -1


def simulate_policy(
    panel: Panel,
    scores: npt.NDArray[np.float32],
    *,
    enter: float,
    exit: float,  # noqa: A002 - the study file's word
    leverage: float,
    band: float,
    long_only: bool,
    costs: Costs,
    execution: Execution,
    periods_per_year: float,
) -> Ledger:
    """Trade one policy on one column of scores, (T, N) float32."""
    bars, instruments = panel.bars, panel.instruments
    listed = panel.listed
    signals = [0] * instruments
    decisions: list[list[float]] = []
    for t in range(bars):
        # Leverage is shared equally over the instruments that have a bar.
        count = int(listed[t].sum())
        row = []
        for n in range(instruments):
            if not listed[t, n]:
                # Without a bar there is neither an opinion nor a decision.
                row.append(nan)
                continue
            score = float(scores[t, n])
            signals[n] = next_signal(signals[n], score, enter, exit, long_only=long_only)
            row.append(signals[n] * leverage / count)
        decisions.append(row)
    return simulate_exposures(
        panel,
        decisions,
        band=band,
        costs=costs,
        execution=execution,
        periods_per_year=periods_per_year,
    )


def next_signal(signal: int, score: float, enter: float, exit: float, *, long_only: bool) -> int:  # noqa: A002
    """Signal in {-1, 0, +1} after one score."""
    # NaN is no opinion: the signal stays, no matter what.
    if isnan(score):
        return signal
    sign = (score > 0) - (score < 0)
    # With long_only a negative score can close, but not open.
    reachable = max(sign, 0) if long_only else sign
    if signal == 0:
        # From flat, a score that reaches `enter` opens in its direction.
        return reachable if abs(score) >= enter else 0
    if sign == -signal and abs(score) >= enter:
        # An opposite score that reaches `enter` turns the signal round.
        return reachable
    if sign != signal or abs(score) < min(exit, enter):
        # A score that no longer agrees, or is weaker than the lower threshold, closes.
        return 0
    return signal


def simulate_exposures(
    panel: Panel,
    exposures: Sequence[Sequence[float]] | npt.NDArray[np.floating],
    *,
    band: float,
    costs: Costs,
    execution: Execution,
    periods_per_year: float,
) -> Ledger:
    """Trade one series of target exposures, (T, N); NaN is no decision."""
    account = _Account(panel.instruments, execution.initial_cash, costs, periods_per_year)
    listed = panel.listed
    # An instrument that has had no bar yet holds no units: any mark will do.
    marks = [1.0] * panel.instruments
    # A decision made with a bar's close fills one bar later, or at once with same_close.
    lag = 0 if execution.fill == "same_close" else 1
    for t in range(panel.bars):
        # 1. The bar that passed is financed first.
        if t > 0:
            account.pay_financing(marks)
        # 2. Orders fill at the open, or at the close, of this bar; an instrument without a bar
        #    is valued at its last close.
        last = list(marks)
        for n in range(panel.instruments):
            if listed[t, n]:
                marks[n] = float(panel.close[t, n])
        if execution.fill == "next_open":
            prices = [
                float(panel.open[t, n]) if listed[t, n] else last[n]
                for n in range(panel.instruments)
            ]
        else:
            prices = marks
        if t >= lag:
            targets = [float(target) for target in exposures[t - lag]]
            tradable = [bool(here) for here in panel.tradable[t]]
            account.trade(targets, prices, tradable, band)
        # 3. Equity is marked at the close, where a broken account is liquidated.
        account.mark(marks, execution.maintenance, t)
    account.ledger.exposure /= panel.bars
    return account.ledger


class _Account:
    """Cash and units of one configuration."""

    def __init__(
        self, instruments: int, initial_cash: float, costs: Costs, periods_per_year: float
    ) -> None:
        self.cash = initial_cash
        self.units = [0.0] * instruments
        self.rate = costs.trading_rate
        self.borrow = costs.borrow_apr / periods_per_year
        self.interest = costs.financing_apr / periods_per_year
        self.closed = False
        self.ledger = Ledger()

    def pay_financing(self, marks: list[float]) -> None:
        """Charge interest on negative cash and borrow on short value, as of the last close."""
        # A liquidated account is closed: what it owes is shown, and no longer grows.
        if self.closed:
            return
        debt = max(-self.cash, 0.0)
        short = 0.0
        for units, mark in zip(self.units, marks, strict=True):
            short += max(-units * mark, 0.0)
        charge = debt * self.interest + short * self.borrow
        self.cash -= charge
        self.ledger.financing += charge

    def trade(
        self,
        targets: list[float],
        prices: list[float],
        tradable: list[bool],
        band: float,
    ) -> None:
        """Fill the orders of one bar."""
        if self.closed:
            return
        # All orders of a bar are sized by the same equity, before any of them costs anything.
        equity = self.cash
        for units, price in zip(self.units, prices, strict=True):
            equity += units * price
        # A gap through zero leaves nothing to size orders by; the close will liquidate.
        if not equity > 0:
            return
        traded = 0.0
        for n, (target, price) in enumerate(zip(targets, prices, strict=True)):
            # No decision, no order: the units stay as they are.
            if isnan(target):
                continue
            # An order closes a position, or moves an exposure that has left its band: the
            # distance to the target, as a fraction of equity, exceeds it.
            units = self.units[n]
            closes = target == 0 and units != 0
            outside = abs(target * equity - units * price) > band * equity
            if not (closes or outside):
                continue
            # Where nothing trades the order is dropped and counted; the next decision makes
            # a new one.
            if not tradable[n]:
                self.ledger.dropped += 1
                continue
            # It fills at the price; fee and half-spread come out of cash, which may become
            # negative and is then financed.
            wanted = target * equity / price
            value = abs(wanted - units) * price
            cost = value * self.rate
            self.cash -= (wanted - units) * price + cost
            self.units[n] = wanted
            self.ledger.costs += cost
            self.ledger.fills += 1
            traded += value
        self.ledger.turnover += traded / equity

    def mark(self, marks: list[float], maintenance: float, bar: int) -> None:
        """Value the account at the close and liquidate it when it is broken."""
        equity, gross = self.cash, 0.0
        for units, mark in zip(self.units, marks, strict=True):
            equity += units * mark
            gross += abs(units * mark)
        if not self.closed and (equity <= maintenance * gross or equity <= 0):
            # Everything is sold at the marks, with costs; the account stays flat to the end.
            # What is left may be negative: a debt is shown, not clipped.
            self.ledger.fills += sum(units != 0 for units in self.units)
            self.ledger.costs += gross * self.rate
            self.ledger.liquidated = bar
            self.cash = equity = equity - gross * self.rate
            self.units = [0.0] * len(self.units)
            self.closed = True
        if not self.closed:
            self.ledger.exposure += gross / equity
        self.ledger.equity.append(equity)
