"""How long predictions take, by model and version: quantiles, histogram, objectives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from windtunnel.events import PredictionServed
from windtunnel.monitoring.burn_rate import Burn, BurnMeter, Objective
from windtunnel.monitoring.sketch import QuantileSketch

# Seconds. A feature row takes well under a millisecond, years of bars some tens of them.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


_BATCH = 512


@dataclass(slots=True)
class _Timings:
    """What is kept of the predictions of one version; of constant size."""

    rows: int = 0
    sketch: QuantileSketch = field(default_factory=QuantileSketch)
    buckets: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(len(BUCKETS) + 1, np.int64)
    )


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

    One observation is an append; every 512 of them are folded into the sketches together,
    and whatever waits is folded before anything is read. Safe to use from several threads.

    Parameters
    ----------
    objectives : sequence of Objective
        Promises to keep an eye on, over all versions together: users do not care which
        version was slow.
    clock : callable
        Seconds that never go back.
    """

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
        self._waiting: list[tuple[PredictionServed, float]] = []

    def __call__(self, event: PredictionServed) -> None:
        """Take note of one prediction."""
        self._waiting.append((event, self._clock()))
        if len(self._waiting) >= _BATCH:
            with self._lock:
                self._fold()

    def summaries(self) -> list[LatencySummary]:
        """One summary a model and version, sorted by them."""
        with self._lock:
            self._fold()
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
            self._fold()
            return [
                (model, version, kept.buckets.tolist(), kept.sketch.total, kept.rows)
                for (model, version), kept in sorted(self._timings.items())
            ]

    def burns(self) -> list[tuple[Objective, tuple[Burn, ...]]]:
        """How fast the allowance of each objective is being used up now."""
        now = self._clock()
        with self._lock:
            self._fold()
            return [(meter.objective, meter.burns(now)) for meter in self._meters]

    def _fold(self) -> None:
        """Count what waits; the lock is held. Events that arrive meanwhile stay for the next."""
        number = len(self._waiting)
        if not number:
            return
        batch = self._waiting[:number]
        del self._waiting[:number]
        seconds = np.array([event.seconds for event, _ in batch])
        ended = np.array([now for _, now in batch])
        order = np.argsort(ended, kind="stable")  # threads may have appended out of order
        for meter in self._meters:
            meter.add_many(seconds[order], ended[order])
        by_version: dict[tuple[str, int], list[int]] = {}
        for index, (event, _) in enumerate(batch):
            by_version.setdefault((event.model, event.version), []).append(index)
        for key, indices in by_version.items():
            kept = self._timings.setdefault(key, _Timings())
            own = seconds[indices]
            kept.rows += sum(batch[index][0].rows for index in indices)
            kept.sketch.add_many(own)
            # Prometheus buckets are closed above: a value on the edge belongs to it.
            at = np.searchsorted(BUCKETS, own, side="left")
            kept.buckets += np.bincount(at, minlength=len(BUCKETS) + 1)
