"""One writer at a time, on a lock that the kernel releases when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def exclusive(path: str | Path, *, on_entry: Callable[[], None]) -> Iterator[None]:
    """Hold the exclusive lock on the file `path`, waiting for it as long as needed.

    The file itself stays; its existence means nothing. Threads exclude one another too.

    Parameters
    ----------
    path : path
        The lock file; made, with its directory, when absent.
    on_entry : callable
        Called once the lock is held, to clear what a killed holder left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        on_entry()
        yield
