"""The panel: bars of N instruments aligned on T timestamps, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

# Relative slack for open and close outside [low, high]: rounding of adjusted prices.
PRICE_TOLERANCE = 1e-9

# What a panel holds of every bar, by the names of its fields.
BAR_ARRAYS = ("timestamps", "open", "high", "low", "close", "volume", "tradable")


@dataclass(frozen=True)
class Panel:
    """Bars of N instruments on T common timestamps.

    Attributes
    ----------
    timestamps : (T,) datetime64[us]
        UTC, strictly increasing. The time at which a bar is labelled; its values are
        known at its close.
    symbols : tuple of N str
        Sorted, unique.
    open, high, low, close, volume : (T, N) float64, C-contiguous
        NaN where an instrument has no bar at that timestamp (all five together).
    tradable : (T, N) bool
        True where a bar exists and its volume is above zero: an order can fill here.
    fingerprint : str
        SHA-256 over timestamps, symbols and values; equal data give equal fingerprints.
    """

    timestamps: npt.NDArray[np.datetime64]
    symbols: tuple[str, ...]
    open: Float64Array
    high: Float64Array
    low: Float64Array
    close: Float64Array
    volume: Float64Array
    tradable: BoolArray
    fingerprint: str

    @property
    def bars(self) -> int:
        """Number of timestamps, T."""
        return len(self.timestamps)

    @property
    def instruments(self) -> int:
        """Number of instruments, N."""
        return len(self.symbols)

    @property
    def listed(self) -> BoolArray:
        """(T, N) bool: the instrument has a bar at that timestamp."""
        return ~np.isnan(self.close)

    def window(self, start: int, stop: int | None = None) -> Panel:
        """Bars `start` to `stop` - 1, or to the end, with the fingerprint of the whole; views."""
        return replace(self, **{name: getattr(self, name)[start:stop] for name in BAR_ARRAYS})
