"""Entry and exit flags in the specification of the engine: what a configuration wants."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from windtunnel.backtest.costs import Costs
    from windtunnel.backtest.oracle_account import Quote
    from windtunnel.backtest.oracle_stops import StopWatch


class Latch:
    """Whether one configuration wants to be in each instrument, from its flags (T, N)."""

    def __init__(
        self, entries: npt.NDArray[np.bool_], exits: npt.NDArray[np.bool_], size: float
    ) -> None:
        self.entries = entries
        self.exits = exits
        self.size = size
        self.wishes = [False] * entries.shape[1]

    def hear(self, t: int, listed: npt.NDArray[np.bool_]) -> None:
        """Take in the flags of one close."""
        for n in range(len(self.wishes)):
            # Without a bar there is no word, and both flags on one bar are none either.
            if listed[n] and self.entries[t, n] != self.exits[t, n]:
                self.wishes[n] = bool(self.entries[t, n])

    def targets(self, units: Sequence[float], quotes: Sequence[Quote], costs: Costs) -> list[float]:
        """Decisions of a bar: an entry, an exit, and none while things are as they should be."""
        return [
            self._target(wish, held != 0, costs.fee + quote.half_spread)
            for wish, held, quote in zip(self.wishes, units, quotes, strict=True)
        ]

    def _target(self, wish: bool, held: bool, rate: float) -> float:
        if wish == held:
            # A position is left alone between its entry and its exit.
            return nan
        # An entry spends its size with the costs that are proportional to it: an entry with all
        # of the equity leaves no cash and no debt.
        return self.size / (1.0 + rate) if wish else 0.0

    def note_stops(self, watch: StopWatch) -> None:
        """A stop ends the wish; the next entry flag makes a new one."""
        for n in range(len(self.wishes)):
            if watch.barred[n] != 0:
                self.wishes[n] = False
                watch.barred[n] = 0
