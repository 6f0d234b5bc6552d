"""Files of JSON lines that are only ever added to, shared by processes and safe against crashes.

A line counts once its newline is on the disk. A crash can leave an unfinished last line;
it was never acknowledged, so readers pass over it and the next writer removes it. Anything
else that cannot be read is damage, and stops the reader.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import warnings
from typing import TYPE_CHECKING, Any, BinaryIO

from windtunnel import artifacts
from windtunnel.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class AppendOnlyFile:
    """A file with one JSON object a line.

    Parameters
    ----------
    path : Path
        Need not exist; it is created by the first append.
    what : str
        What the file is, for messages, for example "project ledger".
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.what = what

    def read(self) -> list[dict[str, Any]]:
        """Read every record, in the order in which they were added; none when there is no file.

        Warns
        -----
        UserWarning
            The last line is unfinished and was ignored.

        Raises
        ------
        RunError
            A line that is not the last cannot be read.
        """
        try:
            with self.path.open("rb") as held:
                fcntl.flock(held, fcntl.LOCK_SH)
                return self._records()
        except FileNotFoundError:
            return []

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Appender]:
        """Hold the file for this process, so that what is read stays true until it is added to."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield Appender(self)

    def damaged(self, line: int, problem: str) -> RunError:
        """Make the error for a line that cannot be read; lines count from 1."""
        return RunError(
            f"{self.what} {str(self.path)!r}, line {line}: {problem}",
            "The file is only ever added to by the software: restore it from a copy, or mend "
            "that line by hand",
        )

    def _records(self) -> list[dict[str, Any]]:
        *lines, rest = self.path.read_bytes().split(b"\n")
        records = []
        for number, line in enumerate(lines, start=1):
            record = _parse(line)
            if record is None:
                raise self.damaged(number, "is not a JSON object")
            records.append(record)
        if rest:
            record = _parse(rest)
            if record is None:
                self._warn_of_torn_line(len(lines) + 1)
            else:  # only its newline is missing; the next append adds it
                records.append(record)
        return records

    def _warn_of_torn_line(self, line: int) -> None:
        warnings.warn(
            f"{self.what} {str(self.path)!r}: line {line} was left unfinished by a crash and "
            "is ignored",
            stacklevel=2,
        )


class Appender:
    """An append-only file while this process holds it; made by `AppendOnlyFile.exclusive`."""

    def __init__(self, owner: AppendOnlyFile) -> None:
        self._owner = owner

    def read(self) -> list[dict[str, Any]]:
        """Read every record, as `AppendOnlyFile.read` does."""
        return self._owner._records()

    def since(self, offset: int, part: bytes) -> tuple[int, list[dict[str, Any]]]:
        """Read the records behind a place whose lines hold `part`, without parsing the others.

        Parameters
        ----------
        offset : int
            Where an earlier call ended, 0 at first. A file that has become shorter than that
            is read from its beginning.
        part : bytes

        Returns
        -------
        int
            Where the last whole line ends.
        list of dict
        """
        with self._owner.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = offset if offset <= size else 0
            file.seek(start)
            content = file.read()
        found = [_parse(line) for line in content.split(b"\n") if part in line]
        end = start + content.rfind(b"\n") + 1
        return end, [record for record in found if record is not None]

    def append(self, record: dict[str, Any]) -> None:
        """Add a record; on return it is on the disk."""
        path = self._owner.path
        line = json.dumps(record, separators=(",", ":"), allow_nan=False)
        created = path.stat().st_size == 0
        self._cut_torn_line()
        artifacts.append_line(path, line)
        if created:  # a new file is safe only once its directory entry is
            handle = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _cut_torn_line(self) -> None:
        """Remove an unfinished last line; one that lacks only its newline is kept and closed."""
        with self._owner.path.open("r+b") as file:
            if ends_whole(file):
                return  # not to be read for every line more
            file.seek(0)
            content = file.read()
            start = content.rfind(b"\n") + 1
            if content[start:] and _parse(content[start:]) is None:
                self._owner._warn_of_torn_line(content.count(b"\n") + 1)
                file.truncate(start)


def ends_whole(file: BinaryIO) -> bool:
    """Say whether `file` is empty or its last line is closed."""
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:  # not JSON, or not UTF-8
        return None
    return record if isinstance(record, dict) else None
