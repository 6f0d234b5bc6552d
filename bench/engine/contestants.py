"""Who takes part: the engine, a Numba loop with its rules, and packaged engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import peers
from contest import Contestant, Metrics
from loops import LOOPS, measured
from works import CASH, FEE, YEAR, Size

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.execution import Execution

TERMS: dict[str, Any] = {
    "costs": Costs(FEE, 0.0, 0.0, 0.0),
    "execution": Execution("same_close", CASH),
    "periods_per_year": YEAR,
    "want_equity": False,
    "want_metrics": True,
}


def ours(name: str, call: Callable[[int], Any], count: int, note: str = "") -> list[Contestant]:
    """The engine on two threads and on one."""

    def runner(threads: int) -> Callable[[], Metrics]:
        return lambda: call(threads).metrics

    return [
        Contestant(f"{name}, {threads} thread{'s' * (threads > 1)}", runner(threads), count,
                   ours=True, note=note)
        for threads in (2, 1)
    ]  # fmt: skip


def loop(name: str, arrays: tuple[Any, ...], size: Size, initial: float = CASH) -> list[Contestant]:
    """A Numba loop on two threads and on one."""

    def runner(threads: int) -> Callable[[], Metrics]:
        def run() -> Metrics:
            out = np.empty((size.configurations, 4))
            LOOPS[name, threads](*arrays, out)
            return measured(out, size.bars, initial, YEAR)

        return run

    return [
        Contestant(f"Numba loop, {threads} thread{'s' * (threads > 1)}", runner(threads),
                   size.configurations)
        for threads in (2, 1)
    ]  # fmt: skip


def packaged(name: str, package: str, run: Callable[[int], Metrics], count: int, **more: Any
             ) -> list[Contestant]:  # fmt: skip
    """A peer on the first `count` configurations, if it is installed."""
    if not peers.installed(package):
        return []
    return [Contestant(name, lambda: run(count), count, **more)]
