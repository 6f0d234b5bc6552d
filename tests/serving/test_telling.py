"""Observers are told of every answer once, in order, and hang or fail without harm to answers."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from windtunnel.events import EventBus, PredictionServed, RowsScored
from windtunnel.monitoring.prometheus import PrometheusObserver
from windtunnel.monitoring.queued import QueuedObserver
from windtunnel.serving.predictor import Scored
from windtunnel.serving.telling import Teller

PREDICTOR = SimpleNamespace(name="m", version=3)


class Prompt(list):
    """An observer that promises to be prompt, and keeps what it is told and by which thread."""

    prompt = True

    def __call__(self, event):
        self.append((event, threading.get_ident()))

    @property
    def events(self):
        return [event for event, _ in self]


def scored(rows: int = 1) -> Scored:
    return Scored(np.zeros((rows, 2), np.float32), np.zeros(rows, np.float32))


def note_all(teller, number):
    for k in range(number):
        teller.note(PREDICTOR, scored(k + 1), k / 1000)


def check_told(events, number):
    assert [type(event) for event in events] == [PredictionServed, RowsScored] * number
    assert events[::2] == [PredictionServed("m", 3, k + 1, k / 1000) for k in range(number)]
    assert [len(event.features) for event in events[1::2]] == [*range(1, number + 1)]


def test_the_loop_tells_prompt_observers_in_its_next_turn():
    bus, prompt = EventBus(), Prompt()
    bus.subscribe(prompt)
    teller = Teller(bus)

    async def answer():
        note_all(teller, 50)
        assert not prompt, "an answer under way waits for nobody"
        await asyncio.sleep(0)
        return len(prompt)

    assert asyncio.run(answer()) == 100
    check_told(prompt.events, 50)
    assert {thread for _, thread in prompt} == {threading.get_ident()}
    assert teller.counts.delivered == 0, "nobody needed the queue"


def test_no_thread_is_there_where_all_are_prompt():
    before = threading.active_count()
    bus = EventBus([Prompt()])
    teller = Teller(bus)
    note_all(teller, 10)
    assert threading.active_count() == before
    teller.close()


def test_observers_that_may_be_slow_are_told_in_order_by_a_thread():
    told = []
    teller = Teller(EventBus([lambda event: told.append((event, threading.get_ident()))]))

    async def answer():
        note_all(teller, 100)

    asyncio.run(answer())
    teller.close()
    check_told([event for event, _ in told], 100)
    assert threading.get_ident() not in {thread for _, thread in told}
    assert teller.counts.delivered == 200


def test_what_is_queued_already_takes_no_second_queue():
    told = []
    queued = QueuedObserver(told.append)
    teller = Teller(EventBus([queued]))
    note_all(teller, 5)
    teller.close()
    assert queued.close()
    check_told(told, 5)
    assert teller.counts.delivered == 0


def test_without_a_loop_and_after_the_end_of_one_nothing_is_left_untold():
    prompt = Prompt()
    teller = Teller(EventBus([prompt]))
    teller.note(PREDICTOR, scored(), 0.1)
    assert len(prompt) == 2
    loop = asyncio.new_event_loop()
    asyncio.events._set_running_loop(loop)
    teller.note(PREDICTOR, scored(), 0.1)  # its loop takes no turn any more
    asyncio.events._set_running_loop(None)
    loop.close()
    assert len(prompt) == 2

    async def answer():
        teller.note(PREDICTOR, scored(), 0.1)

    asyncio.run(answer())
    assert len(prompt) == 6


def test_figures_are_whole_after_a_flush():
    prompt, told = Prompt(), []
    bus = EventBus()
    bus.subscribe(prompt, PredictionServed)
    bus.subscribe(told.append, PredictionServed)
    teller = Teller(bus)

    async def answer():
        teller.note(PREDICTOR, scored(), 0.1)
        teller.flush()
        assert len(prompt) == 1
        assert teller.flush(60)
        assert len(told) == 1

    asyncio.run(answer())
    assert len(prompt) == 1, "once"
    teller.close()


def test_many_threads_lose_nothing():
    prompt, told = Prompt(), []
    bus = EventBus()
    bus.subscribe(prompt, PredictionServed)
    bus.subscribe(told.append, PredictionServed)
    teller = Teller(bus)

    def work():
        for _ in range(500):
            teller.note(PREDICTOR, scored(), 0.1)
            teller.flush()

    async def work_on_a_loop():
        for _ in range(500):
            teller.note(PREDICTOR, scored(), 0.1)
            await asyncio.sleep(0)

    threads = [threading.Thread(target=work) for _ in range(2)]
    threads += [threading.Thread(target=lambda: asyncio.run(work_on_a_loop())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    teller.close()
    assert len(prompt) == len(told) == 2000


def test_an_observer_that_hangs_holds_up_no_answer_and_drops_are_counted():
    bus, prompt, release, hangs = EventBus(), Prompt(), threading.Event(), threading.Event()

    def hang(_):
        hangs.set()
        release.wait(60)

    bus.subscribe(hang, PredictionServed)
    bus.subscribe(prompt, PredictionServed)
    teller = Teller(bus, capacity=5)
    metrics = PrometheusObserver(bus=bus)
    metrics.watch(teller)
    teller.note(PREDICTOR, scored(), 0.1)
    assert hangs.wait(60)
    for _ in range(8):
        teller.note(PREDICTOR, scored(), 0.1)
    assert not teller.flush(0.01)
    assert len(prompt) == 9, "the others are told all the same"
    assert (teller.counts.waiting, teller.counts.dropped) == (6, 3)
    text = metrics.exposition().decode()
    assert 'windtunnel_observer_events_total{observer="answers",outcome="dropped"} 3.0' in text
    release.set()
    teller.close()
    assert teller.counts.delivered == 6


@pytest.mark.parametrize("prompt", [True, False])
def test_a_failing_observer_costs_the_others_nothing(caplog: pytest.LogCaptureFixture, prompt):
    bus, told = EventBus(), []

    class Failing:
        def __call__(self, _):
            raise RuntimeError("the sink is down")

    failing = Failing()
    failing.prompt = prompt
    bus.subscribe(failing, PredictionServed)
    bus.subscribe(told.append, PredictionServed)
    teller = Teller(bus)
    for _ in range(3):
        teller.note(PREDICTOR, scored(), 0.1)
    teller.close()
    assert len(told) == 3
    assert bus.failures(failing) == 3
    assert sum("failed on" in record.message for record in caplog.records) == 1
