"""The queue of a Ray study: an actor that starts at once, since it imports nothing heavy."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from windtunnel.rungs import Assessed

# Parameters of a part, number of its cohort, and what is known of earlier trials.
Task: TypeAlias = tuple[Any, int, Any]

# Seconds without a sign of life after which a worker's part is given to another one.
GRACE = 30.0


@dataclass(frozen=True)
class Standing:
    """How a cohort stands.

    Attributes
    ----------
    done : int
        Parts that came back.
    errors : list of Exception
        Why a part cannot be assessed by anybody.
    silence : float
        Seconds since any worker gave a sign of life; since the board was made, before the first.
    """

    done: int
    errors: list[Exception]
    silence: float


class Board:
    """Knows which parts are wanted, who has them, and what came of them.

    A part may be assessed twice, when its worker was silent and came back; whoever is first is
    heard, and a result of an earlier cohort is not. Both would have said the same.

    Parameters
    ----------
    grace : float
        As `GRACE`.
    clock : callable
        Seconds that only grow.
    """

    def __init__(self, grace: float = GRACE, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace, self._clock = grace, clock
        self._first = 0  # ticket of the cohort's first part; tickets are never used again
        self._tasks: list[Task] = []
        self._waiting: deque[int] = deque()
        self._held: dict[str, int] = {}
        self._found: dict[int, Assessed] = {}
        self._pids: dict[str, int] = {}
        self._seen: dict[str, float] = {}
        self._last = clock()
        self._errors: list[Exception] = []
        self._closed = False

    def enter(self, worker: str, pid: int) -> None:
        """A worker came, perhaps again: what it had when it died is wanted once more."""
        self._pids[worker] = pid
        self.beat(worker, pid)
        self._give_back(worker)

    def pids(self) -> dict[str, int]:
        """Process of every worker, by name."""
        return dict(self._pids)

    def beat(self, worker: str, pid: int) -> None:
        """A sign of life."""
        if self._pids.get(worker) == pid:
            self._seen[worker] = self._last = self._clock()

    def want(self, tasks: Sequence[Task]) -> None:
        """Ask for the parts of one cohort."""
        self._first += len(self._tasks)
        self._tasks, self._found = list(tasks), {}
        self._waiting = deque(range(self._first, self._first + len(tasks)))

    def take(self, worker: str, pid: int) -> tuple[str, Any]:
        """The next part for a worker: ("work", (ticket, task)), ("wait", None) or ("end", None)."""
        self.beat(worker, pid)
        if self._closed:
            return "end", None
        # A late call of a process that was replaced must not take anything.
        if self._pids.get(worker) != pid:
            return "wait", None
        # Who asks has nothing in hand: a part that it should have was lost on its way.
        self._give_back(worker)
        if not self._waiting:
            return "wait", None
        ticket = self._held[worker] = self._waiting.popleft()
        return "work", (ticket, self._tasks[ticket - self._first])

    def give(self, worker: str, ticket: int, found: Assessed) -> None:
        """What came of a part."""
        if self._held.get(worker) == ticket:
            del self._held[worker]
        place = ticket - self._first
        if 0 <= place < len(self._tasks):
            self._found.setdefault(place, found)
            if ticket in self._waiting:
                self._waiting.remove(ticket)

    def fail(self, error: Exception) -> None:
        """A part cannot be assessed by anybody."""
        self._errors.append(error)

    def state(self) -> Standing:
        """How the cohort stands; parts of those that have fallen silent are wanted once more."""
        now = self._clock()
        for worker in [name for name in self._held if now - self._seen[name] > self._grace]:
            self._give_back(worker)
        return Standing(len(self._found), self._errors, now - self._last)

    def collect(self) -> dict[int, Assessed]:
        """All parts of the cohort by place."""
        return self._found

    def close(self) -> None:
        """Send the workers home."""
        self._closed = True

    def _give_back(self, worker: str) -> None:
        ticket = self._held.pop(worker, -1)
        if ticket >= self._first and ticket - self._first not in self._found:
            self._waiting.appendleft(ticket)
