"""How long predictions take, by model and version: quantiles, histogram, objectives."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from windtunnel.events import PredictionServed
from windtunnel.monitoring.burn_rate import Burn, BurnMeter, Objective
from windtunnel.monitoring.sketch import QuantileSketch

# Seconds. A feature row takes well under a millisecond, years of bars some tens of them.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


@dataclass(slots=True)
class _Timings:
    """What is kept of the predictions of one version; of constant size."""

    rows: int = 0
    sketch: QuantileSketch = field(default_factory=QuantileSketch)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))


@dataclass(frozen=True)
class LatencySummary:
    """Seconds by quantile, within one per cent, of one version."""

    model: str
    version: int
    predictions: int
    rows: int
    mean: float
    p50: float
    p95: float
    p99: float


class LatencyObserver:
    """Times predictions; subscribe it to an `EventBus` for `PredictionServed`.

    Each is counted as it comes, for about a microsecond. To fold hundreds of them together
    costs no less in all, and holds up for some hundred microseconds whoever is answered then.
    Safe to use from several threads.

    Parameters
    ----------
    objectives : sequence of Objective
        Promises to keep an eye on, over all versions together: users do not care which
        version was slow.
    clock : callable
        Seconds that never go back.
    """

    prompt = True
    kinds = (PredictionServed,)

    def __init__(
        self,
        objectives: Sequence[Objective] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._timings: dict[tuple[str, int], _Timings] = {}
        self._meters = tuple(BurnMeter(objective) for objective in objectives)

    def __call__(self, event: PredictionServed) -> None:
        """Take note of one prediction."""
        seconds, version = event.seconds, (event.model, event.version)
        with self._lock:
            kept = self._timings.get(version)
            if kept is None:
                kept = self._timings[version] = _Timings()
            kept.rows += event.rows
            kept.sketch.add(seconds)
            # Prometheus buckets are closed above: a value on the edge belongs to it.
            kept.buckets[bisect_left(BUCKETS, seconds)] += 1
            if self._meters:
                now = self._clock()  # within the lock, so that time does not go back
                for meter in self._meters:
                    meter.add(seconds, now)

    def summaries(self) -> list[LatencySummary]:
        """One summary a model and version, sorted by them."""
        with self._lock:
            return [
                LatencySummary(
                    model,
                    version,
                    kept.sketch.count,
                    kept.rows,
                    kept.sketch.total / kept.sketch.count,
                    *(kept.sketch.quantile(share) for share in (0.5, 0.95, 0.99)),
                )
                for (model, version), kept in sorted(self._timings.items())
            ]

    def histograms(self) -> list[tuple[str, int, list[int], float, int]]:
        """Model, version, counts a bucket (the last one above all bounds), seconds, rows."""
        with self._lock:
            return [
                (model, version, list(kept.buckets), kept.sketch.total, kept.rows)
                for (model, version), kept in sorted(self._timings.items())
            ]

    def burns(self) -> list[tuple[Objective, tuple[Burn, ...]]]:
        """How fast the allowance of each objective is being used up now."""
        now = self._clock()
        with self._lock:
            return [(meter.objective, meter.burns(now)) for meter in self._meters]
