"""Observers see what happens and can do no harm."""

from __future__ import annotations

import logging
import threading

import pytest

from windtunnel import events


def test_observers_see_events_in_order() -> None:
    seen: list[tuple[str, events.Event]] = []
    bus = events.EventBus()
    bus.subscribe(lambda event: seen.append(("first", event)))
    bus.subscribe(lambda event: seen.append(("second", event)))
    event = events.Warned("look")
    bus.emit(event)
    assert seen == [("first", event), ("second", event)]


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_failing_observer_disturbs_nobody_and_complains_once(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_event: events.Event) -> None:
        raise error

    seen: list[events.Event] = []
    bus = events.EventBus([broken, seen.append])
    with caplog.at_level(logging.ERROR):
        bus.emit(events.Warned("one"))
        bus.emit(events.Warned("two"))
    assert len(seen) == 2
    assert len(caplog.records) == 1
    assert bus.failures(broken) == 2
    assert bus.failures(seen.append) == 0


def test_an_interrupt_is_the_users_and_passes() -> None:
    def interrupted(_event: events.Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        events.EventBus([interrupted]).emit(events.Warned("one"))


def test_an_observer_gets_the_kinds_that_it_asked_for() -> None:
    served: list[events.Event] = []
    both: list[events.Event] = []
    bus = events.EventBus()
    bus.subscribe(served.append, events.PredictionServed)
    bus.subscribe(both.append, events.PredictionServed, events.PredictionRefused)
    one = events.PredictionServed("m", 1, 1, 0.1)
    two = events.PredictionRefused("m", "json")
    for event in (one, two, events.Warned("x")):
        bus.emit(event)
    assert served == [one]
    assert both == [one, two]


def test_an_event_that_nobody_wants_need_not_be_made() -> None:
    bus = events.EventBus()
    assert not bus.listeners(events.Warned).all
    take_back = bus.subscribe(lambda _: None, events.Warned)
    assert bus.listeners(events.Warned).all
    assert not bus.listeners(events.StageStarted).all
    take_back()
    assert not bus.listeners(events.Warned).all
    bus.subscribe(lambda _: None)
    assert bus.listeners(events.StageStarted).all


def test_a_subscription_can_be_taken_back_and_another_added() -> None:
    first: list[events.Event] = []
    second: list[events.Event] = []
    bus = events.EventBus()
    unsubscribe = bus.subscribe(first.append)
    bus.emit(events.Warned("a"))
    unsubscribe()
    unsubscribe()
    bus.subscribe(second.append)
    bus.emit(events.Warned("b"))
    assert first == [events.Warned("a")]
    assert second == [events.Warned("b")]


def test_subscribing_while_others_emit_loses_nothing() -> None:
    bus, stop = events.EventBus(), threading.Event()

    def emit() -> None:
        while not stop.is_set():
            bus.emit(events.Warned("x"))

    thread = threading.Thread(target=emit)
    thread.start()
    try:
        counts: list[list[events.Event]] = [[] for _ in range(50)]
        for seen in counts:
            bus.subscribe(seen.append)
    finally:
        stop.set()
        thread.join()
    bus.emit(events.Warned("last"))
    assert all(seen[-1] == events.Warned("last") for seen in counts)
