"""A queued observer may be slow, fail or hang: whoever emits never notices."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.events import Event, EventBus, PredictionServed, Warned
from windtunnel.monitoring.queued import QueuedObserver

SERVED = PredictionServed("m", 1, 1, 0.001)


def test_events_arrive_once_and_in_order() -> None:
    seen: list[Event] = []
    events = [Warned(str(k)) for k in range(1000)]
    with QueuedObserver(seen.append) as queued:
        for event in events:
            queued(event)
    assert seen == events
    counts = queued.counts
    assert (counts.delivered, counts.failed, counts.dropped, counts.waiting) == (1000, 0, 0, 0)


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    release, started = threading.Event(), threading.Event()
    seen: list[Event] = []

    def hang(event: Event) -> None:
        started.set()
        release.wait()
        seen.append(event)

    queued = QueuedObserver(hang, capacity=3, linger=0.0)
    queued(Warned("0"))
    assert started.wait(10)
    for k in range(1, 10):
        queued(Warned(str(k)))
    assert queued.counts.dropped == 6
    assert queued.counts.waiting == 4
    release.set()
    assert queued.close()
    assert [event.message for event in seen if isinstance(event, Warned)] == list("0123")
    assert queued.counts.delivered == 4


def test_a_hanging_observer_holds_up_nobody() -> None:
    release = threading.Event()
    hanging = QueuedObserver(lambda _: release.wait(), capacity=2)
    seen: list[Event] = []
    bus = EventBus()
    bus.subscribe(hanging)
    bus.subscribe(seen.append)
    for _ in range(100):
        bus.emit(SERVED)
    assert len(seen) == 100
    assert not hanging.close(timeout=0.05)
    release.set()
    assert hanging.close()


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_a_failing_observer_is_logged_once_and_goes_on(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Event) -> None:
        raise error

    with caplog.at_level(logging.ERROR), QueuedObserver(broken) as queued:
        for _ in range(5):
            queued(SERVED)
    assert queued.counts.failed == 5
    assert len(caplog.records) == 1


def test_coroutines_are_awaited_and_cancelled_in_time() -> None:
    seen: list[str] = []

    async def observe(event: Warned) -> None:
        await asyncio.sleep(0 if event.message == "quick" else 60)
        seen.append(event.message)

    logging.getLogger("windtunnel.monitoring.queued").disabled = True
    try:
        with QueuedObserver(observe, timeout=0.05) as queued:
            for message in ("quick", "slow", "quick"):
                queued(Warned(message))
    finally:
        logging.getLogger("windtunnel.monitoring.queued").disabled = False
    assert seen == ["quick", "quick"]
    assert queued.counts.failed == 1


def test_an_object_with_an_async_call_is_awaited() -> None:
    class Watcher:
        seen = 0

        async def __call__(self, _: Any) -> None:
            self.seen += 1

    watcher = Watcher()
    with QueuedObserver(watcher) as queued:
        queued(SERVED)
    assert watcher.seen == 1
    assert queued.name == "Watcher"


def test_drain_waits_and_the_queue_stays_open() -> None:
    seen: list[Event] = []
    with QueuedObserver(seen.append, linger=0.0) as queued:
        queued(SERVED)
        assert queued.drain()
        assert len(seen) == 1
        queued(SERVED)
    assert len(seen) == 2
    queued(SERVED)  # closed: dropped, and counted
    assert queued.counts.dropped == 1


@given(st.integers(1, 4), st.integers(1, 50), st.integers(1, 16))
def test_every_event_is_delivered_or_counted(threads: int, each: int, capacity: int) -> None:
    queued = QueuedObserver(lambda _: None, capacity=capacity, linger=0.0)
    emit: Callable[[], None] = lambda: [queued(SERVED) for _ in range(each)] and None  # noqa: E731
    workers = [threading.Thread(target=emit) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert queued.close()
    counts = queued.counts
    assert counts.delivered + counts.dropped == threads * each


def test_the_thread_wakes_once_for_what_comes_within_a_while() -> None:
    naps: list[float] = []

    class Watched(QueuedObserver):
        def _observe_all(self, call: Callable[[Event], None]) -> bool:
            some = super()._observe_all(call)
            naps.append(some)
            return some

    seen: list[Event] = []
    with Watched(seen.append, linger=60.0) as queued:
        for _ in range(500):
            queued(SERVED)
        assert queued.drain(30), "who waits need not wait for the while to pass"
    assert len(seen) == 500
    assert len(naps) <= 6


def test_an_event_that_is_not_wanted_wakes_nobody() -> None:
    seen: list[Event] = []
    before = threading.active_count()
    with QueuedObserver(seen.append, wanted=lambda event: event is not SERVED) as queued:
        for _ in range(5):
            queued(SERVED)
        assert threading.active_count() == before
        queued(Warned("this"))
    assert seen == [Warned("this")]
    assert queued.counts.delivered == 1
    assert queued.counts.dropped == 0


def test_a_queue_that_fills_up_is_emptied_before_its_while_is_over() -> None:
    seen = threading.Event()

    def observe(event: Warned) -> None:
        if event.message == "last":
            seen.set()

    with QueuedObserver(observe, capacity=20, linger=60.0) as queued:
        for k in range(11):
            queued(Warned(str(k)))
        queued(Warned("last"))
        assert seen.wait(30)
        assert queued.counts.dropped == 0
