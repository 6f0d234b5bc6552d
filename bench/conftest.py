"""What every bench shares: the JSON says on what machine and from which versions it came."""

from __future__ import annotations

from typing import Any

from windtunnel import environment


def pytest_benchmark_update_machine_info(config: Any, machine_info: dict[str, Any]) -> None:
    """Add versions, instruction set and devices, which explain more than the clock rate."""
    del config  # asked for by name, not needed
    machine_info["windtunnel"] = environment.describe()
