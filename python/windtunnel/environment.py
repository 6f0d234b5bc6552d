"""What decides the bits of a result: code, versions, devices and flags, as plain strings."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

DEVICE_COUNT = "--xla_force_host_platform_device_count"
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "optuna", "numba", "numpy", "polars")


def version() -> str:
    """Version of the installed package."""
    return metadata.version("windtunnel")


def versions() -> dict[str, str]:
    """Versions of Windtunnel, Python and the libraries that a result rests on.

    `code` is a digest of the package's Python files.
    """
    found = {name: metadata.version(name) for name in LIBRARIES}
    own = {"windtunnel": version(), "code": _digest("*.py")}
    return {**own, "python": platform.python_version(), **found}


@cache
def _digest(pattern: str) -> str:
    """Of the package's files: between two releases many programs bear the same version."""
    folder, digest = Path(__file__).parent, hashlib.sha256()
    for path in sorted(folder.rglob(pattern)):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def decisive() -> dict[str, str]:
    """What two runs must share to agree bit for bit: all of `describe` but the device count.

    Lanes are computed the same way on any number of devices.
    """
    found = describe()
    del found["devices"]
    flags = (flag for flag in found["xla_flags"].split() if not flag.startswith(DEVICE_COUNT))
    return {**found, "xla_flags": " ".join(flags)}


def describe() -> dict[str, str]:
    """Versions, machine, devices and flags. JAX is started to name its devices."""
    from windtunnel.backtest.native import core  # noqa: PLC0415 - compiled, only needed here
    from windtunnel.trainers.devices import describe as devices  # noqa: PLC0415 - starts jax

    return {
        **versions(),
        "machine": platform.machine(),
        "system": platform.system(),
        "engine": _digest("_core*"),
        "engine_instruction_set": core.instruction_set(),
        **devices(),
    }
