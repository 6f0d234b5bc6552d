"""Whether bars arrive at all, and of every instrument."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

from windtunnel.monitoring.alerts.condition import Condition
from windtunnel.monitoring.alerts.duration import in_words

_TOLERATED = 3  # times the longest gap that the bundle's own bars have
_KEPT = 100  # bars of other versions that are remembered until this one's are whole


class BarWatch:
    """Notices that no bars come, or none of one instrument.

    Parameters
    ----------
    model : str
        Whose feed is stale when no bars come, whatever version is fed.
    subject : str
        The version.
    symbols : sequence of str
        Instruments that the model was made for.
    length : timedelta
        From one bar to the next, see `usual_length`.
    stale_after : timedelta
    missing_after : int
        Bars in a row that an instrument may lack.
    """

    def __init__(
        self,
        model: str,
        subject: str,
        symbols: Sequence[str],
        *,
        length: timedelta,
        stale_after: timedelta,
        missing_after: int,
    ) -> None:
        self.model, self.subject = model, subject
        self.last: datetime | None = None
        self._length = length
        self._stale_after, self._missing_after = stale_after, missing_after
        self._lacking = dict.fromkeys(symbols, 0)
        self._elsewhere: dict[datetime, set[str]] = {}

    def early(self, at: datetime, now: datetime) -> Condition:
        """Whether a bar lies ahead of the clock by more than its length.

        It must then be passed over: with it, all that come until its date would be old.
        """
        ahead = at - now
        return Condition(
            signal="future_bars",
            subject=self.subject,
            at=now,
            breached=ahead > self._length,
            value=ahead.total_seconds(),
            threshold=self._length.total_seconds(),
            what=f"a bar of {at:%Y-%m-%d %H:%M} UTC came {in_words(ahead)} before its time and "
            "was passed over",
            advice="Mend the timestamps of whoever asks, a year or a zone for example, or set "
            "this machine's clock",
        )

    def begin(self, at: datetime) -> None:
        """Take note that the first rows of a bar have come."""
        self.last = at

    def elsewhere(self, at: datetime, present: Collection[str]) -> None:
        """Take note of instruments that another version was asked about: the feed has them.

        Beside a live canary a version sees its share of the requests, and so of the
        instruments where each has a request of its own.
        """
        self._elsewhere.setdefault(at, set()).update(present)
        if len(self._elsewhere) > _KEPT:
            del self._elsewhere[next(iter(self._elsewhere))]

    def bar(self, at: datetime, present: Collection[str]) -> None:
        """Take note of a whole bar and of the instruments that had one."""
        self.last = at
        present = {*present, *self._elsewhere.pop(at, ())}
        for symbol in self._lacking:
            self._lacking[symbol] = 0 if symbol in present else self._lacking[symbol] + 1

    def missing(self, at: datetime) -> list[Condition]:
        """One condition an instrument, after a bar."""
        return [
            Condition(
                signal="missing_bars",
                subject=f"{self.subject} {symbol}",
                at=at,
                breached=lacking >= self._missing_after,
                value=float(lacking),
                threshold=float(self._missing_after),
                what=f"{symbol} had no bar on the last {lacking} bars of the others",
                advice="See whether it is halted or delisted, or the feed lost it; the model "
                "keeps its position there and shares leverage among the others",
            )
            for symbol, lacking in self._lacking.items()
        ]

    def stale(self, now: datetime) -> Condition | None:
        """Whether it has been too long since the last bar; None before the first one."""
        if self.last is None:
            return None
        waited = now - self.last
        return Condition(
            signal="stale_bars",
            subject=self.model,
            at=now,
            breached=waited > self._stale_after,
            value=waited.total_seconds(),
            threshold=self._stale_after.total_seconds(),
            what=f"the last bar is of {self.last:%Y-%m-%d %H:%M} UTC, {in_words(waited)} ago; "
            f"one was due within {in_words(self._stale_after)}",
            advice="See whether the market is closed; else mend the feed. Until then no "
            "decision is made on what happens now",
        )


def usual_patience(moments: Sequence[datetime]) -> timedelta:
    """Three times the longest gap between bars, at least a minute."""
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    return max(_TOLERATED * max(gaps, default=timedelta(days=1)), timedelta(minutes=1))


def usual_length(moments: Sequence[datetime]) -> timedelta:
    """The median gap between bars, at least a minute; a day where there is none."""
    gaps = sorted(later - earlier for earlier, later in pairwise(moments))
    return max(gaps[len(gaps) // 2] if gaps else timedelta(days=1), timedelta(minutes=1))


def as_moment(stamp: np.datetime64) -> datetime:
    """A numpy timestamp in UTC as a datetime with its zone."""
    micro = int(stamp.astype("datetime64[us]").astype(np.int64))
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micro)
