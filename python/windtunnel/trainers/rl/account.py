"""The engine's account in JAX: the rules of `backtest/oracle_account.py`, one account at a time.

Everything here is for one account of N instruments and is vmapped by its callers. Money and
units are fractions of the initial cash, so that float32 keeps its digits whatever the
currency; the dtype follows the arrays. `docs/semantics.md` has the rules, `tests/parity/` holds
this file to the compiled engine on random paths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.execution import Execution, Fill
from windtunnel.backtest.market import market_rows
from windtunnel.backtest.oracle_account import WHOLE_TOLERANCE
from windtunnel.data.panel import Panel


@dataclass(frozen=True)
class Terms:
    """Costs and execution as constants of a compiled program; amounts per initial cash."""

    fill: Fill
    band: float
    fee: float
    half_spread: float
    borrow: float
    interest: float
    maintenance: float
    fee_per_unit: float
    minimum_fee: float
    impact: float
    participation: float
    lot: float
    initial_cash: float

    @classmethod
    def of(
        cls, costs: Costs, execution: Execution, *, band: float, periods_per_year: float
    ) -> Self:
        """Terms of the study's costs and execution; rates become rates a bar."""
        cash = execution.initial_cash
        return cls(
            fill=execution.fill,
            band=band,
            fee=costs.fee,
            half_spread=costs.half_spread,
            borrow=costs.borrow_apr / periods_per_year,
            interest=costs.financing_apr / periods_per_year,
            maintenance=execution.maintenance,
            fee_per_unit=costs.fee_per_unit,
            minimum_fee=costs.minimum_fee / cash,
            impact=costs.impact,
            participation=math.inf if execution.participation is None else execution.participation,
            lot=execution.lot_size / cash,
            initial_cash=cash,
        )

    @property
    def volume_unit(self) -> float | None:
        """What volumes are divided by; None where no fill looks at the bar's volume."""
        needed = self.impact > 0 or math.isfinite(self.participation)
        return self.initial_cash if needed else None


class Quote(NamedTuple):
    """One bar as orders and marks see it; (N,) each.

    `price` is where orders fill (the open, or the close), `mark` the last known close,
    `volume` that of the bar or of the last with trade, per initial cash; `tradable` bool.
    """

    price: Any
    mark: Any
    volume: Any
    tradable: Any


class Account(NamedTuple):
    """State of one account after a close.

    cash () and units (N,) per initial cash; mark, volume, tradable (N,) of the last bar seen;
    entry (N,) price of the fill that opened or turned the position, 0 when flat; held (N,)
    bars since, as a float; closed () bool after a liquidation; equity () at the last mark.
    """

    cash: Any
    units: Any
    mark: Any
    volume: Any
    tradable: Any
    entry: Any
    held: Any
    closed: Any
    equity: Any


class Settled(NamedTuple):
    """What one bar did: all per initial cash.

    gains (N,) is how the equity changed, attributed to the instruments: their sum is the
    change. Interest on negative cash is shared by position value. traded (N,) is the value
    of the fills, without a liquidation's; fills (N,), dropped (N,), capped (N,) bool. marked
    () is the equity that the engine reports: at the new bar's close, with `same_close` at the
    close that the orders filled at.
    """

    gains: Any
    marked: Any
    traded: Any
    fills: Any
    dropped: Any
    capped: Any


def open_account(quote: Quote) -> Account:
    """A fresh account that has seen the bar of `quote` and holds cash alone."""
    nothing = jnp.zeros_like(quote.mark)
    one = jnp.ones((), nothing.dtype)
    return Account(
        cash=one,
        units=nothing,
        mark=quote.mark,
        volume=quote.volume,
        tradable=quote.tradable,
        entry=nothing,
        held=nothing,
        closed=jnp.zeros((), bool),
        equity=one,
    )


def settle(
    account: Account, target: jax.Array, quote: Quote, terms: Terms
) -> tuple[Account, Settled]:
    """Take an account to the close of the next bar with the decision of the last close.

    Parameters
    ----------
    target : (N,) float
        Signed fractions of equity; NaN is no decision.
    quote : Quote
        The next bar. With `same_close` the orders fill at the close that the account has
        seen, and the new bar only moves the marks.
    """
    if terms.fill == "same_close":
        here = Quote(account.mark, account.mark, account.volume, account.tradable)
        traded, done, paid = _trade(account, target, here, terms)
        marked, lost = _mark(traded, here, terms)
        charged, charges = _finance(marked, terms)
        reported = marked.equity
        moved = charged.units * (quote.mark - charged.mark)
        after = charged._replace(equity=charged.cash + jnp.sum(charged.units * quote.mark))
        gains = moved - paid - lost - charges
    else:
        charged, charges = _finance(account, terms)
        traded, done, paid = _trade(charged, target, quote, terms)
        after, lost = _mark(traded, quote, terms)
        moved = account.units * (quote.price - account.mark)
        moved += traded.units * (quote.mark - quote.price)
        reported = after.equity
        gains = moved - paid - lost - charges
    after = after._replace(mark=quote.mark, volume=quote.volume, tradable=quote.tradable)
    return after, Settled(gains, reported, *done)


def _finance(account: Account, terms: Terms) -> tuple[Account, jax.Array]:
    """Charge interest on negative cash and borrow on short value, as of the last close."""
    value = account.units * account.mark
    short = jnp.maximum(-value, 0.0) * terms.borrow
    debt = jnp.maximum(-account.cash, 0.0) * terms.interest
    size = jnp.abs(value)
    gross = jnp.sum(size)
    # Debt without a position has nobody to bear it; only a closed account can have it.
    charges = short + debt * size / jnp.where(gross > 0, gross, 1.0)
    charge = jnp.where(account.closed, 0.0, jnp.sum(short) + debt)
    return (
        account._replace(cash=account.cash - charge),
        jnp.where(account.closed, jnp.zeros_like(charges), charges),
    )


def _trade(
    account: Account, target: jax.Array, quote: Quote, terms: Terms
) -> tuple[Account, tuple[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]:
    """Fill the orders of one bar; also (traded, fills, dropped, capped) and costs, (N,) each."""
    units, price = account.units, quote.price
    equity = account.cash + jnp.sum(units * price)
    open_ = ~account.closed & (equity > 0)
    closes = (target == 0) & (units != 0)
    outside = jnp.abs(target * equity - units * price) > terms.band * equity
    ordered = open_ & ~jnp.isnan(target) & (closes | outside)
    wanted = _lots(target * equity / price, terms)
    if terms.lot > 0:
        ordered &= wanted != units
    fills = ordered & quote.tradable
    dropped = ordered & ~quote.tradable
    change = jnp.where(fills, wanted - units, 0.0)
    capped = jnp.zeros_like(fills)
    if math.isfinite(terms.participation):
        limit = _lots(terms.participation * quote.volume, terms)
        capped = fills & (jnp.abs(change) > limit)
        change = jnp.where(capped, jnp.sign(change) * limit, change)
        wanted = jnp.where(capped, units + change, wanted)
        fills &= ~(capped & (limit == 0))
    value = jnp.abs(change) * price
    paid = jnp.where(fills, _cost(jnp.abs(change), value, quote.volume, terms), 0.0)
    after = jnp.where(fills, wanted, units)
    # A fill that opens or turns a position begins it anew; every other bar makes it older.
    begins = (after != 0) & (jnp.sign(after) != jnp.sign(units))
    flat = after == 0
    entry = jnp.where(begins, price, jnp.where(flat, 0.0, account.entry))
    held = jnp.where(begins | flat, 0.0, account.held + 1)
    moved = account._replace(
        cash=account.cash - jnp.sum(change * price + paid), units=after, entry=entry, held=held
    )
    return moved, (value, fills, dropped, capped), paid


def _mark(account: Account, quote: Quote, terms: Terms) -> tuple[Account, jax.Array]:
    """Value at the close and liquidate what is broken; also the liquidation's costs, (N,)."""
    value = account.units * quote.mark
    equity = account.cash + jnp.sum(value)
    size = jnp.abs(value)
    broken = ~account.closed & ((equity <= terms.maintenance * jnp.sum(size)) | (equity <= 0))
    paid = _cost(jnp.abs(account.units), size, quote.volume, terms)
    paid = jnp.where(broken & (account.units != 0), paid, 0.0)
    equity = equity - jnp.sum(paid)
    nothing = jnp.zeros_like(account.units)
    return (
        account._replace(
            cash=jnp.where(broken, equity, account.cash),
            units=jnp.where(broken, nothing, account.units),
            entry=jnp.where(broken, nothing, account.entry),
            held=jnp.where(broken, nothing, account.held),
            closed=account.closed | broken,
            equity=equity,
        ),
        paid,
    )


def _lots(units: jax.Array, terms: Terms) -> jax.Array:
    """Whole lots towards zero; without lots the units themselves."""
    if terms.lot == 0:
        return units
    lots = units / terms.lot
    near = jnp.round(lots)
    # What is a whole number up to rounding loses no lot.
    tolerance = max(WHOLE_TOLERANCE, 4 * float(np.finfo(lots.dtype).eps))
    whole = jnp.abs(lots - near) <= tolerance * jnp.abs(lots)
    return jnp.where(whole, near, jnp.trunc(lots)) * terms.lot


def _cost(size: jax.Array, value: jax.Array, volume: jax.Array, terms: Terms) -> jax.Array:
    """What fills of `size` units worth `value` cost, where they happen."""
    cost = value * (terms.fee + terms.half_spread)
    if terms.fee_per_unit > 0:
        cost += size * terms.fee_per_unit
    if terms.minimum_fee > 0:
        charged = value * terms.fee + size * terms.fee_per_unit
        cost += jnp.maximum(terms.minimum_fee - charged, 0.0)
        cost = jnp.where(size == 0, 0.0, cost)
    if terms.impact > 0:
        cost += value * (jnp.sqrt(size / volume) * terms.impact)
    return cost


def quotes(panel: Panel, terms: Terms, dtype: type[np.floating]) -> Quote:
    """All bars of a panel as quotes, (T, N) NumPy arrays."""
    rows = market_rows(panel, terms.fill, volume_unit=terms.volume_unit)
    price, mark, volume, tradable, _ = np.moveaxis(rows, 2, 0)
    return Quote(price.astype(dtype), mark.astype(dtype), volume.astype(dtype), tradable > 0)
