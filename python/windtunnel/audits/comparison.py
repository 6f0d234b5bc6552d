"""Bit-for-bit comparison of what a pipeline made of two histories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from windtunnel.data.panel import Panel

Place = Callable[[tuple[int, ...]], str]


@dataclass(frozen=True)
class Difference:
    """Values that should be the same and are not: how many, and the first of them."""

    step: str
    place: str
    before: float
    after: float
    count: int


def differing(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where two arrays of one shape and dtype differ in their bits; all NaNs are one."""
    if before.dtype.kind != "f":
        return np.asarray(before != after)
    bits = np.dtype(f"u{before.dtype.itemsize}")
    other = np.ascontiguousarray(before).view(bits) != np.ascontiguousarray(after).view(bits)
    return np.asarray(other & ~(np.isnan(before) & np.isnan(after)))


class Comparison:
    """Collects differences, and counts the values compared at each step of the pipeline."""

    def __init__(self) -> None:
        self.compared: Counter[str] = Counter()
        self.differences: list[Difference] = []

    def same(
        self,
        step: str,
        before: npt.NDArray[Any],
        after: npt.NDArray[Any],
        place: Place,
        *,
        where: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Compare two arrays, only `where` it is True when that is given."""
        if before.shape != after.shape or before.dtype != after.dtype:
            self.differences.append(
                Difference(
                    step,
                    f"{before.dtype} of shape {before.shape} became "
                    f"{after.dtype} of shape {after.shape}",
                    np.nan,
                    np.nan,
                    max(before.size, 1),
                )
            )
            return
        other = differing(before, after)
        if where is not None:
            other &= where
        self.compared[step] += before.size if where is None else int(where.sum())
        count = int(other.sum())
        if count:
            first = tuple(int(i) for i in np.argwhere(other)[0])
            self.differences.append(
                Difference(step, place(first), float(before[first]), float(after[first]), count)
            )


def at_bar(panel: Panel, what: str, *, offset: int = 0) -> Place:
    """Name a place in an array (T, N, ...) whose first row is bar `offset` of the panel."""

    def name(index: tuple[int, ...]) -> str:
        bar = moment(panel.timestamps[offset + index[0]])
        return (
            f"{what} of {panel.symbols[index[1]]} at {bar}"
            if len(index) > 1
            else (f"{what} at {bar}")
        )

    return name


def moment(stamp: np.datetime64) -> str:
    """A timestamp for people: the time of day only where there is one."""
    text = str(stamp.astype("datetime64[s]")).replace("T", " ")
    return text.removesuffix(" 00:00:00")


def aligned(
    values: npt.NDArray[Any], panel: Panel, reference: Panel, *, fill: float | bool
) -> npt.NDArray[Any]:
    """Values (T, N, ...) of a panel laid out on the bars and symbols of a reference.

    What the panel lacks is `fill`; a bar or symbol that the reference lacks is left out.
    """
    out = np.full((reference.bars, reference.instruments, *values.shape[2:]), fill, values.dtype)
    row, column = _positions(panel, reference)
    out[np.ix_(row[0], column[0])] = values[np.ix_(row[1], column[1])]
    return out


def aligned_panel(panel: Panel, reference: Panel) -> Panel:
    """A panel on the bars and symbols of a reference; what it lacks is a missing bar."""
    return replace(
        reference,
        open=aligned(panel.open, panel, reference, fill=np.nan),
        high=aligned(panel.high, panel, reference, fill=np.nan),
        low=aligned(panel.low, panel, reference, fill=np.nan),
        close=aligned(panel.close, panel, reference, fill=np.nan),
        volume=aligned(panel.volume, panel, reference, fill=np.nan),
        tradable=aligned(panel.tradable, panel, reference, fill=False),
    )


def aligned_ends(
    end: npt.NDArray[np.int64], panel: Panel, reference: Panel
) -> npt.NDArray[np.int64]:
    """Label ends, which are bar numbers of `panel`, as bar numbers of the reference."""
    shift = np.searchsorted(reference.timestamps, panel.timestamps)
    moved = np.where(end >= 0, shift[np.clip(end, 0, panel.bars - 1)], -1)
    return np.asarray(aligned(moved.astype(np.int64), panel, reference, fill=-1))


def _positions(panel: Panel, reference: Panel) -> tuple[Any, Any]:
    _, *rows = np.intersect1d(reference.timestamps, panel.timestamps, return_indices=True)
    _, *columns = np.intersect1d(
        np.array(reference.symbols), np.array(panel.symbols), return_indices=True
    )
    return rows, columns
