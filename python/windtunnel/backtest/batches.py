"""Decisions that come in batches, from a file or a stream, as the chunks that `stream` trades.

The panel is in memory; scores, exposures or flags are larger. They may be one array on disk
(`numpy.load(path, mmap_mode="r")`), or batches from anywhere: NumPy arrays, polars frames, Arrow
record batches or tables, or whatever else offers Arrow's C interface.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from windtunnel.backtest.stream import Chunk
from windtunnel.errors import BacktestError

if TYPE_CHECKING:
    import numpy.typing as npt

    from windtunnel.data.panel import Panel

Rows = tuple[str, ...]
PIECE_BYTES = 64 * 2**20  # of an array that is cut here


def chunks_of(
    panel: Panel,
    batches: npt.NDArray[Any] | Iterable[Any],
    *,
    half_spread: npt.NDArray[np.float64] | None = None,
    volatility: npt.NDArray[np.float64] | None = None,
) -> Iterator[Chunk]:
    """Chunks for `stream_exposures`, `stream_policy` or `stream_signals`.

    Parameters
    ----------
    panel : Panel
        All T bars.
    batches : (T, N, C) array, or iterable of batches
        An array, which may be memory-mapped, is cut into pieces of about 64 MB. A batch is an
        array (t, N, C), or a table of one dtype with a column a configuration (or a column of
        scores) and a row a bar and instrument: the instruments of a bar follow one another in the
        panel's order. The batches of tables may end anywhere, within a bar too.
    half_spread, volatility : (T, N) float64, optional
        Columns of the whole panel, handed on with the chunks.

    Yields
    ------
    Chunk
        In time order.

    Raises
    ------
    BacktestError
        When a batch has a null, mixed dtypes or other columns than the first, or when all batches
        together are not T bars.
    """
    instruments = panel.instruments
    at = 0
    for decisions in _whole_bars(batches, instruments):
        end = at + len(decisions)
        if end > panel.bars:
            raise BacktestError(f"batches: must end with the panel's {panel.bars} bars, got more")
        yield Chunk(
            panel.window(at, end),
            decisions,
            None if half_spread is None else half_spread[at:end],
            None if volatility is None else volatility[at:end],
        )
        at = end
    if at < panel.bars:
        raise BacktestError(f"batches: must hold the panel's {panel.bars} bars, got {at}")


def _whole_bars(
    batches: npt.NDArray[Any] | Iterable[Any], instruments: int
) -> Iterator[npt.NDArray[Any]]:
    """Arrays (t, N, C) of at least one bar each."""
    if isinstance(batches, np.ndarray):
        yield from _pieces(batches)
        return
    if hasattr(batches, "__arrow_c_stream__"):  # one table is one batch
        batches = [batches]
    rest: npt.NDArray[Any] | None = None  # rows of a bar that goes on in the next batch
    columns: Rows | None = None
    for number, batch in enumerate(batches):
        if isinstance(batch, np.ndarray):
            if len(batch):
                yield batch
            continue
        names, rows = _read_table(batch, number)
        if columns is not None and names != columns:
            raise BacktestError(
                f"batches[{number}]: columns must be those of the first batch, "
                f"{_shown(columns)}, got {_shown(names)}"
            )
        columns = names
        if rest is not None and len(rest):
            rows = np.concatenate([rest, rows])
        whole = len(rows) // instruments
        if whole:
            full = rows[: whole * instruments].reshape(whole, instruments, len(names))
            yield np.ascontiguousarray(full)
        rest = rows[whole * instruments :].copy()
    if rest is not None and len(rest):
        raise BacktestError(
            f"batches: rows must be whole bars of N={instruments} instruments, "
            f"the last bar has {len(rest)}"
        )


def _pieces(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    bars = len(array)
    step = max(1, PIECE_BYTES * bars // max(array.nbytes, 1))
    for first in range(0, bars, step):
        yield array[first : first + step]


def _read_table(batch: Any, number: int) -> tuple[Rows, npt.NDArray[Any]]:
    """Names of the columns, and the rows as an array (rows, columns) of their one dtype."""
    import polars as pl  # noqa: PLC0415 - arrays need no tables

    if isinstance(batch, pl.DataFrame):
        frame = batch
    elif hasattr(batch, "__arrow_c_stream__") or hasattr(batch, "__arrow_c_array__"):
        frame = pl.DataFrame(batch)
    else:
        raise BacktestError(
            f"batches[{number}]: must be a NumPy array, a polars frame or an Arrow table, "
            f"got {type(batch).__name__}"
        )
    kinds = set(frame.dtypes)
    if len(kinds) != 1:
        found = ", ".join(sorted(str(kind) for kind in kinds)) or "no column"
        raise BacktestError(
            f"batches[{number}]: columns must have one dtype, got {found}",
            "Select the columns of decisions alone, and cast them where they are written",
        )
    for name, nulls in frame.null_count().row(0, named=True).items():
        if nulls:
            raise BacktestError(
                f"batches[{number}].{name}: must hold no nulls, got {nulls}",
                "Write NaN where there is no decision",
            )
    return tuple(frame.columns), frame.to_numpy(order="c")


def _shown(names: Rows) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
