"""What decides the bits of a result: versions, devices and flags, as plain strings."""

from __future__ import annotations

import platform
from importlib import metadata

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "optuna", "numba", "numpy", "polars")


def version() -> str:
    """Version of the installed package."""
    return metadata.version("windtunnel")


def versions() -> dict[str, str]:
    """Versions of Windtunnel, Python and the libraries that a result rests on."""
    found = {name: metadata.version(name) for name in LIBRARIES}
    return {"windtunnel": version(), "python": platform.python_version(), **found}


def describe() -> dict[str, str]:
    """Versions and the machine: everything that two runs must share to agree bit for bit.

    JAX is started to name its devices.
    """
    from windtunnel import _core  # noqa: PLC0415 - compiled, and only needed here
    from windtunnel.trainers import devices  # noqa: PLC0415 - imports jax

    return {
        **versions(),
        "machine": platform.machine(),
        "system": platform.system(),
        "engine_instruction_set": _core.instruction_set(),
        **{f"device_{key}": str(value) for key, value in devices.describe().items()},
    }
