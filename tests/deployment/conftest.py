"""One exported bundle for all tests of the package; it is only read."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

from windtunnel.deployment.manifest import MANIFEST, SEAL, read_verified, seal


def _example_module():
    path = Path(__file__).with_name("bundle_example.py")
    spec = importlib.util.spec_from_file_location("bundle_example", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bundle_example"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def maker():
    """The module that makes the example; test modules cannot import one another."""
    return _example_module()


@pytest.fixture(scope="session")
def example(maker):
    return maker.make_example()


@pytest.fixture(scope="session")
def bundle_path(maker, example, tmp_path_factory):
    return maker.export_example(example, tmp_path_factory.mktemp("bundles") / "example")


@pytest.fixture(scope="session")
def variants(bundle_path):
    """Makes different bundles without exporting each: equal contents, another manifest."""

    def make(directory, count, *, first=0, **changes):
        made = []
        for trial in range(first, first + count):
            path = shutil.copytree(bundle_path, directory / f"bundle-{trial}")
            raw = json.loads((path / MANIFEST).read_bytes()) | {"trial": trial} | changes
            written = json.dumps(raw).encode()
            (path / MANIFEST).write_bytes(written)
            (path / SEAL).write_bytes(seal(written))
            made.append(path)
        return made

    return make


@pytest.fixture(scope="session")
def check_whole():
    """Checks that versions are complete, aliases name versions, and the log tells all of it."""

    def check(registry, name="example"):
        state = registry.state(name)
        log = registry.history(name)
        assert state.sequence == len(log)
        assert [entry["sequence"] for entry in log] == list(range(1, len(log) + 1))
        registered = [entry for entry in log if entry["action"] == "registered"]
        assert [entry["sequence"] for entry in registered] == list(state.registered)
        assert [entry["details"]["version"] for entry in registered] == list(state.numbers)
        for version in registry.versions(name):
            read_verified(registry.local(version))
        assert set(state.aliases.values()) <= set(state.numbers)
        assert not set(state.aliases.values()) & set(state.retired)
        assert state.generation == len(log) - len(registered)
        champion = None
        for entry in log:
            if entry["action"] in {"promoted", "rolled_back"}:
                assert entry["details"]["from"] == champion
                champion = entry["details"]["version"]
            assert entry["state"]["champion"] == champion
        assert state.champion == champion
        return state

    return check
