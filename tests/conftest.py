"""What all tests share: Hypothesis profiles, JAX made strict, caches that leave no trace."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers

# Before anything imports JAX. An implicit mix of types is an error in tests: on the way to a
# user it would be a silent change of precision.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUMPY_DTYPE_PROMOTION", "strict")
# Compiled programs go to a directory of this session: a stale entry of the user's cache can
# neither help nor hurt a test. Child processes inherit it, the workers of pytest-xdist too.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _CACHE = Path(tempfile.mkdtemp(prefix="windtunnel-tests-"))
    atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
    os.environ["XDG_CACHE_HOME"] = str(_CACHE)

# `deadline=None`: the first example of a property often pays for a compilation.
settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, print_blob=True)
settings.register_profile("hunt", max_examples=2_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
# Hypothesis mixes the literals of every loaded local module into its examples. Scripts that some
# tests load would let the examples depend on what a worker has run before, derandomized or not.
providers._get_local_constants = lambda: providers._local_constants


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests go first: workers share the files, and none should end long after."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def root() -> Path:
    """Top of the repository."""
    return Path(__file__).parent.parent
