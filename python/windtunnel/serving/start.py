"""A quick start: what was compiled once is kept, and nothing is collected while modules load.

Importing jax makes some hundred thousand objects that stay for good. The garbage collector
walks through them again and again while more modules load, and later whenever the service has
made some objects of its own; both are in vain.
"""

from __future__ import annotations

import contextlib
import gc
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Load something for good: collect no garbage meanwhile, and none of it ever."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def share_compilations() -> None:
    """Keep compiled programs in a directory of this user, for child processes too.

    The directory holds machine code that is run when it is loaded, so one that others may
    write to is not used. Takes least time before jax is imported.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    settings: dict[str, str | float | int] = {
        "jax_compilation_cache_dir": str(_private_directory()),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in settings.items():
        os.environ[name.upper()] = str(value)
    if "jax" in sys.modules:  # it has read its environment
        import jax  # noqa: PLC0415 - and it is not imported for this alone

        for name, value in settings.items():
            jax.config.update(name, value)  # type: ignore[no-untyped-call]


def _private_directory() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = base / "windtunnel" / "serving"  # jax tells its versions apart by itself
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = directory.stat()
        others = stat.S_IWGRP | stat.S_IWOTH
        if found.st_uid == os.getuid() and not found.st_mode & others:
            return directory
    except OSError:  # read-only, as in a hardened container
        pass
    import tempfile  # noqa: PLC0415 - hardly ever

    return Path(tempfile.mkdtemp(prefix="windtunnel-"))
