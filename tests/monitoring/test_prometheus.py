"""What Prometheus scrapes, read with its own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from windtunnel.events import (
    AlertRaised,
    AlertResolved,
    EventBus,
    PredictionRefused,
    PredictionServed,
    StageStarted,
)
from windtunnel.monitoring.burn_rate import Objective
from windtunnel.monitoring.prometheus import PrometheusObserver
from windtunnel.monitoring.queued import QueuedObserver

Labels = tuple[tuple[str, str], ...]


def scraped(observer: PrometheusObserver) -> dict[tuple[str, Labels], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(observer.exposition().decode())
        for sample in family.samples
    }


def served(version: str, **more: str) -> Labels:
    return tuple(sorted({"model": "m", "version": version, **more}.items()))


def test_observer_counts_and_times_by_model_and_version() -> None:
    observer = PrometheusObserver()
    bus = EventBus([observer])
    for seconds in (0.0002, 0.0002, 0.3):
        bus.emit(PredictionServed("m", 2, 5, seconds))
    bus.emit(PredictionServed("m", 3, 1, 0.0))
    bus.emit(PredictionRefused("m", "json"))
    bus.emit(StageStarted("tune"))
    found = scraped(observer)
    assert found["windtunnel_predictions_total", served("2")] == 3
    assert found["windtunnel_predictions_total", served("3")] == 1
    assert found["windtunnel_prediction_rows_total", served("2")] == 15
    assert found["windtunnel_refusals_total", (("model", "m"), ("reason", "json"))] == 1
    bucket = "windtunnel_prediction_seconds_bucket"
    assert found[bucket, served("2", le="0.0001")] == 0
    assert found[bucket, served("2", le="0.00025")] == 2
    assert found[bucket, served("2", le="1.0")] == 3
    assert found[bucket, served("2", le="+Inf")] == 3
    assert found["windtunnel_prediction_seconds_count", served("2")] == 3
    assert abs(found["windtunnel_prediction_seconds_sum", served("2")] - 0.3004) < 1e-12
    median = found["windtunnel_prediction_seconds_quantile", served("2", quantile="0.5")]
    assert abs(median / 0.0002 - 1) < 0.01


def test_two_observers_do_not_share_counts() -> None:
    first, second = PrometheusObserver(), PrometheusObserver()
    first(PredictionRefused("m", "json"))
    assert b'reason="json"' in first.exposition()
    assert b'reason="json"' not in second.exposition()


def test_alerts_are_counted_and_open_until_they_are_resolved() -> None:
    observer = PrometheusObserver()
    raised = AlertRaised("drift", "warning", "m", "x", "2020-01-01T00:00:00Z", 1.0, 0.5, "look")
    observer(raised)
    labels = (("rule", "drift"), ("severity", "warning"))
    assert scraped(observer)["windtunnel_alerts_open", labels] == 1
    observer(AlertResolved("drift", "warning", "m", "x", raised.since, "2020-01-02T00:00:00Z"))
    found = scraped(observer)
    assert ("windtunnel_alerts_open", labels) not in found
    assert found["windtunnel_alerts_total", labels] == 1


def test_drops_of_a_queue_and_burn_rates_are_seen() -> None:
    observer = PrometheusObserver([Objective("fast", 0.99, 0.05)])
    queued = QueuedObserver(lambda _: None, name="desk")
    observer.watch(queued)
    queued(StageStarted("tune"))
    queued.close()
    queued(StageStarted("tune"))
    for _ in range(100):
        observer(PredictionServed("m", 1, 1, 1.0))
    found = scraped(observer)
    outcome = "windtunnel_observer_events_total"
    assert found[outcome, (("observer", "desk"), ("outcome", "delivered"))] == 1
    assert found[outcome, (("observer", "desk"), ("outcome", "dropped"))] == 1
    assert found["windtunnel_observer_waiting", (("observer", "desk"),)] == 0
    hour = (("objective", "fast"), ("window_seconds", "3600"))
    assert abs(found["windtunnel_objective_burn_rate", hour] - 100) < 1e-6
