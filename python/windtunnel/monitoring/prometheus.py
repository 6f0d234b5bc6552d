"""Prometheus metrics of the prediction service, as an observer of its events."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from windtunnel.events import (
    AlertRaised,
    AlertResolved,
    Event,
    EventBus,
    OutcomesCounted,
    PredictionFailed,
    PredictionRefused,
    PredictionServed,
    ShadowAnswered,
)
from windtunnel.monitoring.burn_rate import Objective
from windtunnel.monitoring.latency import BUCKETS, LatencyObserver
from windtunnel.monitoring.queued import QueueCounts, QueuedObserver

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SERVED = ("model", "version")
Labels = TypeVar("Labels", bound=tuple[str, ...])
_QUANTILES = ("0.5", "0.95", "0.99")


class Queue(Protocol):
    """Whatever holds events back and counts what becomes of them."""

    name: str

    @property
    def counts(self) -> QueueCounts:
        """Counts so far."""


class PrometheusObserver:
    """Counts and times predictions; subscribe it to an `EventBus`.

    Counts are plain numbers, made into metrics when they are scraped: a prediction pays for
    one histogram step and no label look-up.

    Parameters
    ----------
    objectives : sequence of Objective
        Their burn rates are exported too.
    bus : EventBus, optional
        The counts of its observers behind a queue are exported.
    """

    prompt = True
    kinds = (
        PredictionServed,
        PredictionRefused,
        PredictionFailed,
        ShadowAnswered,
        OutcomesCounted,
        AlertRaised,
        AlertResolved,
    )

    def __init__(
        self, objectives: Sequence[Objective] = (), *, bus: EventBus | None = None
    ) -> None:
        self._bus = bus
        self.latency = LatencyObserver(objectives)
        self._refusals: Tally[tuple[str, str]] = Tally()
        self._failures: Tally[tuple[str, str]] = Tally()
        self._comparisons: dict[tuple[str, str, str, str], float] = {}
        self._outcomes: Tally[tuple[str, str]] = Tally()
        self._alerts: Tally[tuple[str, str]] = Tally()
        self._open: set[tuple[str, str, str]] = set()
        self._queues: list[Queue] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def __call__(self, event: Event) -> None:
        """Take note of one event; those of other kinds are none of its business."""
        if isinstance(event, PredictionServed):
            self.latency(event)
        elif isinstance(event, PredictionRefused):
            self._refusals[event.model, event.reason] += 1
        elif isinstance(event, PredictionFailed):
            self._failures[event.model, str(event.version)] += 1
        elif isinstance(event, ShadowAnswered):
            self._compare(event)
        elif isinstance(event, OutcomesCounted):
            for what in ("accepted", "duplicate", "late", "unknown"):
                self._outcomes[event.model, what] += getattr(event, what)
        elif isinstance(event, AlertRaised):
            self._alerts[event.rule, event.severity] += 1
            self._open.add((event.rule, event.severity, event.subject))
        elif isinstance(event, AlertResolved):
            self._open.discard((event.rule, event.severity, event.subject))

    def _compare(self, event: ShadowAnswered) -> None:
        """A request counts as one, whatever its number of rows: they are not independent."""
        if event.failed:
            shares = {"failed": 1.0}
        elif event.rows:
            shares = {"same": 1.0 - event.differing, "different": event.differing}
        else:
            shares = {"same": 1.0}
        for outcome, share in shares.items():
            key = (event.model, str(event.champion), str(event.canary), outcome)
            self._comparisons[key] = self._comparisons.get(key, 0.0) + share

    def watch(self, queued: Queue) -> None:
        """Export the counts of a queue: a drop that nobody sees is a silent loss."""
        self._queues.append(queued)

    def exposition(self) -> bytes:
        """The metrics in the text format that Prometheus scrapes."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """All metrics as they stand now; `prometheus_client` calls it."""
        yield from self._predictions()
        yield _counter(
            "windtunnel_refusals",
            "Requests refused, by kind of reason",
            ("model", "reason"),
            self._refusals,
        )
        yield _counter(
            "windtunnel_prediction_failures",
            "Requests on which a version failed, through no fault of the client",
            _SERVED,
            self._failures,
        )
        yield _counter(
            "windtunnel_comparisons",
            "Requests of a shadow, by outcome; one whose decisions differ in part is shared out",
            ("model", "champion", "canary", "outcome"),
            self._comparisons,
        )
        yield _counter(
            "windtunnel_outcomes",
            "Outcomes posted, by what became of them",
            ("model", "outcome"),
            self._outcomes,
        )
        yield _counter("windtunnel_alerts", "Alerts raised", ("rule", "severity"), self._alerts)
        standing = GaugeMetricFamily(
            "windtunnel_alerts_open", "Alerts not resolved yet", labels=("rule", "severity")
        )
        for labels, number in Tally((rule, grade) for rule, grade, _ in self._open).items():
            standing.add_metric(labels, number)
        yield standing
        yield from self._burns()
        yield from self._observers()

    def _predictions(self) -> Iterator[Metric]:
        count = CounterMetricFamily(
            "windtunnel_predictions", "Predictions answered", labels=_SERVED
        )
        rows = CounterMetricFamily("windtunnel_prediction_rows", "Rows scored", labels=_SERVED)
        seconds = HistogramMetricFamily(
            "windtunnel_prediction_seconds", "Seconds inside the handler", labels=_SERVED
        )
        quantiles = GaugeMetricFamily(
            "windtunnel_prediction_seconds_quantile",
            "Seconds inside the handler since the start, within one per cent",
            labels=(*_SERVED, "quantile"),
        )
        for model, version, buckets, total, number in self.latency.histograms():
            labels = (model, str(version))
            count.add_metric(labels, sum(buckets))
            rows.add_metric(labels, number)
            seconds.add_metric(labels, _cumulative(buckets), total)
        for summary in self.latency.summaries():
            labels = (summary.model, str(summary.version))
            values = (summary.p50, summary.p95, summary.p99)
            for share, value in zip(_QUANTILES, values, strict=True):
                quantiles.add_metric((*labels, share), value)
        yield from (count, rows, seconds, quantiles)

    def _burns(self) -> Iterator[Metric]:
        rate = GaugeMetricFamily(
            "windtunnel_objective_burn_rate",
            "Speed at which the allowance of an objective is used up; 1 lasts its period",
            labels=("objective", "window_seconds"),
        )
        for objective, burns in self.latency.burns():
            for burn in burns:
                for window, value in (
                    (burn.window.long, burn.long),
                    (burn.window.short, burn.short),
                ):
                    rate.add_metric((objective.name, f"{window:g}"), value)
        yield rate

    def _observers(self) -> Iterator[Metric]:
        events = CounterMetricFamily(
            "windtunnel_observer_events",
            "Events of observers behind a queue, by what became of them",
            labels=("observer", "outcome"),
        )
        waiting = GaugeMetricFamily(
            "windtunnel_observer_waiting", "Events in the queue", labels=("observer",)
        )
        heard = [] if self._bus is None else self._bus.observers()
        found = [each for each in heard if isinstance(each, QueuedObserver)]
        for queued in {queue.name: queue for queue in (*self._queues, *found)}.values():
            counts = queued.counts
            for outcome in ("delivered", "failed", "dropped"):
                events.add_metric((queued.name, outcome), getattr(counts, outcome))
            waiting.add_metric((queued.name,), counts.waiting)
        yield from (events, waiting)


def _counter(
    name: str, meaning: str, labels: tuple[str, ...], counts: Mapping[Labels, float]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, meaning, labels=labels)
    for values, number in list(counts.items()):  # a copy: the event loop may add meanwhile
        family.add_metric(values, number)
    return family


def _cumulative(buckets: Sequence[int]) -> list[tuple[str, float]]:
    seen, result = 0, []
    for bound, number in zip((*BUCKETS, float("inf")), buckets, strict=True):
        seen += number
        result.append(("+Inf" if bound == float("inf") else str(float(bound)), float(seen)))
    return result
