"""Timings by model and version, exact where they are counts and near where they are quantiles."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from windtunnel.events import EventBus, PredictionServed
from windtunnel.monitoring.burn_rate import Objective
from windtunnel.monitoring.latency import BUCKETS, LatencyObserver


def test_summaries_by_model_and_version() -> None:
    observer = LatencyObserver()
    seconds = np.random.default_rng(2).lognormal(-7, 1, 3000)
    for value in seconds:
        observer(PredictionServed("m", 2, 3, float(value)))
    observer(PredictionServed("m", 1, 1, 0.5))
    first, second = observer.summaries()
    assert (first.version, first.predictions, first.p50) == (1, 1, pytest.approx(0.5, rel=0.01))
    assert (second.predictions, second.rows) == (3000, 9000)
    assert second.mean == pytest.approx(seconds.mean())
    for share, found in ((0.5, second.p50), (0.95, second.p95), (0.99, second.p99)):
        # rank floor(q (n - 1)) is numpy's method "lower"
        assert found == pytest.approx(np.quantile(seconds, share, method="lower"), rel=0.0101)


def test_buckets_are_closed_above() -> None:
    observer = LatencyObserver()
    for bound in BUCKETS:
        observer(PredictionServed("m", 1, 1, bound))
    observer(PredictionServed("m", 1, 1, 100.0))
    ((_, _, counts, total, rows),) = observer.histograms()
    assert counts == [1] * (len(BUCKETS) + 1)
    assert total == pytest.approx(sum(BUCKETS) + 100.0)
    assert rows == len(BUCKETS) + 1


def test_objectives_are_metered() -> None:
    now = [0.0]
    observer = LatencyObserver([Objective("fast", 0.9, 0.1)], clock=lambda: now[0])
    bus = EventBus()
    bus.subscribe(observer, *LatencyObserver.kinds)
    for k in range(200):
        now[0] = k * 0.1
        bus.emit(PredictionServed("m", k % 2, 1, 1.0 if k % 2 else 0.0))
    ((objective, burns),) = observer.burns()
    assert objective.name == "fast"
    assert burns[0].long == pytest.approx(5.0)


def test_threads_lose_nothing() -> None:
    observer = LatencyObserver()

    def work() -> None:
        for _ in range(2000):
            observer(PredictionServed("m", 1, 1, 0.001))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (summary,) = observer.summaries()
    assert summary.predictions == 8000
