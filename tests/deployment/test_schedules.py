"""Two writers whose accesses to the store interleave in every way a seed can choose."""

from __future__ import annotations

import threading
import uuid

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from windtunnel.deployment.directory_store import DirectoryStore
from windtunnel.deployment.object_store import ObjectStore
from windtunnel.deployment.registry import Registry
from windtunnel.errors import RegistryError


class Killed(BaseException):
    """The writer dies here; nothing after this line of it happens."""


class Baton:
    """Lets one of the threads run at a time, and passes on at random before each access."""

    def __init__(self, seed, threads):
        self._random = np.random.default_rng(seed)
        self._turn = threading.Condition()
        self._alive = set(range(threads))
        self._holder = int(self._random.integers(threads))

    def wait(self, me):
        with self._turn:
            self._pass_on()
            self._turn.wait_for(lambda: self._holder == me, timeout=30)

    def leave(self, me):
        with self._turn:
            self._alive.discard(me)
            self._pass_on()

    def _pass_on(self):
        if self._alive:
            self._holder = int(self._random.choice(sorted(self._alive)))
            self._turn.notify_all()


class Scheduled:
    """A store that waits for its turn before each access, and may die at one of them."""

    def __init__(self, store, baton, me, dies):
        self._store, self._baton, self._me, self._left = store, baton, me, dies
        self.location = store.location

    def __getattr__(self, name):
        call = getattr(self._store, name)

        def scheduled(*args):
            self._baton.wait(self._me)
            self._left -= 1
            if self._left == 0:
                raise Killed
            return call(*args)

        return scheduled


def directory(tmp_path):
    return DirectoryStore(tmp_path / uuid.uuid4().hex)


def memory(_):
    name = uuid.uuid4().hex
    return ObjectStore(MemoryFileSystem(), f"/{name}", f"memory://{name}")


def writer(registry, script, random, acknowledged, refused):
    """Carry out a list of operations; note what was acknowledged and what was refused."""
    for operation, bundle in script:
        try:
            if operation == "register":
                registry.register(bundle, note="")
            elif operation == "promote":
                numbers = registry.state("example").numbers
                registry.promote("example", int(random.choice(numbers)), why="")
            elif operation == "rollback":
                registry.rollback("example", why="")
            elif operation == "canary":
                numbers = registry.state("example").numbers
                registry.start_canary("example", int(random.choice(numbers)), weight=0.2)
            elif operation == "stop":
                registry.stop_canary("example", why="")
            elif operation == "swap":
                generation = registry.state("example").generation
                registry.promote("example", 1, why="", generation=generation)
            acknowledged.append(operation)
        except RegistryError:
            refused.append(operation)


WORDS = {
    "register": "registered",
    "promote": "promoted",
    "swap": "promoted",
    "rollback": "rolled_back",
    "canary": "canary_started",
    "stop": "canary_stopped",
}


# A directory waits for the disk at every write, memory does not.
@pytest.mark.parametrize(("kind", "schedules"), [(directory, 50), (memory, 150)])
def test_random_schedules_of_two_writers(
    kind, schedules, variants, tmp_path, monkeypatch, check_whole
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundles = variants(tmp_path, 4)
    contended = killed = 0
    for seed in range(schedules):
        random = np.random.default_rng(seed)
        store = kind(tmp_path)
        first = Registry(store, certify=lambda _: (True, ""))
        for bundle in bundles[:2]:
            first.register(bundle, note="")
        first.promote("example", 1, why="")
        baton = Baton(seed, 2)
        done, threads = [], []
        for me in range(2):
            dies = int(random.integers(1, 40)) if random.random() < 0.5 else 10**9
            scripted = Scheduled(store, baton, me, dies)
            registry = Registry(scripted, certify=lambda _: (True, ""))
            names = random.choice(list(WORDS), 4)
            script = [(name, bundles[2 + int(random.integers(2))]) for name in names]
            notes = ([], [], [])
            done.append(notes)

            def work(registry=registry, script=script, notes=notes, me=me, seed=seed, baton=baton):
                own = np.random.default_rng([seed, me])
                try:
                    writer(registry, script, own, notes[0], notes[1])
                except Killed:
                    notes[2].append("killed")
                finally:
                    baton.leave(me)

            threads.append(threading.Thread(target=work))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        check_whole(first)
        log = [entry["action"] for entry in first.history("example")][3:]
        said = [WORDS[name] for acknowledged, _, _ in done for name in acknowledged]
        # A repeated registration is acknowledged without a record of its own; a killed writer
        # may have moved an alias and not lived to say so.
        deaths = sum(len(notes[2]) for notes in done)
        for action in set(WORDS.values()) - {"registered"}:
            assert 0 <= log.count(action) - said.count(action) <= deaths
        assert log.count("registered") <= 2
        killed += deaths
        contended += sum(len(notes[1]) for notes in done)
    assert killed > 20
    assert contended > 20
