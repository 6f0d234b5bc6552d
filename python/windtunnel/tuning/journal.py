"""Optuna's journal file, written a cohort at a time.

As Optuna writes it, every trial is a line of its own that is brought to the disk before the next
one begins: 64 waits for the disk a cohort. Here a cohort is written once, and not waited for: when
the machine stops before the disk has it, the study is mended from the run's records.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from optuna.storages.journal import (
    BaseJournalBackend,
    JournalFileBackend,
    JournalFileSymlinkLock,
)

from windtunnel.append_only import ends_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from optuna.study import Study
    from optuna.trial import FrozenTrial

# Seconds after which a lock is taken to be that of a killed process. Holders need milliseconds.
LOCK_GRACE = 5


class CohortJournal(BaseJournalBackend):
    """A journal file whose lines can be held back and then be written at once.

    Parameters
    ----------
    path : Path
        The file; a last line torn by a crash is cut off.
    """

    def __init__(self, path: Path) -> None:
        # An absolute path: Optuna's lock is a link to it, which must resolve from anywhere.
        path = path.absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = JournalFileSymlinkLock(str(path), grace_period=LOCK_GRACE)
        _cut_torn_line(path, self._lock)
        self._file = JournalFileBackend(str(path), lock_obj=self._lock)
        self._held_back: list[dict[str, Any]] | None = None
        self._shown = 0

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Write what is appended within the block when it ends, or nothing if it fails.

        Within the block a storage reads what it appended there, and nothing else.
        """
        held_back: list[dict[str, Any]] = []
        self._held_back, self._shown = held_back, 0
        try:
            yield
        finally:
            self._held_back = None
        if held_back:
            self._write(held_back)

    def add(self, study: Study, trials: Sequence[FrozenTrial]) -> None:
        """Add trials to a study of this journal by one write."""
        with self.at_once():
            study.add_trials(trials)

    def _write(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        self._lock.acquire()
        try:
            with self._path.open("ab") as file:
                file.write(lines.encode())
        finally:
            self._lock.release()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines, at once or when the block `at_once` ends."""
        if self._held_back is None:
            self._file.append_logs(logs)
        else:
            self._held_back += logs

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Read lines from a number on; within the block `at_once`, those not read there before."""
        if self._held_back is None:
            return self._file.read_logs(log_number_from)
        new = self._held_back[self._shown :]
        self._shown = len(self._held_back)
        return new


def _cut_torn_line(path: Path, lock: JournalFileSymlinkLock) -> None:
    """Remove an unfinished last line, which would make every line after it unreadable."""
    if not path.exists():
        return
    with path.open("rb") as file:
        if ends_whole(file):
            return
    lock.acquire()
    try:
        content = path.read_bytes()
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
            file.flush()
            os.fsync(file.fileno())
    finally:
        lock.release()
