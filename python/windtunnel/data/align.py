"""Bars in long format to arrays of (timestamps, instruments)."""

from __future__ import annotations

import hashlib
from itertools import chain

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel.data.panel import Float64Array, Panel
from windtunnel.data.quality import VALUES, when
from windtunnel.errors import DataError


def to_panel(bars: pl.DataFrame) -> Panel:
    """Align bars on the union of their timestamps.

    Nothing is filled in: where an instrument has no bar, its five values are NaN and it is
    not tradable. A bar without volume is there but not tradable.

    Parameters
    ----------
    bars : polars.DataFrame
        Bars that passed `windtunnel.data.quality.gate`, in any order of rows and columns.

    Returns
    -------
    Panel
        Arrays (T, N). Equal bars give equal panels, fingerprint included, in whatever order
        they came.

    Raises
    ------
    DataError
        There are no bars, or two have the same timestamp and symbol.
    """
    if bars.is_empty():
        raise DataError("data: there are no bars", "Widen data.start and data.end, or the source")
    stamps = bars["timestamp"].dt.cast_time_unit("us").to_physical().to_numpy()
    times, row = np.unique(stamps, return_inverse=True)
    symbols = tuple(sorted(bars["symbol"].unique()))
    column = bars["symbol"].cast(pl.Enum(symbols)).to_physical().to_numpy().astype(np.int64)
    shape = (len(times), len(symbols))
    place = row * shape[1] + column
    _refuse_duplicates(bars, place)
    arrays: dict[str, Float64Array] = {}
    for name in VALUES:
        flat = np.full(shape[0] * shape[1], np.nan)
        # Adding zero turns -0.0 into 0.0, which is equal and must not differ in bytes.
        flat[place] = bars[name].to_numpy() + 0.0
        arrays[name] = flat.reshape(shape)
    return Panel(
        timestamps=times.astype(np.int64).view("datetime64[us]"),
        symbols=symbols,
        **arrays,
        tradable=arrays["volume"] > 0,
        fingerprint=_fingerprint(times, symbols, arrays),
    )


def _refuse_duplicates(bars: pl.DataFrame, place: npt.NDArray[np.int64]) -> None:
    ordered = np.sort(place)
    if not np.any(ordered[1:] == ordered[:-1]):
        return
    twin = bars.filter(pl.struct("timestamp", "symbol").is_duplicated()).row(0, named=True)
    raise DataError(
        f"{twin['symbol']} at {when(twin['timestamp'])}: duplicated bar",
        "Keep one row for each symbol and timestamp",
    )


def _fingerprint(
    times: npt.NDArray[np.int64], symbols: tuple[str, ...], arrays: dict[str, Float64Array]
) -> str:
    """SHA-256 over little-endian bytes, each part led by its length in bytes.

    Missing bars enter as the one NaN that alignment writes, so payloads cannot differ.
    """
    digest = hashlib.sha256(b"windtunnel panel 1")
    parts = chain(
        [times.astype("<i8").tobytes()],
        (symbol.encode() for symbol in symbols),
        (arrays[name].astype("<f8").tobytes() for name in VALUES),
    )
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
