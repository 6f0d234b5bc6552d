from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from windtunnel.serving import start

VARIABLES = (
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES",
)
# Once the environment, read by a jax that is imported later, and once the jax that is here.
SHARE = """
import json, sys
from windtunnel.serving.start import share_compilations
if sys.argv[1] == "before":
    import jax
share_compilations()
assert ("jax" in sys.modules) == (sys.argv[1] == "before")
import jax
print(json.dumps([
    jax.config.jax_compilation_cache_dir,
    jax.config.jax_persistent_cache_min_compile_time_secs,
    jax.config.jax_persistent_cache_min_entry_size_bytes,
]))
"""


@pytest.fixture
def private(monkeypatch, tmp_path):
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "jax", raising=False)  # which is left as it is
    return tmp_path / "windtunnel"


@pytest.mark.parametrize("imported", ["before", "after"])
def test_jax_keeps_what_it_compiles(imported, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", SHARE, imported],
        capture_output=True, text=True, check=True,
        env={**environment, "XDG_CACHE_HOME": str(tmp_path)},
    )  # fmt: skip
    directory, seconds, size = json.loads(done.stdout)
    assert directory == str(tmp_path / "windtunnel" / "serving")
    assert (seconds, size) == (0.0, -1)


def test_the_directory_is_this_users_alone(private):
    start.share_compilations()
    directory = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    assert directory.is_relative_to(private)
    assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720])
def test_a_directory_that_others_may_write_to_is_not_used(private, mode):
    start.share_compilations()
    Path(os.environ["JAX_COMPILATION_CACHE_DIR"]).chmod(mode)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = ""
    start.share_compilations()
    other = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    assert not other.is_relative_to(private)
    assert other.stat().st_mode & 0o777 == 0o700


def test_a_directory_of_the_users_own_choice_is_left(private, monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    start.share_compilations()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path)
    assert not private.exists()


def test_what_is_loaded_is_not_collected_even_when_loading_fails():
    def fail():
        with start.uncollected():
            assert not gc.isenabled()
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - the very one
        fail()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    gc.unfreeze()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with start.uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
