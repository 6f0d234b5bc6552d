"""Observers are told of every answer once, in order, and hang or fail without harm to answers."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from windtunnel.events import EventBus, PredictionServed, RowsScored
from windtunnel.monitoring.prometheus import PrometheusObserver
from windtunnel.serving.predictor import Scored
from windtunnel.serving.telling import Teller

PREDICTOR = SimpleNamespace(name="m", version=3)


def scored(rows: int = 1) -> Scored:
    return Scored(np.zeros((rows, 2), np.float32), np.zeros(rows, np.float32))


def wait_for(told, number):
    end = time.monotonic() + 60
    while len(told) < number and time.monotonic() < end:
        time.sleep(0.005)
    return list(told)


def test_every_answer_is_told_once_and_in_order_by_itself():
    bus, told = EventBus(), []
    bus.subscribe(lambda event: told.append((type(event), event)))
    teller = Teller(bus)
    for k in range(100):
        teller.note(PREDICTOR, scored(k + 1), k / 1000)
    found = wait_for(told, 200)
    assert [kind for kind, _ in found] == [PredictionServed, RowsScored] * 100
    served = [event for kind, event in found if kind is PredictionServed]
    assert served == [PredictionServed("m", 3, k + 1, k / 1000) for k in range(100)]
    assert [len(event.features) for kind, event in found if kind is RowsScored] == [*range(1, 101)]
    teller.close()
    assert teller.counts.delivered == 100


def test_figures_are_whole_after_a_flush_and_at_the_end():
    bus, told = EventBus(), []
    bus.subscribe(told.append, PredictionServed)
    teller = Teller(bus)
    teller.note(PREDICTOR, scored(), 0.1)
    assert teller.flush()
    assert len(told) == 1
    teller.note(PREDICTOR, scored(), 0.1)
    teller.close()
    assert len(told) == 2
    assert teller.counts.waiting == 0


def test_many_threads_lose_nothing():
    bus, told = EventBus(), []
    bus.subscribe(told.append, PredictionServed)
    teller = Teller(bus)

    def work():
        for _ in range(500):
            teller.note(PREDICTOR, scored(), 0.1)
            teller.flush()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    teller.close()
    assert len(told) == 2000


def test_an_observer_that_hangs_holds_up_no_answer_and_drops_are_counted():
    bus, release = EventBus(), threading.Event()
    bus.subscribe(lambda _: release.wait(60), PredictionServed)
    teller = Teller(bus, capacity=5)
    metrics = PrometheusObserver(bus=bus)
    metrics.watch(teller)
    teller.note(PREDICTOR, scored(), 0.1)
    end = time.monotonic() + 60
    while teller.counts.waiting and time.monotonic() < end:  # until the thread hangs
        time.sleep(0.005)
    for _ in range(8):
        teller.note(PREDICTOR, scored(), 0.1)
    assert not teller.flush(0.01)
    assert (teller.counts.waiting, teller.counts.dropped) == (5, 3)
    text = metrics.exposition().decode()
    assert 'windtunnel_observer_events_total{observer="answers",outcome="dropped"} 3.0' in text
    release.set()
    teller.close()
    assert teller.counts.delivered == 6


def test_a_failing_observer_costs_the_others_nothing(caplog: pytest.LogCaptureFixture):
    bus, told = EventBus(), []

    def fail(_):
        raise RuntimeError("the sink is down")

    bus.subscribe(fail, PredictionServed)
    bus.subscribe(told.append, PredictionServed)
    teller = Teller(bus)
    for _ in range(3):
        teller.note(PREDICTOR, scored(), 0.1)
    teller.close()
    assert len(told) == 3
    assert sum("failed on" in record.message for record in caplog.records) == 1
