"""Verify a version in a process of its own, before it may come near the one that serves.

The child loads, replays and compiles; what it compiled is left in a cache that both
processes share, so that the service later loads programs in place of compiling them. A
bundle that takes its process down takes down the child.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import jax

from windtunnel.deployment.bundle import load_bundle
from windtunnel.deployment.replay import replay
from windtunnel.errors import BundleError, WindtunnelError
from windtunnel.serving.predictor import Predictor

_SECONDS = 600.0


def share_compilations() -> None:
    """Keep compiled programs in a directory of this user, for child processes too.

    The directory holds machine code that is run when it is loaded, so one that others may
    write to is not used.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    directory = _private_directory()
    settings = {
        "jax_compilation_cache_dir": str(directory),
        "jax_persistent_cache_min_compile_time_secs": "0",
        "jax_persistent_cache_min_entry_size_bytes": "-1",
    }
    for name, value in settings.items():
        os.environ[name.upper()] = value
    jax.config.update("jax_compilation_cache_dir", str(directory))  # type: ignore[no-untyped-call]
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # type: ignore[no-untyped-call]
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)  # type: ignore[no-untyped-call]


def verify(path: Path) -> tuple[bool, str]:
    """Whether the bundle at `path` loads, replays and compiles, and a sentence about it.

    Never raises for what the bundle does: also a child that crashed or hung is a verdict.
    """
    command = [sys.executable, "-m", "windtunnel.serving.apart", str(path)]
    try:
        done = subprocess.run(  # noqa: S603 - this module, a path that the registry made
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False, f"It did not replay within {_SECONDS:g} s."
    try:
        verdict = json.loads(done.stdout.strip().splitlines()[-1])
        return bool(verdict["ok"]), str(verdict["sentence"])
    except (ValueError, IndexError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return False, f"Its process ended with {done.returncode}: {last[:300]}"


def examine(path: Path) -> tuple[bool, str]:
    """What the child does: load, replay, compile every size of batch."""
    try:
        bundle = load_bundle(path)
        certificate = replay(bundle)
        if certificate.ok:
            Predictor(bundle, 0).warm()
    except WindtunnelError as error:
        return False, error.problem
    return certificate.ok, certificate.sentence


def require(path: Path, name: str, version: int) -> None:
    """Verify a version apart.

    Raises
    ------
    BundleError
        It is not fit to serve.
    """
    ok, sentence = verify(path)
    if not ok:
        raise BundleError(
            f"version {version} of {name!r} is not fit to serve: {sentence}",
            "Export it again with the versions installed here, or promote another version",
        )


def _private_directory() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = base / "windtunnel" / f"serving-{jax.__version__}"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = directory.stat()
        others = stat.S_IWGRP | stat.S_IWOTH
        if found.st_uid == os.getuid() and not found.st_mode & others:
            return directory
    except OSError:  # read-only, as in a hardened container
        pass
    return Path(tempfile.mkdtemp(prefix="windtunnel-"))


if __name__ == "__main__":
    os.nice(5)  # the parent's clients are waiting
    share_compilations()
    fit, words = examine(Path(sys.argv[1]))
    sys.stdout.write(json.dumps({"ok": fit, "sentence": words}) + "\n")
