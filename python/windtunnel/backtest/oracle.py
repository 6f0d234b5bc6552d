"""The specification of the engine, in plain Python, one configuration at a time.

Slow on purpose and free of NumPy arithmetic, so that each rule reads as one sentence with its
code under it. This file follows time and decisions, `oracle_account` the money, `oracle_stops`
the exits inside a bar, `oracle_signals` what entry and exit flags mean. The compiled engine is
held to them by tests: money and times to 1e-9, counts exactly. Where they differ, the
specification is right.

Words: `mark` is the last known close of an instrument; an instrument is *listed* at a bar when
it has a bar there and *tradable* when volume traded too; a *decision* is a target exposure, a
signed fraction of equity, and NaN is no decision.
"""

from __future__ import annotations

from math import isnan, nan
from typing import TYPE_CHECKING

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.oracle_account import Account, Ledger, Quote
from windtunnel.backtest.oracle_signals import Latch
from windtunnel.backtest.oracle_stops import Prices, StopRules, StopWatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from windtunnel.data.panel import Panel


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
    half_spread: npt.NDArray[np.float64] | None = None,
    stops: StopRules | None = None,
    volatility_target: float | None = None,
    volatility: npt.NDArray[np.float64] | None = None,
) -> Ledger:
    """Trade one policy on one column of scores, (T, N) float32."""
    bars, instruments = panel.bars, panel.instruments
    listed = panel.listed
    signals = [0] * instruments
    decisions: list[list[float]] = []
    followed: list[list[int]] = []
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
            # With a volatility target, no more leverage than brings the instrument to it; while its
            # volatility is unknown there is no decision.
            lever = leverage
            if volatility_target is not None and volatility is not None:
                known = float(volatility[t, n])
                lever = nan if isnan(known) else min(volatility_target / known, leverage)
            row.append(signals[n] * (lever / count))
        decisions.append(row)
        followed.append(list(signals))
    return _simulate(
        panel,
        decisions,
        band=band,
        costs=costs,
        execution=execution,
        periods_per_year=periods_per_year,
        half_spread=half_spread,
        followed=followed,
        stops=stops,
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
    half_spread: npt.NDArray[np.float64] | None = None,
) -> Ledger:
    """Trade one series of target exposures, (T, N); NaN is no decision."""
    return _simulate(
        panel,
        exposures,
        band=band,
        costs=costs,
        execution=execution,
        periods_per_year=periods_per_year,
        half_spread=half_spread,
    )


def simulate_signals(
    panel: Panel,
    entries: npt.NDArray[np.bool_],
    exits: npt.NDArray[np.bool_],
    *,
    size: float,
    costs: Costs,
    execution: Execution,
    periods_per_year: float,
    half_spread: npt.NDArray[np.float64] | None = None,
    stops: StopRules | None = None,
) -> Ledger:
    """Trade one series of entry and exit flags, (T, N) bool."""
    return _simulate(
        panel,
        (),
        band=0.0,
        costs=costs,
        execution=execution,
        periods_per_year=periods_per_year,
        half_spread=half_spread,
        stops=stops,
        latch=Latch(entries, exits, size),
    )


def _simulate(
    panel: Panel,
    exposures: Sequence[Sequence[float]] | npt.NDArray[np.floating],
    *,
    band: float,
    costs: Costs,
    execution: Execution,
    periods_per_year: float,
    half_spread: npt.NDArray[np.float64] | None,
    followed: Sequence[Sequence[int]] = (),
    stops: StopRules | None = None,
    latch: Latch | None = None,
) -> Ledger:
    """Trade decisions; those of a policy come with the signals that its stops look at.

    With a latch, it decides in place of the exposures.
    """
    account = Account(panel.instruments, costs, execution, periods_per_year)
    listed = panel.listed
    # An instrument that has had no bar yet holds no units: any mark will do.
    marks = [1.0] * panel.instruments
    volumes = [1.0] * panel.instruments
    spreads = [costs.half_spread] * panel.instruments
    # A decision made with a bar's close fills one bar later, or at once with same_close.
    lag = 0 if execution.fill == "same_close" else 1
    at_open = execution.fill == "next_open"
    watch = None if stops is None else StopWatch(panel.instruments, stops)
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
        if at_open:
            prices = [
                float(panel.open[t, n]) if listed[t, n] else last[n]
                for n in range(panel.instruments)
            ]
        else:
            prices = marks
        # The volume is that of the bar, or of the last with trade; the half-spread that of the bar,
        # or of the last, when it is given bar by bar.
        for n in range(panel.instruments):
            if panel.tradable[t, n]:
                volumes[n] = float(panel.volume[t, n])
            if half_spread is not None and listed[t, n]:
                spreads[n] = float(half_spread[t, n])
        quotes = [
            Quote(price, spread, volume, bool(here))
            for price, spread, volume, here in zip(
                prices, spreads, volumes, panel.tradable[t], strict=True
            )
        ]
        # Stops watch the whole bar after orders at its open, and before orders at its close.
        if watch is not None and not at_open:
            watch_bar(watch, account, panel, quotes, t, latch)
        # A close that is traded at is heard before its orders, and after the stops of its bar.
        if latch is not None and lag == 0:
            latch.hear(t, listed[t])
        if t >= lag:
            if latch is not None:
                targets = latch.targets(account.units, quotes, costs)
            else:
                targets = [float(target) for target in exposures[t - lag]]
            before = list(account.units)
            reasons = ["decision"] * panel.instruments
            if watch is not None:
                for n in range(panel.instruments):
                    if latch is None and listed[t - lag, n]:
                        targets[n] = watch.permit(n, followed[t - lag][n], targets[n])
                    if panel.tradable[t, n]:
                        targets[n], reasons[n] = watch.force(
                            n, before[n], t, bar_prices(panel, t, n), targets[n], at_open=at_open
                        )
                if latch is not None:
                    latch.note_stops(watch)
            account.trade(targets, quotes, band, t, reasons)
            if watch is not None:
                for n in range(panel.instruments):
                    watch.note_fill(n, before[n], account.units[n], quotes[n].price, t)
        if watch is not None and at_open:
            watch_bar(watch, account, panel, quotes, t, latch)
        # 3. Equity is marked at the close, where a broken account is liquidated.
        account.mark(marks, quotes, t)
        # What the close says is heard last.
        if latch is not None and lag == 1:
            latch.hear(t, listed[t])
    account.ledger.exposure /= panel.bars
    return account.ledger


def bar_prices(panel: Panel, t: int, n: int) -> Prices:
    """The prices of a bar that stops look at; its range holds its open and its close."""
    opened, close = float(panel.open[t, n]), float(panel.close[t, n])
    high, low = float(panel.high[t, n]), float(panel.low[t, n])
    return Prices(opened, max(high, opened, close), min(low, opened, close))


def watch_bar(
    watch: StopWatch,
    account: Account,
    panel: Panel,
    quotes: Sequence[Quote],
    t: int,
    latch: Latch | None,
) -> None:
    """Let the stops of every instrument that has a bar see it."""
    # A stop's turnover is its value over the equity of the last mark.
    last = account.ledger.equity[-1] if t > 0 else account.cash
    for n in range(panel.instruments):
        if not isnan(panel.close[t, n]):
            watch.watch(n, account, bar_prices(panel, t, n), quotes[n], last, t)
    if latch is not None:
        latch.note_stops(watch)
