"""Threads for long answers: their time is limited, and one that hangs keeps its place."""

from __future__ import annotations

import asyncio
import threading

import pytest

from windtunnel.events import EventBus, PredictionFailed
from windtunnel.serving.long_answers import THREADS, LongAnswers
from windtunnel.serving.refusal import Refusal
from windtunnel.serving.service import Service


@pytest.fixture
def failed():
    return []


@pytest.fixture
def long_answers(failed):
    bus = EventBus()
    bus.subscribe(failed.append, PredictionFailed)
    return LongAnswers(Service(None, "m", "champion", bus), 60.0)


def test_what_the_work_returns_or_raises_comes_back(long_answers, failed):
    def fail(error):
        raise error

    assert asyncio.run(long_answers.compute(1, max, 2, 3)) == 3
    for error in (Refusal("shape", None, None, "p", "r"), TimeoutError("of a library")):
        with pytest.raises(type(error)) as raised:
            asyncio.run(long_answers.compute(1, fail, error))
        assert raised.value.args == error.args
    assert failed == []


def test_a_thread_that_hangs_keeps_its_place_and_takes_none_of_another_version(
    long_answers, failed, monkeypatch
):
    free, begun = threading.Event(), []

    def hang():
        begun.append(threading.get_ident())
        free.wait(60)
        raise RuntimeError("nobody waits for this any more")

    async def ask():
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, about: complaints.append(about))
        with monkeypatch.context() as hurried:
            hurried.setattr(long_answers, "_seconds", 0.3)
            for _ in range(THREADS + 2):
                with pytest.raises(Refusal) as late:
                    await long_answers.compute(1, hang)
                assert (late.value.reason, late.value.status) == ("timeout", 503)
        assert len(begun) == THREADS, "a place is given away when its thread has ended"
        assert await long_answers.compute(2, max, 2, 3) == 3
        free.set()
        assert await long_answers.compute(1, max, 4, 5) == 5
        assert complaints == []

    asyncio.run(ask())
    assert [event.version for event in failed] == [1] * (THREADS + 2)
