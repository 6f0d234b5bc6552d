"""The works of the table, each with everybody who can do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import peers
import return_arithmetic
from contest import Contestant
from contestants import TERMS, loop, ours, packaged
from works import (
    CASH,
    FEE,
    Size,
    make_flags,
    make_panel,
    make_scores,
    make_stops,
    make_targets,
)

from windtunnel.backtest.engine import run_exposures, run_policy
from windtunnel.backtest.policy import Policies
from windtunnel.backtest.signals import run_signals
from windtunnel.backtest.stops import Stops

Work = tuple[Size, list[Contestant]]


def flags(size: Size, few: int, *, with_stops: bool) -> Work:
    """W1 and W4: entry and exit flags of one instrument, with stops or without."""
    panel = make_panel(size)
    entries, exits = make_flags(size)
    count = size.configurations
    stops, given, arrays = None, None, None
    lanes = [np.ascontiguousarray(each[:, 0].T) for each in (entries, exits)]
    terms = (CASH, FEE, 0.0, 0.0)
    prices = [
        np.ascontiguousarray(each[:, 0])
        for each in (panel.open, panel.high, panel.low, panel.close)
    ]
    if with_stops:
        sizes = make_stops(size)
        trailing = np.arange(count) % 2 == 1  # every other stop follows the price
        loss = np.where(trailing, np.inf, sizes["stop"])
        trail = np.where(trailing, sizes["stop"], np.inf)
        stops = Stops(loss=loss, profit=sizes["profit"], trailing=trail)
        given = (sizes["stop"], trailing, sizes["profit"])
        arrays = (
            "flags with stops",
            (*prices, *lanes, loss, sizes["profit"], trail, terms),
        )
    else:
        arrays = ("flags", (prices[-1], *lanes, terms))
    packed = [np.packbits(each, axis=2, bitorder="little") for each in (entries, exits)]

    def first(k: int) -> tuple[Any, ...]:
        return (
            entries[:, :, :k],
            exits[:, :, :k],
            None if given is None else tuple(g[:k] for g in given),
        )

    own_stops = "its own stop rules: anchored at the fill, no gap gain" if with_stops else ""
    return size, [
        *ours("booleans", lambda threads: run_signals(
            panel, entries, exits, stops=stops, threads=threads, **TERMS), count),
        *ours("packed bits", lambda threads: run_signals(
            panel, *packed, configurations=count, stops=stops, threads=threads, **TERMS), count,
            note="packing not timed"),
        *loop(*arrays, size),
        *packaged("vectorbt, Rust engine", "vectorbt-rust",
                  lambda k: peers.vectorbt_flags(panel, *first(k), "rust"), few),
        *packaged("vectorbt, Numba engine", "vectorbt",
                  lambda k: peers.vectorbt_flags(panel, *first(k), "numba"), few),
        *packaged("raptorbt, 2 threads", "raptorbt",
                  lambda k: peers.raptor_flags(panel, *first(k)), few,
                  tolerance=None if with_stops else 1e-9, note=own_stops),
        *packaged("phasor-trader, 2 threads", "phasor-trader",
                  lambda k: peers.phasor_flags(panel, *first(k), 2), few),
        *([] if with_stops else packaged(
            "backtesting.py", "backtesting",
            lambda k: peers.backtesting_flags(panel, *first(k)[:2]), 2,
            tolerance=None, note="one at a time; equity of the bar before")),
    ]  # fmt: skip


def targets(size: Size, few: int, nanobook_few: int) -> Work:
    """W2 and W3: targets at every bar, exact rebalancing, cash shared by the instruments."""
    panel, wanted = make_panel(size), make_targets(size)
    one = size.instruments == 1
    terms = (CASH, FEE, 0.0, 0.0, 0.0, 0.0)
    if one:
        lanes = np.ascontiguousarray(wanted[:, 0].T)
        prices = [np.ascontiguousarray(a[:, 0]) for a in (panel.close, panel.tradable)]
    else:
        lanes = np.ascontiguousarray(wanted.transpose(2, 0, 1))
        prices = [panel.close, panel.tradable]

    def first(k: int) -> np.ndarray:
        return wanted[:, :, :k].astype(np.float64)

    return size, [
        *ours("float32 targets", lambda threads: run_exposures(
            panel, wanted, band=0.0, threads=threads, **TERMS), size.configurations),
        *loop("one target" if one else "targets", (*prices, lanes, terms), size),
        *packaged("vectorbt, Rust engine", "vectorbt-rust",
                  lambda k: peers.vectorbt_targets(panel.close, first(k), "rust"), few),
        *packaged("vectorbt, Numba engine", "vectorbt",
                  lambda k: peers.vectorbt_targets(panel.close, first(k), "numba"), few),
        *packaged("phasor-trader, 2 threads", "phasor-trader",
                  lambda k: peers.phasor_targets(panel.close, first(k), 2), few),
        *packaged("nanobook", "nanobook",
                  lambda k: peers.nanobook_targets(panel.close, first(k)), nanobook_few,
                  tolerance=None, note="one at a time; whole cents"),
    ]  # fmt: skip


def shared_scores(size: Size, lasting: float) -> Work:
    """W2b: 100 policies on each of 100 score columns; nobody else has it.

    Scores that last (see `make_scores`) are what models give; where scores know nothing of each
    other, more than half of all bars have an order, as every bar of W2 has.
    """
    panel = make_panel(size)
    columns = size.configurations // 100
    scores = make_scores(size.bars, columns, lasting)
    every = np.ones(size.configurations)
    policies = Policies(
        column=np.repeat(np.arange(columns), 100),
        enter=np.tile(np.linspace(0.05, 0.9, 100), columns),
        exit=0.05 * every,
        leverage=every,
        band=0.02 * every,
        long_only=False,
    )
    return size, ours("policies", lambda threads: run_policy(
        panel, scores, policies, threads=threads, **TERMS), size.configurations)  # fmt: skip


WORKS: dict[str, Callable[[], Work]] = {
    "W1": lambda: flags(Size(10_000, 1, 1_000), 1_000, with_stops=False),
    "W1 long": lambda: flags(Size(100_000, 1, 1_000), 50, with_stops=False),
    "W2": lambda: targets(Size(10_000, 1, 1_000), 1_000, 3),
    "W2s": lambda: return_arithmetic.work(Size(10_000, 1, 1_000)),
    "W2s, from memory": lambda: return_arithmetic.work(Size(10_000, 1, 16_000), tables=False),
    "W2b": lambda: shared_scores(Size(10_000, 1, 10_000), 0.97),
    "W2b, scores without memory": lambda: shared_scores(Size(10_000, 1, 10_000), 0.0),
    "W3": lambda: targets(Size(2_500, 100, 100), 100, 2),
    "W4": lambda: flags(Size(10_000, 1, 1_000), 1_000, with_stops=True),
}
