"""`import windtunnel` is quick, because what is heavy is imported where it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

MOST_MODULES = 40  # of the standard library and our own; time would be that of the machine
HEAVY = (
    "fastapi",
    "flax",
    "jax",
    "jaxlib",
    "llvmlite",
    "numba",
    "optax",
    "optuna",
    "plotly",
    "polars",
    "ray",
    "scipy",
)
PROGRAM = """
import sys
before = set(sys.modules)
import windtunnel
print(*sorted(sys.modules.keys() - before))
"""


@pytest.fixture(scope="module")
def loaded() -> list[str]:
    """Modules that the import loads in a new process."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    ).stdout.split()


def test_import_loads_little(loaded: list[str]) -> None:
    assert "windtunnel" in loaded
    assert len(loaded) <= MOST_MODULES, loaded


def test_import_loads_nothing_heavy(loaded: list[str]) -> None:
    packages = {name.partition(".")[0] for name in loaded}
    assert packages.isdisjoint(HEAVY), packages & set(HEAVY)


def test_the_public_face_is_there() -> None:
    """Names that are loaded on first use do load."""
    import windtunnel

    assert {name for name in windtunnel.__all__ if not hasattr(windtunnel, name)} == set()
