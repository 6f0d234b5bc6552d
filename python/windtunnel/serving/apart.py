"""Verify a version in a process of its own, before it may come near the one that serves.

The child loads, replays and compiles; what it compiled is left in a cache that both
processes share, so that the service later loads programs in place of compiling them. A
bundle that takes its process down takes down the child.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from windtunnel.deployment.bundle import load_bundle
from windtunnel.deployment.replay import replay
from windtunnel.errors import BundleError, WindtunnelError
from windtunnel.serving.predictor import Predictor
from windtunnel.serving.start import share_compilations

_SECONDS = 600.0


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


if __name__ == "__main__":
    os.nice(5)  # the parent's clients are waiting
    share_compilations()
    fit, words = examine(Path(sys.argv[1]))
    sys.stdout.write(json.dumps({"ok": fit, "sentence": words}) + "\n")
