"""Backtests of histories that do not fit into memory: chunk of bars by chunk of bars.

The results are those of one call over the whole history, bit for bit: the state of every
configuration stays in the core between chunks, and the last bar of a chunk is given again with
the next one, since its decision fills there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from windtunnel.backtest.engine import run_exposures, run_policy, run_signals
from windtunnel.data.panel import BAR_ARRAYS
from windtunnel.errors import BacktestError

if TYPE_CHECKING:
    import numpy.typing as npt

    from windtunnel.backtest.policy import Policies
    from windtunnel.backtest.result import BacktestResult
    from windtunnel.backtest.stops import Stops
    from windtunnel.data.panel import Panel


class Chunk(NamedTuple):
    """Consecutive bars: their panel, their decisions, and half-spreads and volatility if any.

    `windtunnel.backtest.batches` makes them from files and from batches of other libraries.
    """

    panel: Panel
    decisions: npt.NDArray[Any]
    half_spread: npt.NDArray[np.float64] | None = None
    volatility: npt.NDArray[np.float64] | None = None


def stream_policy(
    chunks: Iterable[Chunk], policies: Policies, *, stops: Stops | None = None, **terms: Any
) -> Iterator[BacktestResult]:
    """Trade policies over chunks of scores.

    Parameters
    ----------
    chunks : iterable of Chunk
        In time order; every chunk holds at least one bar, and the same instruments and columns.
    policies, stops
        As in `run_policy`.
    **terms
        The other keywords of `run_policy`, the same for all chunks.

    Yields
    ------
    BacktestResult
        One a chunk: `equity`, `cash` and `trades` are those of the chunk, with bars counted from
        the first chunk's first; everything else is the total so far.

    Raises
    ------
    BacktestError
        When a chunk is refused, or does not follow the one before.
    """
    from windtunnel.backtest.native import core  # noqa: PLC0415 - as in the engine

    _refuse_columns(terms)
    progress = core.PolicyProgress()
    for chunk, place in _overlapping(chunks):
        with place.named():
            result = run_policy(
                chunk.panel,
                chunk.decisions,
                policies,
                stops=stops,
                half_spread=chunk.half_spread,
                volatility=chunk.volatility,
                progress=progress,
                **terms,
            )
        yield _without_repeated(result, place.repeated)


def stream_signals(
    chunks: Iterable[Chunk], exits: Iterable[npt.NDArray[Any]], **terms: Any
) -> Iterator[BacktestResult]:
    """Trade entry and exit flags over chunks, with the keywords of `run_signals`.

    The decisions of a chunk are its entry flags, bool or packed; `exits` gives the exit flags of
    each chunk, in step.

    Raises
    ------
    BacktestError
        As `stream_policy`, or when the exit flags are not those of the chunks.
    """
    from windtunnel.backtest.native import core  # noqa: PLC0415 - as in the engine

    _refuse_columns(terms)
    progress = core.SignalProgress()
    for chunk, place in _overlapping(_with_exits(chunks, exits)):
        with place.named():
            result = run_signals(
                chunk.panel,
                np.ascontiguousarray(chunk.decisions[..., 0]),
                np.ascontiguousarray(chunk.decisions[..., 1]),
                half_spread=chunk.half_spread,
                progress=progress,
                **terms,
            )
        yield _without_repeated(result, place.repeated)


def stream_exposures(chunks: Iterable[Chunk], **terms: Any) -> Iterator[BacktestResult]:
    """Trade target exposures over chunks; as `stream_policy`, with the keywords of `run_exposures`.

    Exposures of all chunks have one dtype, float32 or float64.
    """
    from windtunnel.backtest.native import core  # noqa: PLC0415 - as in the engine

    _refuse_columns(terms)
    progress = None
    for chunk, place in _overlapping(chunks):
        if progress is None:
            narrow = chunk.decisions.dtype == np.float32
            progress = core.ExposureProgress32() if narrow else core.ExposureProgress64()
        with place.named():
            result = run_exposures(
                chunk.panel,
                chunk.decisions,
                half_spread=chunk.half_spread,
                progress=progress,
                **terms,
            )
        yield _without_repeated(result, place.repeated)


def _refuse_columns(terms: Mapping[str, Any]) -> None:
    for name in ("half_spread", "volatility"):
        if name in terms:
            raise BacktestError(
                f"{name}: is a column of bars, and comes with each chunk",
                f"Give Chunk(panel, decisions, {name}=...)",
            )


def _with_exits(chunks: Iterable[Chunk], exits: Iterable[npt.NDArray[Any]]) -> Iterator[Chunk]:
    """Chunks whose decisions are entry and exit flags, one after the other in the last axis."""
    for number, (chunk, leave) in enumerate(zip_longest(chunks, exits)):
        if chunk is None or leave is None:
            fewer = "chunks" if chunk is None else "exits"
            raise BacktestError(
                f"{fewer}: end after {number}, sooner than the others",
                "Give as many arrays of exit flags as chunks",
            )
        enter = chunk[1]
        if np.shape(leave) != np.shape(enter) or leave.dtype != enter.dtype:
            raise BacktestError(
                f"exits[{number}]: must have the dtype and shape of the chunk's entries, "
                f"{enter.dtype} {np.shape(enter)}, got {leave.dtype} {np.shape(leave)}"
            )
        yield Chunk(chunk[0], np.stack([enter, leave], axis=-1), *chunk[2:])


class _Place(NamedTuple):
    """Where a chunk stands: its number, its first bar in the history, and the bars repeated."""

    number: int
    first: int
    repeated: int

    @contextmanager
    def named(self) -> Iterator[None]:
        """Say of an error in which chunk it is, and what its bars are in the history."""
        try:
            yield
        except BacktestError as error:
            if self.number == 0:
                raise
            raise BacktestError(
                f"chunks[{self.number}], whose bar 0 here is bar {self.first} of the history: "
                f"{error.problem}",
                error.remedy,
            ) from None


def _overlapping(chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, _Place]]:
    """Chunks that begin with the last bar of the one before, and their places."""
    last: Chunk | None = None
    first = 0
    for number, given in enumerate(chunks):
        chunk = Chunk(*given)
        if last is None:
            yield chunk, _Place(number, 0, 0)
        else:
            _check_follows(last, chunk)
            yield _join(last, chunk), _Place(number, first - 1, 1)
        first += chunk.panel.bars
        # Copies: a view would keep the whole chunk in memory.
        last = Chunk(
            replace(
                chunk.panel, **{name: getattr(chunk.panel, name)[-1:].copy() for name in BAR_ARRAYS}
            ),
            chunk.decisions[-1:].copy(),
            *(None if each is None else each[-1:].copy() for each in chunk[2:]),
        )


def _check_follows(last: Chunk, chunk: Chunk) -> None:
    if chunk.panel.symbols != last.panel.symbols:
        raise BacktestError("chunks: every chunk must hold the same instruments in the same order")
    if chunk.panel.bars == 0 or chunk.panel.timestamps[0] <= last.panel.timestamps[-1]:
        raise BacktestError(
            f"chunks: bars must follow those of the chunk before, which ends at "
            f"{last.panel.timestamps[-1]}"
        )
    same_columns = chunk.decisions.shape[1:] == last.decisions.shape[1:]
    if not same_columns or chunk.decisions.dtype != last.decisions.dtype:
        raise BacktestError(
            f"chunks: decisions must keep their columns and dtype, {last.decisions.shape[1:]} "
            f"{last.decisions.dtype}; got {chunk.decisions.shape[1:]} {chunk.decisions.dtype}"
        )
    for name in ("half_spread", "volatility"):
        if (getattr(chunk, name) is None) != (getattr(last, name) is None):
            raise BacktestError(f"chunks: {name} must be given with every chunk or with none")


def _join(last: Chunk, chunk: Chunk) -> Chunk:
    bars: dict[str, Any] = {
        name: np.concatenate([getattr(last.panel, name), getattr(chunk.panel, name)])
        for name in BAR_ARRAYS
    }
    columns = (
        None if before is None or after is None else np.concatenate([before, after])
        for before, after in zip(last[2:], chunk[2:], strict=True)
    )
    return Chunk(
        replace(chunk.panel, **bars),
        np.concatenate([last.decisions, chunk.decisions]),
        *columns,
    )


def _without_repeated(result: BacktestResult, repeated: int) -> BacktestResult:
    cash = None if result.cash is None else result.cash[repeated:]
    return replace(result, equity=result.equity[repeated:], cash=cash)
