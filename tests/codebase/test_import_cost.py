"""`import windtunnel` is quick, because what is heavy is imported where it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIMIT_S = 0.3
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
import sys, time
begin = time.perf_counter()
import windtunnel
print(time.perf_counter() - begin)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def import_once() -> tuple[float, set[str]]:
    """Seconds that the import takes in a new process, and the packages loaded after it."""
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return float(answer[0]), set(answer[1].split())


@pytest.fixture(scope="module")
def imports() -> list[tuple[float, set[str]]]:
    return [import_once() for _ in range(3)]


def test_import_is_quick(imports: list[tuple[float, set[str]]]) -> None:
    assert min(seconds for seconds, _ in imports) < LIMIT_S


def test_import_loads_nothing_heavy(imports: list[tuple[float, set[str]]]) -> None:
    loaded = imports[0][1]
    assert "windtunnel" in loaded
    assert loaded.isdisjoint(HEAVY), loaded & set(HEAVY)


def test_the_public_face_is_there() -> None:
    """Names that are loaded on first use do load."""
    import windtunnel

    assert {name for name in windtunnel.__all__ if not hasattr(windtunnel, name)} == set()
