"""What the service is doing right now, in numbers that a page can show each second."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np

from windtunnel.events import (
    AlertRaised,
    AlertResolved,
    AliasMoved,
    Event,
    PredictionFailed,
    PredictionRefused,
    PredictionServed,
    RetrainDecided,
    RoutesChanged,
    ShadowAnswered,
    VersionRefused,
)

SECONDS = 120  # of history
_RECENT = 4096  # predictions that quantiles are taken over
_EVENTS = 50
_FRESH = 60.0  # seconds; a quantile of older predictions says nothing of now

Entry = dict[str, str]


class Status:
    """Observes events and keeps the little that a page needs; subscribe it for its `kinds`.

    A prediction costs it one append and one addition.

    Parameters
    ----------
    clock : callable
        Seconds that never go back.
    """

    prompt = True
    kinds = (
        PredictionServed,
        PredictionFailed,
        PredictionRefused,
        ShadowAnswered,
        RoutesChanged,
        VersionRefused,
        AliasMoved,
        AlertRaised,
        AlertResolved,
        RetrainDecided,
    )

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin = clock()
        self._recent: deque[tuple[float, int, float]] = deque(maxlen=_RECENT)
        self._counts = [0] * SECONDS
        self._second = int(self._begin)
        self._served: Counter[int] = Counter()
        self._totals: Counter[str] = Counter()
        self._alerts: dict[tuple[str, str], dict[str, str]] = {}
        self._events: deque[Entry] = deque(maxlen=_EVENTS)

    def __call__(self, event: Event) -> None:
        """Take note of one event."""
        if isinstance(event, PredictionServed):
            now = self._clock()
            if int(now) != self._second:
                self._roll(int(now))
            self._counts[self._second % SECONDS] += 1
            self._recent.append((now, event.version, event.seconds))
            self._served[event.version] += 1
        elif isinstance(event, PredictionRefused):
            self._totals["refused"] += 1
        elif isinstance(event, PredictionFailed):
            self._totals["failed"] += 1
        elif isinstance(event, ShadowAnswered):
            self._totals["shadowed"] += 1
        else:
            self._tell(event)

    def snapshot(self) -> dict[str, Any]:
        """The numbers now, as JSON values; quantiles are None without recent predictions."""
        now = self._clock()
        if int(now) != self._second:
            self._roll(int(now))
        # The second under way is not over: it would look like a dip.
        order = [(self._second - SECONDS + i) % SECONDS for i in range(1, SECONDS)]
        rates = [self._counts[i] for i in order]
        recent = [(v, s) for at, v, s in tuple(self._recent) if now - at <= _FRESH]
        seconds = np.array([s for _, s in recent])
        quantiles = np.quantile(seconds, (0.5, 0.95, 0.99)) if len(seconds) else [None] * 3
        shares = Counter(version for version, _ in recent)
        return {
            "uptime_seconds": round(now - self._begin, 1),
            "requests_per_second": round(sum(rates[-10:]) / 10, 1),
            "rates": rates,
            "latency_seconds": {
                name: None if value is None else float(value)
                for name, value in zip(("p50", "p95", "p99"), quantiles, strict=True)
            },
            "shares": {str(v): n / len(recent) for v, n in sorted(shares.items())},
            "served": sum(self._served.values()),
            "refused": self._totals["refused"],
            "failed": self._totals["failed"],
            "shadowed": self._totals["shadowed"],
            "alerts": list(self._alerts.values()),
            "events": list(reversed(self._events)),
        }

    def _roll(self, second: int) -> None:
        """Empty the seconds in which nothing was served."""
        for passed in range(max(self._second + 1, second - SECONDS + 1), second + 1):
            self._counts[passed % SECONDS] = 0
        self._second = second

    def _tell(self, event: Event) -> None:
        kind, text = "", ""
        if isinstance(event, RoutesChanged):
            kind = "serving"
            text = f"version {event.champion} answers"
            if event.canary is not None:
                how = "in shadow" if event.mode == "shadow" else "live"
                text += f", version {event.canary} on trial {how} for {event.weight:.1%}"
        elif isinstance(event, VersionRefused):
            kind, text = "refused", f"version {event.version} is not taken up: {event.why}"
        elif isinstance(event, AliasMoved):
            where = "nothing" if event.version is None else f"version {event.version}"
            kind, text = "registry", f"{event.alias} is now {where}: {event.why}"
        elif isinstance(event, AlertRaised):
            self._alerts[event.rule, event.subject] = {
                "rule": event.rule,
                "severity": event.severity,
                "subject": event.subject,
                "what": event.what,
                "since": event.since,
            }
            kind, text = "alert", f"{event.subject}: {event.what}"
        elif isinstance(event, AlertResolved):
            self._alerts.pop((event.rule, event.subject), None)
            kind, text = "resolved", f"{event.subject}: {event.what}"
        elif isinstance(event, RetrainDecided):
            begins = "begins" if event.begins else "is put off"
            kind, text = "retraining", f"a re-study {begins}: {event.why}"
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._events.append({"at": at, "kind": kind, "text": text})
