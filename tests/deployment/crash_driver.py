"""Kill a writer with SIGKILL before each step it takes on the file system, one run a step.

Run as a program: registry template, operation. Prints one JSON line a killed run: the step,
and what a reader finds afterwards. Forks, since a new interpreter a step would take minutes;
it imports no library that has threads.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from windtunnel.deployment.manifest import read_verified
from windtunnel.deployment.registry import Registry

OPERATIONS = {
    "promote": lambda r, _: r.promote("example", 2, why="w"),
    "rollback": lambda r, _: r.rollback("example", why="w"),
    "canary": lambda r, _: r.start_canary("example", 3, weight=0.5, why="w"),
    "retire": lambda r, _: r.retire("example", 3, why="w"),
    "register": lambda r, bundle: r.register(bundle, note="n"),
}


class Steps:
    """Counts calls that change the file system; dies before call number `last`."""

    def __init__(self, last):
        self.last, self.taken, self.names = last, 0, []

    def take(self, name):
        if self.taken == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        self.taken += 1
        self.names.append(name)

    def hook(self):
        for name in ("open", "link", "unlink", "replace", "chmod", "mkdir", "fsync", "rename"):
            setattr(os, name, self._counted(name, getattr(os, name)))
        whole = os.fdopen

        def torn(handle, mode="r", *args, **kwargs):
            file = whole(handle, mode, buffering=0) if mode == "wb" else whole(handle, mode)
            if mode != "wb":
                return file
            return _HalfWriter(file, self)

        os.fdopen = torn

    def _counted(self, name, call):
        def counted(*args, **kwargs):
            self.take(name)
            return call(*args, **kwargs)

        return counted


class _HalfWriter:
    """Writes in two halves, so that a death can leave one of them."""

    def __init__(self, file, steps):
        self._file, self._steps = file, steps

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)

    def write(self, content):
        half = len(content) // 2
        self._steps.take("write")
        self._file.write(content[:half])
        self._steps.take("write the rest")
        self._file.write(content[half:])


def certify(_):
    return True, "not replayed in this test"


def run(path, operation, bundle, last):
    """Carry the operation out in a child that dies before step `last`; None when it ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        steps = Steps(last)
        steps.hook()
        try:
            OPERATIONS[operation](Registry(path, certify=certify), bundle)
            os.write(writing, json.dumps(steps.names).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        names = pipe.read()
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or names, "the writer failed without being killed"
    return None if killed else json.loads(names)


def look(path):
    """What a reader sees: the state, and whether all that it names is whole."""
    registry = Registry(path, certify=certify)
    state = registry.state("example")
    for version in registry.versions("example"):
        read_verified(registry.local(version))
    log = registry.history("example")
    return {
        "aliases": state.aliases,
        "retired": state.retired,
        "versions": len(state.registered),
        "generation": state.generation,
        "actions": [entry["action"] for entry in log],
        "logged": [entry["state"]["champion"] for entry in log][-1],
    }


def main():
    template, operation, bundle = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    step = 0
    while True:
        path = template.with_name(f"{template.name}-{operation}-{step}")
        shutil.copytree(template, path)
        ended = run(path, operation, bundle, step)
        found = look(path)
        if ended is None:
            again = True
            try:  # the next writer does the same, unless it has happened already
                OPERATIONS[operation](Registry(path, certify=certify), bundle)
            except Exception as error:  # noqa: BLE001 - reported, and judged by the test
                again = str(error)
            left = len(list(path.rglob(".*.tmp")))
            found |= {"again": again, "after": look(path), "left": left}
        outcome = {"step": step, "killed": ended is None, "steps": ended, **found}
        sys.stdout.write(json.dumps(outcome) + "\n")
        shutil.rmtree(path)
        if ended is not None:
            return
        step += 1


if __name__ == "__main__":
    main()
