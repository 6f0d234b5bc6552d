"""What observers are told of answers, a moment later: an answer pays for one append alone."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

from windtunnel.events import EventBus, PredictionServed, RowsScored
from windtunnel.monitoring.queued import QueueCounts
from windtunnel.serving.predictor import Predictor, Scored

log = logging.getLogger(__name__)

_EVERY = 0.02  # seconds between two looks at what waits
_AT_ONCE = 16  # answers told before other threads get their turn
_PATIENCE = 1.0  # seconds that who reads figures waits for an observer that hangs


class Teller:
    """Notes answers on the way and tells observers of them from a thread of its own.

    Making two events and handing them on costs several microseconds, a good part of what a
    small model takes; a note costs about a tenth of one. The thread looks for notes every
    20 ms, since waking it would cost the answer more than the note does, and gives way after
    every few events, so that it holds up no answer for long. Whoever reads figures calls
    `flush` first. What is noted beyond `capacity` is dropped and counted.

    Parameters
    ----------
    bus : EventBus
        Gets `PredictionServed` and `RowsScored` of every answer, in the order of the notes.
    capacity : int
        Answers that may wait.
    """

    name = "answers"

    def __init__(self, bus: EventBus, capacity: int = 65_536) -> None:
        self._bus = bus
        self._capacity = capacity
        self._notes: deque[tuple[Predictor, Scored, float]] = deque()
        self._telling = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._told = self._dropped = 0

    def note(self, predictor: Predictor, scored: Scored, seconds: float) -> None:
        """Note an answer that took `seconds`."""
        notes = self._notes
        if len(notes) >= self._capacity:
            self._dropped += 1
            return
        notes.append((predictor, scored, seconds))
        if self._thread is None:
            self._start()

    def flush(self, timeout: float = _PATIENCE) -> bool:
        """Tell what waits now; False when an observer hangs for more than `timeout` seconds."""
        if not self._telling.acquire(timeout=timeout):
            return False
        try:
            for _ in range(len(self._notes)):
                self._tell()
        finally:
            self._telling.release()
        return True

    @property
    def counts(self) -> QueueCounts:
        """What became of the notes; an answer whose observers fail counts as delivered."""
        return QueueCounts(self._told, 0, self._dropped, len(self._notes))

    def close(self) -> None:
        """Tell what waits, and stop."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE)
        self.flush()

    def _start(self) -> None:
        with self._telling:
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(_EVERY):
            while self._notes:
                with self._telling:
                    for _ in range(min(_AT_ONCE, len(self._notes))):
                        self._tell()
                time.sleep(0)  # lets go of the interpreter

    def _tell(self) -> None:
        """Tell of the oldest note; the lock is held."""
        predictor, scored, seconds = self._notes.popleft()
        model, version, bus = predictor.name, predictor.version, self._bus
        bus.emit(PredictionServed(model, version, len(scored.scores), seconds))
        if bus.wanted(RowsScored):
            bus.emit(
                RowsScored(
                    model,
                    version,
                    scored.features,
                    scored.scores,
                    scored.timestamps,
                    scored.symbols,
                )
            )
        self._told += 1
