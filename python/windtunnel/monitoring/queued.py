"""An observer behind a bounded queue and a thread of its own: it may be slow, fail or hang."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from windtunnel.events import Event

log = logging.getLogger(__name__)

_AT_ONCE = 16  # events handed on before other threads get their turn

# What may be called with an event: a function, or a coroutine function.
AnyObserver: TypeAlias = Callable[[Any], None] | Callable[[Any], Awaitable[None]]


@dataclass(frozen=True)
class QueueCounts:
    """What became of the events of a `QueuedObserver` so far."""

    delivered: int
    failed: int
    dropped: int
    waiting: int


class QueuedObserver:
    """Takes events without waiting and hands them to `observer` in a thread, in their order.

    A call costs well under a microsecond: events are put on a deque, and the thread looks at
    it once every `linger` seconds while they come, since each time it wakes it takes the
    interpreter from whoever emits. When the observer cannot keep up, new events are dropped
    and counted; what is kept is therefore the oldest, the beginning of the trouble.

    Parameters
    ----------
    observer : callable or coroutine function
        Called with one event at a time. What it raises is logged once and counted.
    capacity : int
        Events that may wait; above it they are dropped.
    linger : float
        Seconds to gather events after the first one of a batch, unless they fill half of the
        queue before.
    timeout : float, optional
        Seconds after which a coroutine is cancelled and counted as failed. A function that
        hangs cannot be stopped: events are dropped until it returns.
    name : str, optional
        For the log and the metrics; the observer's own name by default.
    wanted : callable, optional
        Whether the observer has any use for an event; what it has none for is not queued.
        Must be as quick as the call itself.

    Attributes
    ----------
    observer : callable or coroutine function
    name : str
    """

    prompt = True

    def __init__(
        self,
        observer: AnyObserver,
        *,
        capacity: int = 4096,
        linger: float = 0.1,
        timeout: float | None = None,
        name: str | None = None,
        wanted: Callable[[Any], bool] | None = None,
    ) -> None:
        self.name: str = name or str(getattr(observer, "__name__", type(observer).__name__))
        self.observer = observer
        self._capacity = capacity
        self._half = capacity // 2
        self._linger = linger
        self._timeout = timeout
        self._wanted = wanted
        self._waiting: deque[Event] = deque()
        self._wake = threading.Event()  # there is something to do again
        self._hurry = threading.Event()  # somebody waits for it to be done
        self._idle = True
        self._closing = False
        self._delivered = self._failed = self._dropped = 0
        self._busy = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        """Queue `event`, or drop it and count it."""
        if self._wanted is not None and not self._wanted(event):
            return
        waiting = len(self._waiting)
        if waiting >= self._capacity or self._closing:
            with self._lock:
                self._dropped += 1
            return
        self._waiting.append(event)
        if self._thread is None:
            self._start()
        # The thread says that it is idle before it looks at the deque for the last time, so
        # that one of the two sees the other.
        if self._idle:
            self._wake.set()
        elif waiting >= self._half and not self._hurry.is_set():
            self._hurry.set()

    @property
    def counts(self) -> QueueCounts:
        """Counts so far; an event being observed counts as waiting."""
        waiting = len(self._waiting) + self._busy
        return QueueCounts(self._delivered, self._failed, self._dropped, waiting)

    def drain(self, timeout: float = 5.0) -> bool:
        """Wait until nothing waits, for at most `timeout` seconds; whether that came about."""
        end = time.monotonic() + timeout
        while self.counts.waiting:
            if time.monotonic() >= end:
                return False
            self._hurry.set()
            time.sleep(0.001)
        return True

    def close(self, timeout: float = 5.0) -> bool:
        """Take no more events and wait for those that are queued.

        Returns
        -------
        bool
            False when some were still waiting after `timeout` seconds; the thread is a
            daemon and does not keep the process alive.
        """
        self._closing = True
        self._hurry.set()
        self._wake.set()
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
            return not thread.is_alive()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=f"observer {self.name}", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        with contextlib.ExitStack() as stack:
            call = self._caller(stack)
            while True:
                if not self._observe_all(call):
                    self._idle = True
                    if self._waiting:
                        self._idle = False
                        continue
                    if self._closing:
                        return
                    self._wake.wait()
                    self._idle = False
                    self._wake.clear()
                if not self._closing:
                    self._hurry.wait(self._linger)
                    self._hurry.clear()

    def _observe_all(self, call: Callable[[Event], None]) -> bool:
        """Hand on what waits; whether anything did."""
        waiting, some = self._waiting, False
        while waiting:
            some = True
            for _ in range(min(_AT_ONCE, len(waiting))):
                self._observe(call)
            time.sleep(0)  # lets go of the interpreter
        return some

    def _observe(self, call: Callable[[Event], None]) -> None:
        self._busy = True
        event = self._waiting.popleft()
        try:
            call(event)
            self._delivered += 1
        except (Exception, SystemExit):
            self._failed += 1
            if self._failed == 1:
                log.exception("observer %s failed on %s", self.name, type(event).__name__)
        finally:
            self._busy = False

    def _caller(self, stack: contextlib.ExitStack) -> Callable[[Event], None]:
        observer: Any = self.observer
        if not (
            inspect.iscoroutinefunction(observer)
            or inspect.iscoroutinefunction(getattr(type(observer), "__call__", None))  # noqa: B004
        ):
            plain: Callable[[Event], None] = observer
            return plain
        runner = stack.enter_context(asyncio.Runner())

        async def bounded(event: Event) -> None:
            await asyncio.wait_for(observer(event), self._timeout)

        return lambda event: runner.run(bounded(event))
