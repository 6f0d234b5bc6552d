"""The same rules as plain loops in Numba, configuration by configuration with state in registers.

They read a copy in the layout that suits them best, (C, T) or (C, T, N), whose making is not
timed, and take three metrics on the way: last equity, sum and sum of squares of returns, and the
deepest drawdown. The engine takes twelve.
"""

from __future__ import annotations

import numba
import numpy as np


def _targets(close, tradable, targets, terms, out):
    cash_0, rate, borrow, interest, maintenance, band = terms
    configurations, bars, instruments = targets.shape
    for c in numba.prange(configurations):
        cash, short, alive = cash_0, 0.0, True
        units = np.zeros(instruments)
        last, peak, total, squares, deepest = cash_0, cash_0, 0.0, 0.0, 0.0
        for t in range(bars):
            if alive:
                cash -= max(-cash, 0.0) * interest + short * borrow
                capital = cash
                for n in range(instruments):
                    capital += units[n] * close[t, n]
                if capital > 0:
                    for n in range(instruments):
                        if not tradable[t, n]:
                            continue
                        price = close[t, n]
                        target = np.float64(targets[c, t, n])
                        away = abs(target * capital - units[n] * price) > band * capital
                        if away or (target == 0 and units[n] != 0):
                            change = target * capital / price - units[n]
                            cash -= change * price + abs(change) * price * rate
                            units[n] += change
            worth, gross, short = cash, 0.0, 0.0
            for n in range(instruments):
                value = units[n] * close[t, n]
                worth += value
                gross += abs(value)
                short += max(-value, 0.0)
            if alive and (worth <= maintenance * gross or worth <= 0):
                worth -= gross * rate
                cash, short, alive = worth, 0.0, False
                units[:] = 0.0
            gain = (worth - last) / last
            total += gain
            squares += gain * gain
            last = worth
            peak = max(peak, worth)
            if worth < peak * (1 - deepest):
                deepest = (peak - worth) / peak
        out[c, 0], out[c, 1], out[c, 2], out[c, 3] = last, total, squares, deepest


def _one_target(close, tradable, targets, terms, out):
    """As `_targets` for one instrument, without loops over instruments."""
    cash_0, rate, borrow, interest, maintenance, band = terms
    configurations, bars = targets.shape
    for c in numba.prange(configurations):
        cash, units, short, alive = cash_0, 0.0, 0.0, True
        last, peak, total, squares, deepest = cash_0, cash_0, 0.0, 0.0, 0.0
        for t in range(bars):
            price = close[t]
            if alive:
                cash -= max(-cash, 0.0) * interest + short * borrow
                capital = cash + units * price
                if capital > 0 and tradable[t]:
                    target = np.float64(targets[c, t])
                    away = abs(target * capital - units * price) > band * capital
                    if away or (target == 0 and units != 0):
                        change = target * capital / price - units
                        cash -= change * price + abs(change) * price * rate
                        units += change
            value = units * price
            worth = cash + value
            gross = abs(value)
            short = max(-value, 0.0)
            if alive and (worth <= maintenance * gross or worth <= 0):
                worth -= gross * rate
                cash, short, units, alive = worth, 0.0, 0.0, False
            gain = (worth - last) / last
            total += gain
            squares += gain * gain
            last = worth
            peak = max(peak, worth)
            if worth < peak * (1 - deepest):
                deepest = (peak - worth) / peak
        out[c, 0], out[c, 1], out[c, 2], out[c, 3] = last, total, squares, deepest


def _return_arithmetic(moves, targets, rate, out):
    """Exposure x return less cost x turnover: no units and no cash, hence no drift of weights."""
    configurations, bars = targets.shape
    for c in numba.prange(configurations):
        worth, peak, total, squares, deepest, held = 1.0, 1.0, 0.0, 0.0, 0.0, 0.0
        for t in range(bars):
            target = np.float64(targets[c, t])
            gain = held * moves[t] - rate * abs(target - held)
            held = target
            worth *= 1 + gain
            total += gain
            squares += gain * gain
            peak = max(peak, worth)
            if worth < peak * (1 - deepest):
                deepest = (peak - worth) / peak
        out[c, 0], out[c, 1], out[c, 2], out[c, 3] = worth, total, squares, deepest


def _flags(close, entries, exits, terms, out):
    cash_0, rate, interest, maintenance = terms
    configurations, bars = entries.shape
    for c in numba.prange(configurations):
        cash, units, alive = cash_0, 0.0, True
        last, peak, total, squares, deepest = cash_0, cash_0, 0.0, 0.0, 0.0
        for t in range(bars):
            price = close[t]
            if cash < 0 and alive:
                cash += cash * interest
            enters, leaves = entries[c, t], exits[c, t]
            if enters != leaves and alive:
                if enters and units == 0:
                    units = cash / (1 + rate) / price
                    cash -= units * price * (1 + rate)
                elif leaves and units != 0:
                    cash += units * price * (1 - rate)
                    units = 0.0
            value = units * price
            worth = cash + value
            if alive and (worth <= maintenance * value or worth <= 0):
                worth -= value * rate
                cash, units, alive = worth, 0.0, False
            gain = (worth - last) / last
            total += gain
            squares += gain * gain
            last = worth
            peak = max(peak, worth)
            if worth < peak * (1 - deepest):
                deepest = (peak - worth) / peak
        out[c, 0], out[c, 1], out[c, 2], out[c, 3] = last, total, squares, deepest


def _flags_with_stops(open_, high, low, close, entries, exits, loss, profit, trail, terms, out):
    """Long positions with stop, target and trailing stop, watched from the bar after the entry."""
    cash_0, rate, interest, maintenance = terms
    configurations, bars = entries.shape
    for c in numba.prange(configurations):
        cash, units, alive, entry, best = cash_0, 0.0, True, 0.0, 0.0
        last, peak, total, squares, deepest = cash_0, cash_0, 0.0, 0.0, 0.0
        for t in range(bars):
            price = close[t]
            if cash < 0 and alive:
                cash += cash * interest
            if units != 0:
                stop = max(entry * (1 - loss[c]), best * (1 - trail[c]))
                target = entry * (1 + profit[c])
                at = 0.0
                if open_[t] <= stop or open_[t] >= target:
                    at = open_[t]
                elif low[t] <= stop:
                    at = stop
                elif high[t] >= target:
                    at = target
                if at > 0:
                    cash += units * at * (1 - rate)
                    units = 0.0
                best = max(best, high[t])
            enters, leaves = entries[c, t], exits[c, t]
            if enters != leaves and alive:
                if enters and units == 0:
                    units = cash / (1 + rate) / price
                    cash -= units * price * (1 + rate)
                    entry = best = price
                elif leaves and units != 0:
                    cash += units * price * (1 - rate)
                    units = 0.0
            value = units * price
            worth = cash + value
            if alive and (worth <= maintenance * value or worth <= 0):
                worth -= value * rate
                cash, units, alive = worth, 0.0, False
            gain = (worth - last) / last
            total += gain
            squares += gain * gain
            last = worth
            peak = max(peak, worth)
            if worth < peak * (1 - deepest):
                deepest = (peak - worth) / peak
        out[c, 0], out[c, 1], out[c, 2], out[c, 3] = last, total, squares, deepest


def _read(values, out):
    """The fastest read there is: a sum whose order is free."""
    for i in numba.prange(out.shape[0]):
        total = np.float32(0)
        for j in range(values.shape[1]):
            total += values[i, j]
        out[i] = total


def _compiled(loop, threads: int, *, fast: bool = False):
    return numba.njit(loop, parallel=threads > 1, fastmath=fast)


LOOPS = {
    (name, threads): _compiled(loop, threads, fast=name == "read")
    for threads in (1, 2)
    for name, loop in {
        "targets": _targets,
        "one target": _one_target,
        "return arithmetic": _return_arithmetic,
        "flags": _flags,
        "flags with stops": _flags_with_stops,
        "read": _read,
    }.items()
}


def measured(out: np.ndarray, bars: int, initial: float, year: float) -> dict[str, np.ndarray]:
    """Metrics from what a loop left: last, sum and sum of squares of returns, drawdown."""
    last, total, squares, deepest = out.T
    mean = total / bars
    deviation = np.sqrt((squares - bars * mean * mean) / (bars - 1))
    return {
        "total_return": last / initial - 1,
        "sharpe": mean / deviation * np.sqrt(year),
        "max_drawdown": deepest,
    }
