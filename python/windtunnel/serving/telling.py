"""What observers are told of answers, once these are on their way: none waits to be watched."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from windtunnel.events import Event, EventBus, PredictionServed, RowsScored
from windtunnel.monitoring.queued import QueueCounts, QueuedObserver
from windtunnel.serving.predictor import Predictor, Scored

_PATIENCE = 1.0  # seconds that the end waits for an observer that hangs


class Teller:
    """Notes answers on the way, and tells observers of them after they have been written.

    An answer pays for one append. The event loop tells of it in its next turn, which is when
    the client reads: a thread would have to take the interpreter from the loop, and to have
    it back costs the next answers some hundred microseconds. Only who promises to be prompt
    (see `windtunnel.events`) is told on the loop. The others, who may be slow or hang, are
    told from a thread behind a bounded queue; there is none where nobody needs it.

    Without an event loop, observers are told at once.

    Parameters
    ----------
    bus : EventBus
        Gets `PredictionServed` and `RowsScored` of every answer, in the order of the notes.
    capacity : int
        Events that may wait for observers who are not prompt; above it they are dropped.
    """

    name = "answers"

    def __init__(self, bus: EventBus, capacity: int = 65_536) -> None:
        self._bus = bus
        self._notes: deque[tuple[Predictor, Scored, float]] = deque()
        self._telling = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None  # the one that will tell
        self._queue = QueuedObserver(self._hand_to_others, capacity=capacity, name=self.name)

    def note(self, predictor: Predictor, scored: Scored, seconds: float) -> None:
        """Note an answer that took `seconds`."""
        self._notes.append((predictor, scored, seconds))
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        # Another loop than the last one may have ended with notes untold.
        if self._loop is not loop:
            self._loop = loop
            loop.call_soon(self._tell_on_loop)

    def flush(self, timeout: float = 0.0) -> bool:
        """Tell of what is noted now; figures of prompt observers are whole then.

        Returns
        -------
        bool
            Whether the other observers, too, had seen it after at most `timeout` seconds.
        """
        self._tell_all()
        return self._queue.drain(timeout)

    @property
    def counts(self) -> QueueCounts:
        """What became of events for observers who are not prompt.

        One on which they fail counts as delivered; the bus logs it.
        """
        return self._queue.counts

    def close(self) -> None:
        """Tell of what is noted, and stop."""
        self.flush()
        self._queue.close(_PATIENCE)

    def _tell_on_loop(self) -> None:
        self._loop = None
        self._tell_all()

    def _tell_all(self) -> None:
        notes = self._notes
        with self._telling:
            while notes:
                self._tell(*notes.popleft())

    def _tell(self, predictor: Predictor, scored: Scored, seconds: float) -> None:
        """Tell of an answer; the lock is held."""
        model, version, bus = predictor.name, predictor.version, self._bus
        self._hand(PredictionServed(model, version, len(scored.scores), seconds))
        if bus.listeners(RowsScored).all:
            self._hand(
                RowsScored(
                    model,
                    version,
                    scored.features,
                    scored.scores,
                    scored.timestamps,
                    scored.symbols,
                )
            )

    def _hand(self, event: Event) -> None:
        listeners = self._bus.listeners(type(event))
        self._bus.hand(event, listeners.prompt)
        if listeners.others:
            self._queue(event)

    def _hand_to_others(self, event: Event) -> None:
        self._bus.hand(event, self._bus.listeners(type(event)).others)
