"""What part of the world was looked at: some instruments over a closed range of time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from windtunnel.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

Moment: TypeAlias = datetime | np.datetime64 | str


@dataclass(frozen=True, slots=True)
class Span:
    """Instruments over a closed range of time; make it with `Span.of`.

    Attributes
    ----------
    symbols : tuple of str
        Sorted, unique, at least one.
    start, end : str
        First and last bar, ISO 8601 in UTC to the microsecond; texts sort as times do.
    """

    symbols: tuple[str, ...]
    start: str
    end: str

    @classmethod
    def of(cls, symbols: Iterable[str], start: Moment, end: Moment) -> Span:
        """Make a span.

        Parameters
        ----------
        symbols : iterable of str
        start, end : datetime, datetime64 or ISO 8601 str
            First and last bar, both included. A datetime needs a time zone; datetime64, as in
            a panel, and text without a zone are UTC.

        Raises
        ------
        DataError
            There is no symbol, a moment cannot be read or has no zone, or the end comes first.
        """
        names = (symbols,) if isinstance(symbols, str) else tuple(sorted(set(symbols)))
        if not names or not all(names):
            raise DataError(f"symbols: got {list(names)!r}", "Name at least one instrument")
        first, last = utc_text(start), utc_text(end)
        if last < first:
            raise DataError(f"end: {last} lies before start {first}", "Give the earlier one first")
        return cls(names, first, last)

    def bars_a_year(self, bars: int) -> float:
        """How many bars came in a year of the calendar, when this many lie in the span; or NaN."""
        passed = datetime.fromisoformat(self.end) - datetime.fromisoformat(self.start)
        years = passed.total_seconds() / (365.25 * 86_400)
        return (bars - 1) / years if years > 0 and bars > 1 else math.nan

    def overlaps(self, other: Span) -> bool:
        """Whether the two have an instrument and a moment in common."""
        return (
            not set(self.symbols).isdisjoint(other.symbols)
            and self.start <= other.end
            and other.start <= self.end
        )


def utc_text(moment: Moment) -> str:
    """Write a moment as ISO 8601 in UTC to the microsecond: 2013-03-27T00:00:00.000000Z.

    Raises
    ------
    DataError
        The moment cannot be read, is not a time, or is a datetime without a time zone.
    """
    if isinstance(moment, np.datetime64):
        read = moment.astype("datetime64[us]").item()
        if not isinstance(read, datetime):  # NaT, or a year that datetime cannot hold
            raise DataError(f"time {moment!r} is not a moment", "Give an ordinary date")
        when = read.replace(tzinfo=UTC)
    elif isinstance(moment, str):
        try:
            when = datetime.fromisoformat(moment)
        except ValueError:
            raise DataError(
                f"time {moment!r} is not ISO 8601", "Write it as 2013-03-27T00:00:00Z"
            ) from None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
    else:
        when = moment
        if when.tzinfo is None:
            raise DataError(
                f"time {moment!r} has no time zone", "Add one, for example tzinfo=datetime.UTC"
            )
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
