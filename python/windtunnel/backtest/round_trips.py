"""Fills put together to trades: from no position to none, instrument by instrument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from windtunnel.backtest.trades import REASONS

if TYPE_CHECKING:
    import polars as pl

    from windtunnel.backtest.trades import TradeLog
    from windtunnel.data.panel import Panel


_COLUMNS = {
    "symbol": "String",
    "side": "String",
    "opened": "Datetime",
    "closed": "Datetime",
    "bars": "Int64",
    "fills": "Int64",
    "units": "Float64",
    "profit": "Float64",
    "costs": "Float64",
    "gain": "Float64",
    "reason": "String",
}


@dataclass
class _Open:
    """A position that is held: since which bar, its largest size, what went in and out."""

    bar: int
    side: int
    fills: int = 0
    largest: float = 0.0
    invested: float = 0.0
    flow: float = 0.0
    costs: float = 0.0

    def add(self, change: float, units: float, price: float, cost: float) -> None:
        self.fills += 1
        self.largest = max(self.largest, abs(units))
        self.invested = max(self.invested, abs(units) * price)
        self.flow -= change * price
        self.costs += cost


def round_trips(log: TradeLog, panel: Panel) -> pl.DataFrame:
    """Every round trip of one configuration, in the order in which they ended.

    A fill that turns a position ends one trip and begins the next; its cost is shared by the
    units of each side. A position that is held at the end is valued at the instrument's last
    close and has no `closed`.

    Parameters
    ----------
    log : TradeLog
        Of one configuration; `TradeLog.of` picks it.
    panel : Panel
        The bars that it traded on.

    Returns
    -------
    polars.DataFrame
        symbol, side ('long' or 'short'), opened, closed, bars held, fills, units (the most
        held), profit (currency, after the costs of trading; borrow and interest are not part
        of it), costs, gain (profit / the largest value held after a fill), reason of the last
        fill.

    Raises
    ------
    BacktestError
        The log is of several configurations.
    """
    log.require_one()
    import polars as pl  # noqa: PLC0415 - results are read without tables too

    stamps = panel.timestamps.astype("datetime64[us]").tolist()
    rows: list[tuple[object, ...]] = []
    held: dict[int, _Open] = {}

    def close(instrument: int, trip: _Open, end: int | None, reason: str, worth: float) -> None:
        profit = trip.flow + worth - trip.costs
        last = panel.bars - 1 if end is None else end
        rows.append(
            (
                panel.symbols[instrument],
                "long" if trip.side > 0 else "short",
                stamps[trip.bar],
                None if end is None else stamps[end],
                last - trip.bar,
                trip.fills,
                trip.largest,
                profit,
                trip.costs,
                profit / trip.invested if trip.invested > 0 else None,
                reason,
            )
        )

    units = dict.fromkeys(range(panel.instruments), 0.0)
    for k in np.argsort(log.bar, kind="stable").tolist():
        n, bar, after = int(log.instrument[k]), int(log.bar[k]), float(log.units[k])
        change, price, cost = float(log.change[k]), float(log.price[k]), float(log.cost[k])
        reason, before = REASONS[int(log.reason[k])], units[n]
        units[n] = after
        if before * after < 0:  # a turn: first down to nothing
            share = abs(before) / abs(change)
            trip = held.pop(n)
            trip.add(-before, 0.0, price, cost * share)
            close(n, trip, bar, reason, 0.0)
            change, cost, before = after, cost * (1 - share), 0.0
        if before == 0 and after != 0:
            held[n] = _Open(bar, 1 if after > 0 else -1)
        if n in held:
            held[n].add(change, after, price, cost)
            if after == 0:
                close(n, held.pop(n), bar, reason, 0.0)
    for n, trip in sorted(held.items()):
        closes = panel.close[:, n]
        worth = units[n] * float(closes[np.isfinite(closes)][-1])
        close(n, trip, None, "held", worth)
    columns = zip(*rows, strict=True) if rows else ((),) * len(_COLUMNS)
    return pl.DataFrame(
        {
            name: pl.Series(name, list(values), dtype=getattr(pl, kind))
            for (name, kind), values in zip(_COLUMNS.items(), columns, strict=True)
        }
    )
