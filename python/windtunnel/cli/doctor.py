"""What `windtunnel doctor` reports: enough to tell why a run is slow or differs."""

from __future__ import annotations

import os

from windtunnel import environment
from windtunnel.trainers import devices


def examine() -> dict[str, str]:
    """Versions, devices, instruction set in use, threads and cache location."""
    devices.configure_cpu()
    found = environment.describe()
    return {
        **found,
        "cores": str(os.cpu_count()),
        "usable_cores": str(len(os.sched_getaffinity(0)))
        if hasattr(os, "sched_getaffinity")
        else str(os.cpu_count()),
        "cache": str(devices.cache_directory()),
    }
