"""How many lanes are sent to the devices at once: measured on the work itself, and remembered.

The memory plan says how many fit. Fewer may be faster where their states stay in a cache, more
where the devices are wide; which it is depends on machine and shapes alone. So slabs of several
sizes are timed while they train what has to be trained anyway, and the best size is kept beside
the compiled programs. All sizes go through the same program, which computes a lane by the same
instructions in each: the choice decides no result.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import platform
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windtunnel import artifacts
from windtunnel.trainers.arrays import Shape
from windtunnel.trainers.devices import cache_directory

if TYPE_CHECKING:
    from windtunnel.trainers.scoring import Network

HALVINGS = 3  # sizes tried: what fits, and so many halves of it
TRIES = 2  # the better one counts; the first may have met a cold machine
# Measurements vary by some per cent: a smaller slab has to be better by more than that.
MARGIN = 0.03


@dataclass
class SlabSizes:
    """What is known of slab sizes for one machine and one shape of work.

    Attributes
    ----------
    smallest : int
        Lanes that keep every device busy; sizes are multiples of it.
    path : Path or None
        Where it is kept between processes; None forgets.
    taken : dict of int to list of float
        Seconds a lane and step, by the size of the slab.
    """

    smallest: int
    path: Path | None = None
    taken: dict[int, list[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, network: Network, data: Any, shape: Shape, devices: list[Any]) -> SlabSizes:
        """What this machine's cache knows of these shapes; a file that is none counts as absent."""
        meaning = [
            _machine(devices),
            [repr(network.module), network.head.name, network.relative],
            repr(shape),
            [getattr(leaf, "shape", ()) for leaf in data],
        ]
        digest = hashlib.sha256(json.dumps(meaning).encode()).hexdigest()[:24]
        path = cache_directory().parent / "slabs" / f"{digest}.json"
        found = cls(shape.lanes * len(devices), path)
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            kept = json.loads(path.read_text(encoding="utf-8"))
            found.taken = {int(size): [float(each)] * TRIES for size, each in kept.items()}
        return found

    def tried(self, most: int) -> tuple[int, ...]:
        """Sizes to choose from, the largest first, where `most` lanes fit."""
        halves = (most >> times for times in range(HALVINGS + 1))
        rounded = (size // self.smallest * self.smallest for size in halves)
        return tuple(dict.fromkeys(size for size in rounded if size > 0)) or (most,)

    def choose(self, most: int, left: int) -> int:
        """Lanes to send next, where `most` fit and `left` are to be trained."""
        sizes = [size for size in self.tried(most) if size <= left]
        if not sizes:
            return left
        for size in sizes:
            if len(self.taken.get(size, ())) < TRIES:
                return size
        best = sizes[0]
        for size in sizes[1:]:
            if self._cost(size) < self._cost(best) * (1 - MARGIN):
                best = size
        return best

    def note(self, size: int, most: int, steps: int, seconds: float) -> None:
        """Take in how long a slab took; what is complete is kept."""
        if size not in self.tried(most) or len(self.taken.get(size, ())) >= TRIES:
            return
        self.taken.setdefault(size, []).append(seconds / (size * steps))
        if len(self.taken[size]) == TRIES and self.path is not None:
            known = {
                str(each): min(tries) for each, tries in self.taken.items() if len(tries) == TRIES
            }
            with contextlib.suppress(OSError):  # a cache that cannot be written is done without
                self.path.parent.mkdir(parents=True, exist_ok=True)
                artifacts.write_json(self.path, known)

    def _cost(self, size: int) -> float:
        return min(self.taken.get(size, [math.inf]))


def _machine(devices: list[Any]) -> list[str]:
    """What decides how fast a program runs, apart from the program."""
    name = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line for line in lines if line.startswith("model name")), name)
    flags = os.environ.get("XLA_FLAGS", "")
    kinds = f"{len(devices)} x {devices[0].device_kind}"
    return [platform.machine(), name, kinds, metadata.version("jaxlib"), flags]
