"""Stops in the specification of the engine: levels, exits inside a bar, and what follows them."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from windtunnel.backtest.oracle_account import Account, Quote


@dataclass(frozen=True)
class StopRules:
    """The stops of one policy; infinity is none. `Stops` has the units."""

    loss: float = inf
    profit: float = inf
    trailing: float = inf
    bars: float = inf


class Prices(NamedTuple):
    """The open and the extremes of one instrument's bar."""

    open: float
    high: float
    low: float


class StopWatch:
    """What the stops of one configuration remember, an entry an instrument."""

    def __init__(self, instruments: int, rules: StopRules) -> None:
        self.rules = rules
        self.entry = [0.0] * instruments
        self.best = [0.0] * instruments
        self.since = [0] * instruments
        self.barred = [0] * instruments

    def permit(self, n: int, signal: int, target: float) -> float:
        """Target of a decision, 0 on a side that was stopped."""
        # After a stop its side stays without a position until the signal has left that side.
        if self.barred[n] != 0 and signal == self.barred[n]:
            return 0.0
        self.barred[n] = 0
        return target

    def force(
        self, n: int, units: float, bar: int, prices: Prices, target: float, *, at_open: bool
    ) -> tuple[float, str]:
        """Target of a bar's orders with its reason; 0 where a stop replaces the decision."""
        side = _side(units)
        if side == 0:
            return target, "decision"
        # A position held for `bars` bars is closed with the orders of the bar. Where orders fill
        # at the open, so is one whose stop or target the open has passed: the gap fills there.
        stop, goal = self._levels(n, side)
        if at_open and side * prices.open <= side * stop:
            reason = self._stop(n, side)[1]
        elif at_open and side * prices.open >= side * goal:
            reason = "profit"
        elif bar - self.since[n] >= self.rules.bars:
            reason = "time"
        else:
            return target, "decision"
        self.barred[n] = side
        return 0.0, reason

    def note_fill(self, n: int, before: float, after: float, price: float, bar: int) -> None:
        """Begin a position that a fill has opened or turned round; others keep their entry."""
        if after != 0 and _side(after) != _side(before):
            self.entry[n] = self.best[n] = price
            self.since[n] = bar

    def watch(
        self, n: int, account: Account, prices: Prices, quote: Quote, last: float, bar: int
    ) -> None:
        """Take the exits that lie inside one bar; `last` is the equity of the last mark."""
        side = _side(account.units[n])
        if side != 0 and quote.tradable:
            stop, goal = self._levels(n, side)
            worst, best = (prices.low, prices.high) if side > 0 else (prices.high, prices.low)
            stopped = side * worst <= side * stop
            reached = side * best >= side * goal
            if stopped or reached:
                # A gap through a level fills at the open. Otherwise the fill is at the level,
                # and where both lie inside the bar the stop is taken and the bar is counted.
                takes_stop = stopped
                if side * prices.open <= side * stop:
                    price = prices.open
                elif side * prices.open >= side * goal:
                    price, takes_stop = prices.open, False
                else:
                    account.ledger.ambiguous += stopped and reached
                    price = stop if stopped else goal
                reason = self._stop(n, side)[1] if takes_stop else "profit"
                value = account.fill(n, 0.0, quote._replace(price=price), bar, reason)
                account.ledger.turnover += value / last
                self.barred[n] = side
        # The trailing stop follows the extremes of bars that have passed, never of its own bar.
        left = _side(account.units[n])
        if left > 0:
            self.best[n] = max(self.best[n], prices.high)
        elif left < 0:
            self.best[n] = min(self.best[n], prices.low)

    def _levels(self, n: int, side: int) -> tuple[float, float]:
        """Prices of stop and target."""
        return self._stop(n, side)[0], self.entry[n] * (side * self.rules.profit + 1.0)

    def _stop(self, n: int, side: int) -> tuple[float, str]:
        """Price and name of the stop that is nearer: loss or trailing."""
        fixed = self.entry[n] * (1.0 - side * self.rules.loss)
        trailing = self.best[n] * (1.0 - side * self.rules.trailing)
        return (trailing, "trailing") if side * trailing > side * fixed else (fixed, "loss")


def _side(units: float) -> int:
    return (units > 0) - (units < 0)
