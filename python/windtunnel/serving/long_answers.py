"""Answers that take long: computed in threads, so that short ones need not wait, and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from windtunnel.serving.refusal import Refusal
from windtunnel.serving.service import Service

THREADS = 2  # of each version: one that hangs takes none from the others

P = ParamSpec("P")
T = TypeVar("T")


class LongAnswers:
    """Computes answers in threads, a few at once for each version; belongs to an event loop.

    A thread cannot be stopped: one that takes too long holds its place until it ends.

    Parameters
    ----------
    service : Service
        Is told of a version that took too long, which is a failure of the version.
    seconds : float
        Time for one answer, waiting for a thread included.
    """

    def __init__(self, service: Service, seconds: float) -> None:
        self._service = service
        self._seconds = seconds
        self._places: dict[int, asyncio.Semaphore] = {}

    async def compute(
        self, version: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What `work` returns or raises.

        Raises
        ------
        Refusal
            503: time is up.
        """
        places = self._places.setdefault(version, asyncio.Semaphore(THREADS))
        limit = asyncio.timeout(self._seconds)
        try:
            async with limit:
                await places.acquire()
                thread = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
                thread.add_done_callback(lambda done: _leave(places, done))
                return await asyncio.shield(thread)
        except TimeoutError:
            if not limit.expired():  # the work's own
                raise
            self._service.note_failure(version)
            raise Refusal(
                "timeout",
                None,
                None,
                f"computing the answer took more than {self._seconds:g} s",
                "Send fewer rows, or try again when less is under way",
                status=503,
                headers={"retry-after": "1"},
            ) from None


def _leave(places: asyncio.Semaphore, done: asyncio.Future[T]) -> None:
    places.release()
    if not done.cancelled():
        done.exception()  # nobody may be waiting for it any more
