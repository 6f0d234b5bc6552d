"""Observers see what happens and can do no harm."""

from __future__ import annotations

import logging

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


def test_failing_observer_disturbs_nobody_and_complains_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_event: events.Event) -> None:
        raise ZeroDivisionError

    seen: list[events.Event] = []
    bus = events.EventBus([broken, seen.append])
    with caplog.at_level(logging.ERROR):
        bus.emit(events.Warned("one"))
        bus.emit(events.Warned("two"))
    assert len(seen) == 2
    assert len(caplog.records) == 1
