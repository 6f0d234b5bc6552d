from __future__ import annotations

from windtunnel.events import EventBus, PredictionRefused, PredictionServed, StageStarted
from windtunnel.monitoring.prometheus import PrometheusObserver


def test_observer_counts_and_times_by_model_and_version():
    observer = PrometheusObserver()
    bus = EventBus()
    bus.subscribe(observer)
    for seconds in (0.0002, 0.0002, 0.3):
        bus.emit(PredictionServed("m", 2, 5, seconds))
    bus.emit(PredictionServed("m", 3, 1, 0.0))
    bus.emit(PredictionRefused("m", "json"))
    bus.emit(StageStarted("tune"))
    lines = observer.exposition().decode().splitlines()
    assert 'windtunnel_predictions_total{model="m",version="2"} 3.0' in lines
    assert 'windtunnel_predictions_total{model="m",version="3"} 1.0' in lines
    assert 'windtunnel_prediction_rows_total{model="m",version="2"} 15.0' in lines
    assert 'windtunnel_refusals_total{model="m",reason="json"} 1.0' in lines
    bucket = 'windtunnel_prediction_seconds_bucket{le="%s",model="m",version="2"} %s'
    assert bucket % ("0.0001", "0.0") in lines
    assert bucket % ("0.00025", "2.0") in lines
    assert bucket % ("1.0", "3.0") in lines


def test_two_observers_do_not_share_counts():
    first, second = PrometheusObserver(), PrometheusObserver()
    first(PredictionRefused("m", "json"))
    assert b'reason="json"' in first.exposition()
    assert b'reason="json"' not in second.exposition()
