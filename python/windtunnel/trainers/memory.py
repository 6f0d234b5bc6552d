"""How much memory training may take, and how many lanes fit into it.

Arrays are counted, not guessed: their shapes are known before anything is allocated. What a
plan decides is how many lanes are in the program at once. It never decides a result.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from windtunnel.errors import TrainingError

SHARE_OF_FREE = 0.5
# More lanes in the program at once gain nothing: what they share is shared well enough.
LARGEST_SLAB = 128
# Python, JAX and compiled programs before the first array of ours.
_RUNTIME_BYTES = 600 * 2**20


@dataclass(frozen=True)
class Needs:
    """Bytes that a trainer takes.

    Attributes
    ----------
    fixed : int
        Whatever the cohort: features on the host and every device, tables, activations.
    lane : int
        A lane in the program: its state before and after, its scores.
    result : int
        A configuration of the cohort that is given back: its scores.
    state : int
        A configuration's state, as it is kept between stretches of training.
    """

    fixed: int
    lane: int
    result: int
    state: int


@dataclass(frozen=True)
class Plan:
    """What a memory budget allows.

    Attributes
    ----------
    budget : int
        Bytes.
    slab : int
        Lanes in the program at once.
    cohort : int
        Configurations that may be trained in one call without a stop.
    needs : Needs
    """

    budget: int
    slab: int
    cohort: int
    needs: Needs

    def check(self, cohort: int, *, in_stretches: bool) -> None:
        """Refuse a cohort whose results would not fit.

        Raises
        ------
        TrainingError
            Naming the cohort, what it needs and the budget.
        """
        each = self.needs.result + (self.needs.state if in_stretches else 0)
        needed = _RUNTIME_BYTES + self.needs.fixed + self.slab * self.needs.lane + cohort * each
        if needed > self.budget:
            raise TrainingError(
                f"memory_budget: a cohort of {cohort} needs {needed / 2**20:,.0f} MiB, "
                f"{self.budget / 2**20:,.0f} MiB are allowed",
                "Lower study.cohort, or raise training.memory_budget_mib",
            )


def plan(needs: Needs, *, smallest: int, budget: int | None = None) -> Plan:
    """Fit lanes into a budget.

    Parameters
    ----------
    needs : Needs
    smallest : int
        Lanes of one chunk on every device; slabs are a multiple of it.
    budget : int, optional
        Bytes that the process may take in all; without one, half of what is free now.

    Raises
    ------
    TrainingError
        Not even `smallest` lanes fit.
    """
    allowed = int(available() * SHARE_OF_FREE) if budget is None else budget
    left = allowed - _RUNTIME_BYTES - needs.fixed
    # A quarter for the lanes in the program, the rest for what is given back.
    fitting = left // 4 // (needs.lane * smallest) * smallest
    slab = max(smallest, min(fitting, LARGEST_SLAB // smallest * smallest))
    cohort = (left - slab * needs.lane) // max(needs.result, 1)
    if cohort < smallest:
        least = _RUNTIME_BYTES + needs.fixed + smallest * (needs.lane + needs.result)
        raise TrainingError(
            f"memory_budget: {allowed / 2**20:,.0f} MiB do not hold {smallest} configurations, "
            f"which take {least / 2**20:,.0f} MiB",
            "Raise training.memory_budget_mib, or use fewer bars, features or seeds",
        )
    return Plan(allowed, slab, cohort, needs)


def available() -> int:
    """Bytes that this process could take now, within its container's limit where it has one."""
    found = [_physical()]
    with contextlib.suppress(OSError, ValueError):
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii")
        if limit != "max":
            found.append(max(int(limit) - int(used), 0))
    return min(found)


def _physical() -> int:
    """Bytes free or reclaimable by the kernel's own estimate, else half of what is built in."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    pages = os.sysconf("SC_PHYS_PAGES")
    return pages * os.sysconf("SC_PAGE_SIZE") // 2
