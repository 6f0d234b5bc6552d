"""The queue of a Ray study: an actor that starts at once, since it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from windtunnel.rungs import Assessed

# Parameters of a part, number of its cohort, and what is known of earlier trials.
Task: TypeAlias = tuple[Any, int, Any]


class Board:
    """Knows which parts are wanted, who has them, and what came of them."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Task]] = []
        self._held: dict[str, tuple[int, Task]] = {}
        self._found: dict[int, Assessed] = {}
        self._pids: dict[str, int] = {}
        self._errors: list[Exception] = []
        self._closed = False

    def enter(self, worker: str, pid: int) -> None:
        """A worker came, perhaps again: what it had when it died is wanted once more."""
        self._pids[worker] = pid
        if worker in self._held:
            self._waiting.insert(0, self._held.pop(worker))

    def pids(self) -> dict[str, int]:
        """Process of every worker, by name."""
        return dict(self._pids)

    def want(self, tasks: Sequence[Task]) -> None:
        """Ask for the parts of one cohort."""
        self._found = {}
        self._waiting = list(enumerate(tasks))

    def take(self, worker: str, pid: int) -> tuple[str, Any]:
        """The next part for a worker: ("work", (place, task)), ("wait", None) or ("end", None)."""
        if self._closed:
            return "end", None
        # A late call of a process that was replaced must not take anything.
        if not self._waiting or self._pids.get(worker) != pid:
            return "wait", None
        self._held[worker] = self._waiting.pop(0)
        return "work", self._held[worker]

    def give(self, worker: str, place: int, found: Assessed) -> None:
        """What came of a part."""
        self._held.pop(worker, None)
        self._found[place] = found

    def fail(self, error: Exception) -> None:
        """A part cannot be assessed by anybody."""
        self._errors.append(error)

    def state(self) -> tuple[int, list[Exception]]:
        """How many parts are done, and what went wrong."""
        return len(self._found), self._errors

    def collect(self) -> dict[int, Assessed]:
        """All parts of the cohort by place."""
        return self._found

    def close(self) -> None:
        """Send the workers home."""
        self._closed = True
