"""What every bench shares: the JSON says on what machine and from which versions it came."""

from __future__ import annotations

import os
from typing import Any

from windtunnel import environment


def pytest_benchmark_update_machine_info(config: Any, machine_info: dict[str, Any]) -> None:
    """Add versions, instruction set and devices, which explain more than the clock rate.

    And whether the bench ran at real-time priority: what else the machine did then waited.
    """
    del config  # asked for by name, not needed
    machine_info["node"] = "bench"  # results are published, the name of the machine is not
    machine_info["windtunnel"] = environment.describe()
    if hasattr(os, "sched_getscheduler"):  # Linux
        policy = os.sched_getscheduler(0)
        machine_info["real_time"] = policy in (os.SCHED_FIFO, os.SCHED_RR)
