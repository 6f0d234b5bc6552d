"""How many programs a piece of work compiled, and how long that took.

Counted by JAX's own events, so nothing is missed: programs of the trainers and the small ones
around them. A program that was compiled by an earlier process is read from the persistent cache.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_PREPARED = "/jax/core/compile/backend_compile_duration"  # compiled or read
_READ = "/jax/compilation_cache/cache_hits"


@dataclass
class Compilations:
    """Programs made ready since the count began.

    Attributes
    ----------
    prepared : int
        Programs in all.
    read : int
        Those of them that came from the persistent cache.
    seconds : float
        What both took, threads added up.
    """

    prepared: int = 0
    read: int = 0
    seconds: float = 0.0

    @property
    def compiled(self) -> int:
        """Programs compiled anew."""
        return self.prepared - self.read

    @property
    def figures(self) -> dict[str, int | float]:
        """What a run keeps."""
        seconds = round(self.seconds, 3)
        return {"compiled": self.compiled, "read": self.read, "seconds": seconds}


@contextlib.contextmanager
def counted() -> Iterator[Compilations]:
    """Count while the context lasts, in all threads of this process."""
    from jax import monitoring  # noqa: PLC0415 - must come after `devices.configure_cpu`

    found, lock = Compilations(), threading.Lock()

    def prepared(event: str, duration_secs: float, **_: Any) -> None:
        if event == _PREPARED:
            with lock:
                found.prepared += 1
                found.seconds += duration_secs

    def read(event: str, **_: Any) -> None:
        if event == _READ:
            with lock:
                found.read += 1

    monitoring.register_event_duration_secs_listener(prepared)
    monitoring.register_event_listener(read)
    try:
        yield found
    finally:
        monitoring.unregister_event_duration_listener(prepared)
        monitoring.unregister_event_listener(read)
