"""Prometheus metrics of the prediction service, as an observer of its events."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from windtunnel.events import Event, PredictionRefused, PredictionServed

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Seconds. A feature row takes well under a millisecond, years of bars some tens of them.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class PrometheusObserver:
    """Counts and times predictions; subscribe it to an `EventBus`.

    The child of each label set is looked up once and kept: the lookup in the client
    library costs more than the count itself.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        served = ("model", "version")
        self._predictions = Counter(
            "windtunnel_predictions", "Predictions answered", served, registry=self._registry
        )
        self._rows = Counter(
            "windtunnel_prediction_rows", "Rows scored", served, registry=self._registry
        )
        self._seconds = Histogram(
            "windtunnel_prediction_seconds",
            "Seconds inside the handler",
            served,
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._refusals = Counter(
            "windtunnel_refusals",
            "Requests refused, by kind of reason",
            ("model", "reason"),
            registry=self._registry,
        )
        self._on_served: dict[tuple[str, int], Callable[[int, float], None]] = {}
        self._on_refused: dict[tuple[str, str], Callable[[], None]] = {}

    def __call__(self, event: Event) -> None:
        """Take note of one event; those of other kinds are none of its business."""
        if isinstance(event, PredictionServed):
            key = (event.model, event.version)
            count = self._on_served.get(key)
            if count is None:
                count = self._on_served[key] = self._served_child(*key)
            count(event.rows, event.seconds)
        elif isinstance(event, PredictionRefused):
            refused = (event.model, event.reason)
            increase = self._on_refused.get(refused)
            if increase is None:
                increase = self._on_refused[refused] = self._refusals.labels(*refused).inc
            increase()

    def exposition(self) -> bytes:
        """The metrics in the text format that Prometheus scrapes."""
        return generate_latest(self._registry)

    def _served_child(self, model: str, version: int) -> Callable[[int, float], None]:
        labels = (model, str(version))
        one = self._predictions.labels(*labels).inc
        rows = self._rows.labels(*labels).inc
        observe = self._seconds.labels(*labels).observe

        def count(number: int, seconds: float) -> None:
            one()
            rows(number)
            observe(seconds)

        return count
