"""The last bars of a stream, kept so that a client sends each bar once."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from windtunnel.data.panel import Panel
from windtunnel.data.quality import VALUES
from windtunnel.serving.answer import iso
from windtunnel.serving.refusal import Refusal

FEWEST = 256  # timestamps kept, in case the next version reads further back


class Window:
    """Bars of a model's instruments at the last timestamps of a stream."""

    def __init__(self) -> None:
        self._rows: deque[tuple[np.datetime64, dict[str, npt.NDArray[np.float64]]]] = deque()
        self._most = FEWEST

    def __len__(self) -> int:
        """Number of timestamps kept."""
        return len(self._rows)

    def append(self, panel: Panel, warmup: int) -> None:
        """Add the bars of `panel`; `trim` follows.

        Raises
        ------
        Refusal
            The bars do not all come after those that are kept; nothing is added.
        """
        if self._rows and panel.timestamps[0] <= self._rows[-1][0]:
            last, first = (iso(np.array([t]))[0] for t in (self._rows[-1][0], panel.timestamps[0]))
            raise Refusal(
                "stale",
                "bars.timestamp",
                first,
                f"is not after {last}, the last bar of this stream",
                "Send each bar once and in order; open another stream to begin anew",
            )
        values = np.stack([getattr(panel, name) for name in VALUES], axis=-1)  # (T, N, 5)
        for stamp, row, listed in zip(panel.timestamps, values, panel.listed, strict=True):
            present = np.flatnonzero(listed)
            self._rows.append((stamp, {panel.symbols[i]: row[i] for i in present}))
        self._most = max(warmup + panel.bars, FEWEST)

    def trim(self) -> None:
        """Let go of what features no longer reach."""
        while len(self._rows) > self._most:
            self._rows.popleft()

    def copy(self) -> Window:
        """Another window of the same bars: what is added to one is not in the other."""
        other = Window()
        other._rows, other._most = self._rows.copy(), self._most
        return other

    def panel(self, symbols: Sequence[str]) -> Panel:
        """The window as a request with the same bars would give it.

        Parameters
        ----------
        symbols : sequence of str
            The model's instruments; those without a bar in the window are left out, and
            bars of others are not looked at.
        """
        seen = set().union(*(bars for _, bars in self._rows))
        present = tuple(sorted(seen.intersection(symbols)))
        values = np.full((len(VALUES), len(self._rows), len(present)), np.nan)
        for t, (_, bars) in enumerate(self._rows):
            for n, symbol in enumerate(present):
                if symbol in bars:
                    values[:, t, n] = bars[symbol]
        series = dict(zip(VALUES, values, strict=True))
        return Panel(
            timestamps=np.array([stamp for stamp, _ in self._rows], "datetime64[us]"),
            symbols=present,
            **series,
            tradable=series["volume"] > 0,
            fingerprint="",  # of the stream nobody keeps one
        )
