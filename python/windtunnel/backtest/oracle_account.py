"""Money in the specification of the engine: cash, units, costs, and what is reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, isnan, sqrt, trunc
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windtunnel.backtest.costs import Costs
    from windtunnel.backtest.execution import Execution

# A number of lots this close to a whole one, as a fraction of it, is that.
WHOLE_TOLERANCE = 1e-9


class Quote(NamedTuple):
    """What one instrument offers at one bar."""

    price: float
    half_spread: float
    volume: float
    tradable: bool


class Trade(NamedTuple):
    """One fill, as in `TradeLog`; a reason is a word of `REASONS`."""

    bar: int
    instrument: int
    reason: str
    change: float
    units: float
    price: float
    cost: float


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
    capped, ambiguous : int
        As in `BacktestResult`.
    cash : list of T float
        Currency at each close; with the units at their marks it is the equity.
    trades : list of Trade
        Every fill, in the order in which they happened.
    """

    equity: list[float] = field(default_factory=list)
    turnover: float = 0.0
    costs: float = 0.0
    financing: float = 0.0
    exposure: float = 0.0
    fills: int = 0
    dropped: int = 0
    liquidated: int = -1
    capped: int = 0
    ambiguous: int = 0
    cash: list[float] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)


class Account:
    """Cash and units of one configuration."""

    def __init__(
        self, instruments: int, costs: Costs, execution: Execution, periods_per_year: float
    ) -> None:
        self.cash = execution.initial_cash
        self.units = [0.0] * instruments
        self.terms = costs
        self.borrow = costs.borrow_apr / periods_per_year
        self.interest = costs.financing_apr / periods_per_year
        self.maintenance = execution.maintenance
        self.participation = inf if execution.participation is None else execution.participation
        self.lot = execution.lot_size
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
        targets: Sequence[float],
        quotes: Sequence[Quote],
        band: float,
        bar: int,
        reasons: Sequence[str],
    ) -> None:
        """Fill the orders of one bar."""
        if self.closed:
            return
        # All orders of a bar are sized by the same equity, before any of them costs anything.
        equity = self.cash
        for units, quote in zip(self.units, quotes, strict=True):
            equity += units * quote.price
        # A gap through zero leaves nothing to size orders by, not even one that closes; the close
        # liquidates, unless prices have come back by then.
        if not equity > 0:
            return
        traded = 0.0
        for n, (target, quote) in enumerate(zip(targets, quotes, strict=True)):
            # No decision, no order: the units stay as they are.
            if isnan(target):
                continue
            # An order closes a position, or moves an exposure that has left its band: the
            # distance to the target, as a fraction of equity, exceeds it.
            units = self.units[n]
            closes = target == 0 and units != 0
            outside = abs(target * equity - units * quote.price) > band * equity
            if not (closes or outside):
                continue
            # With lots, units are rounded towards zero to whole lots; what comes to the units
            # that are there already is no order.
            wanted = self._lots(target * equity / quote.price)
            if self.lot > 0 and wanted == units:
                continue
            # Where nothing trades the order is dropped and counted; the next decision makes
            # a new one.
            if not quote.tradable:
                self.ledger.dropped += 1
                continue
            traded += self.fill(n, wanted, quote, bar, reasons[n])
        self.ledger.turnover += traded / equity

    def fill(self, n: int, wanted: float, quote: Quote, bar: int, reason: str) -> float:
        """Move one position, as far as the volume carries, and return the value traded."""
        change = wanted - self.units[n]
        # A fill takes at most a share of the bar's volume, in whole lots; the rest is forgotten
        # and counted. Where not even a lot can trade nothing fills.
        limit = self._lots(self.participation * quote.volume)
        if abs(change) > limit:
            self.ledger.capped += 1
            if limit == 0:
                return 0.0
            change = limit if change > 0 else -limit
            wanted = self.units[n] + change
        # It fills at the price; what it costs comes out of cash, which may become negative and
        # is then financed.
        value = abs(change) * quote.price
        cost = self._cost(abs(change), value, quote)
        self.cash -= change * quote.price + cost
        self.units[n] = wanted
        self.ledger.costs += cost
        self.ledger.fills += 1
        self.ledger.trades.append(Trade(bar, n, reason, change, wanted, quote.price, cost))
        return value

    def _lots(self, units: float) -> float:
        """Whole lots, towards zero; without lots the units themselves."""
        if self.lot == 0:
            return units
        lots = units / self.lot
        # A double of 2^52 or more, infinity too, is whole as it is.
        if abs(lots) >= 2.0**52:
            return lots * self.lot
        # What is a whole number up to rounding loses no lot.
        near = round(lots)
        whole = abs(lots - near) <= WHOLE_TOLERANCE * abs(lots)
        return (near if whole else trunc(lots)) * self.lot

    def _cost(self, size: float, value: float, quote: Quote) -> float:
        """What a fill of `size` units worth `value` costs."""
        if size == 0:
            return 0.0
        # Fee and half-spread are fractions of the value, the fee per unit is added to the fee.
        by_units = size * self.terms.fee_per_unit
        cost = value * (self.terms.fee + quote.half_spread) + by_units
        # Both fees together come to the minimum at least.
        cost += max(self.terms.minimum_fee - (value * self.terms.fee + by_units), 0.0)
        # Impact grows with the square root of the share of the volume that the order takes.
        if self.terms.impact > 0:
            cost += value * (sqrt(size / quote.volume) * self.terms.impact)
        return cost

    def mark(self, marks: Sequence[float], quotes: Sequence[Quote], bar: int) -> None:
        """Value the account at the close and liquidate it when it is broken."""
        equity, gross = self.cash, 0.0
        for units, mark in zip(self.units, marks, strict=True):
            equity += units * mark
            gross += abs(units * mark)
        if not self.closed and (equity <= self.maintenance * gross or equity <= 0):
            # Everything is sold at the marks, whatever lots and volume allow, at the costs of an
            # order each; the account stays flat to the end. What is left may be negative: a debt
            # is shown, not clipped.
            cost = 0.0
            for n, (units, mark, quote) in enumerate(zip(self.units, marks, quotes, strict=True)):
                if units == 0:
                    continue
                paid = self._cost(abs(units), abs(units) * mark, quote)
                cost += paid
                self.ledger.fills += 1
                self.ledger.trades.append(Trade(bar, n, "liquidation", -units, 0.0, mark, paid))
            self.ledger.costs += cost
            self.ledger.liquidated = bar
            self.cash = equity = equity - cost
            self.units = [0.0] * len(self.units)
            self.closed = True
        if not self.closed:
            self.ledger.exposure += gross / equity
        self.ledger.equity.append(equity)
        self.ledger.cash.append(self.cash)
