from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from windtunnel.deployment.manifest import MANIFEST, SEAL, read_verified, seal
from windtunnel.deployment.registry import Registry
from windtunnel.errors import BundleError, RegistryError

PASSES = "lambda path: (True, 'not replayed in this test')"


def passes(_):
    return True, "not replayed in this test"


def variants(bundle_path, directory, count, *, first=0):
    """Different bundles without exporting each: the same contents, another trial number."""
    made = []
    for trial in range(first, first + count):
        path = shutil.copytree(bundle_path, directory / f"bundle-{trial}")
        raw = json.loads((path / MANIFEST).read_bytes()) | {"trial": trial}
        written = json.dumps(raw).encode()
        (path / MANIFEST).write_bytes(written)
        (path / SEAL).write_bytes(seal(written))
        made.append(path)
    return made


def check_whole(registry):
    """Every version is complete, aliases name versions, and the log tells all of it."""
    versions = registry.versions("example")
    assert [found.version for found in versions] == list(range(1, len(versions) + 1))
    for found in versions:
        read_verified(found.path)
    aliases = registry.aliases("example")
    assert set(aliases.versions.values()) <= {found.version for found in versions}
    log = registry.history("example")
    assert sorted(e["version"] for e in log if e["action"] == "registered") == [
        found.version for found in versions
    ]
    moves = [entry for entry in log if entry["action"] == "alias"]
    assert [entry["generation"] for entry in moves] == list(range(1, aliases.generation + 1))
    if moves:
        assert aliases.versions[moves[-1]["alias"]] == moves[-1]["version"]
    return versions, aliases


def test_register_replays_copies_and_names(bundle_path, tmp_path):
    registry = Registry(tmp_path / "registry")
    assert registry.names() == ()
    assert registry.register(bundle_path, note="first", alias="champion", who="ada") == 1
    found = registry.resolve("example")
    assert found.version == 1
    assert found.note == "first"
    assert "replay within" in found.certificate
    assert found.path != bundle_path
    assert registry.load(found).manifest.trial == 41
    assert registry.find(bundle_path) == found
    registered, moved = registry.history("example")
    assert (registered["action"], registered["who"], registered["why"]) == (
        "registered",
        "ada",
        "first",
    )
    assert (moved["alias"], moved["version"], moved["before"], moved["generation"]) == (
        "champion", 1, None, 1,
    )  # fmt: skip
    check_whole(registry)


def test_first_version_is_champion_only_when_asked(bundle_path, tmp_path):
    registry = Registry(tmp_path, certify=passes)
    registry.register(bundle_path, note="")
    assert registry.aliases("example").versions == {}
    with pytest.raises(RegistryError, match="has no alias 'champion'"):
        registry.resolve("example")
    assert registry.resolve("example", 1) == registry.resolve("example", "1")


def test_a_registration_that_was_cut_off_can_be_asked_for_again(bundle_path, tmp_path):
    registry = Registry(tmp_path, certify=passes)
    registry.register(bundle_path, note="")  # killed before it moved the alias
    assert registry.register(bundle_path, note="", alias="champion") == 1
    assert registry.register(bundle_path, note="", alias="champion") == 1
    _, aliases = check_whole(registry)
    assert aliases.generation == 1


def test_bundle_that_does_not_replay_is_refused(maker, example, tmp_path):
    other = maker.random_params(example.features, seed=9)
    path = maker.export_example(example, tmp_path / "bundle", params=other)
    registry = Registry(tmp_path / "registry")
    with pytest.raises(RegistryError, match=r"does not replay: \d+ of \d+ scores differ"):
        registry.register(path, note="")
    assert registry.names() == ()


def test_damaged_bundle_is_refused(bundle_path, tmp_path):
    copy = shutil.copytree(bundle_path, tmp_path / "copy")
    (copy / "params.safetensors").write_bytes(b"")
    registry = Registry(tmp_path / "registry", certify=passes)
    with pytest.raises(BundleError, match="params"):
        registry.register(copy, note="")
    assert registry.names() == ()


def test_bundle_exchanged_inside_the_registry_is_caught(bundle_path, tmp_path):
    first, second = variants(bundle_path, tmp_path, 2)
    registry = Registry(tmp_path / "registry", certify=passes)
    registry.register(first, note="")
    found = registry.resolve("example", 1)
    shutil.rmtree(found.path)
    shutil.copytree(second, found.path)
    with pytest.raises(BundleError, match="is not the bundle that was registered"):
        registry.load(found)


def test_bundle_replaced_while_it_is_registered_is_refused(bundle_path, tmp_path):
    first, second = variants(bundle_path, tmp_path, 2)

    def swap(path):
        shutil.rmtree(path)
        shutil.copytree(second, path)
        return True, "passed"

    registry = Registry(tmp_path / "registry", certify=swap)
    with pytest.raises(RegistryError, match="was replaced while it was registered"):
        registry.register(first, note="")
    assert registry.names() == ()


def test_alias_moves_by_compare_and_swap(bundle_path, tmp_path):
    registry = Registry(tmp_path / "registry", certify=passes)
    for path in variants(bundle_path, tmp_path, 2):
        registry.register(path, note="")
    assert registry.set_alias("example", "champion", 1, who="a", why="b", generation=0) == 1
    assert registry.set_alias("example", "champion", 2, who="a", why="b", generation=1) == 2
    with pytest.raises(RegistryError, match="are of generation 2, expected 1"):
        registry.set_alias("example", "champion", 1, who="a", why="b", generation=1)
    assert registry.resolve("example", "champion").version == 2
    assert registry.history("example")[-1]["before"] == 1
    check_whole(registry)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.resolve("example", 7), r"has no version 7.*versions are \[1\]"),
        (lambda r: r.resolve("nothing"), "has no model 'nothing'.*Its models: example"),
        (lambda r: r.resolve("../example"), "model name: must be lower-case"),
        (lambda r: r.history("a/b"), "model name: must be lower-case"),
        (lambda r: r.aliases("example\n"), "model name: must be lower-case"),
        (lambda r: r.set_alias("example", "champion", 7, who="", why=""), "has no version 7"),
        (lambda r: r.set_alias("example", "king", 1, who="", why=""), "must be one of champion"),
        (lambda r: r.set_alias("nothing", "champion", 1, who="", why=""), "has no model"),
    ],
)
def test_registry_refuses(bundle_path, tmp_path, call, message):
    registry = Registry(tmp_path, certify=passes)
    registry.register(bundle_path, note="")
    with pytest.raises(RegistryError, match=message):
        call(registry)
    assert len(registry.history("example")) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["example"]


def test_log_cut_short_is_completed(bundle_path, tmp_path):
    first, second = variants(bundle_path, tmp_path, 2)
    registry = Registry(tmp_path / "registry", certify=passes)
    registry.register(first, note="one", alias="champion")
    log = tmp_path / "registry" / "example" / "log.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole[:-20])  # the move of the alias, torn
    check_whole(registry)
    registry.register(second, note="two\nactually")
    check_whole(registry)
    lines = [line for line in log.read_bytes().splitlines() if line.endswith(b"}")]
    assert [json.loads(line)["action"] for line in lines] == ["registered", "alias", "registered"]


WRITER = f"""
import sys
from windtunnel.deployment.registry import Registry
registry = Registry(sys.argv[1], certify={PASSES})
print("ready", flush=True)
for path in sys.argv[2:]:
    number = registry.register(path, note="n", alias="champion", who="w")
    registry.set_alias("example", "canary", number, who="w", why="y")
"""


def start_writer(registry, bundles):
    command = [sys.executable, "-c", WRITER, str(registry), *map(str, bundles)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "ready\n"
    return writer


def test_two_writers_number_without_a_gap(bundle_path, tmp_path):
    bundles = variants(bundle_path, tmp_path, 10)
    path = tmp_path / "registry"
    writers = [start_writer(path, bundles[:5]), start_writer(path, bundles[5:])]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    versions, aliases = check_whole(Registry(path))
    assert len(versions) == 10
    assert aliases.generation == 20


def test_killed_writer_leaves_the_old_state_or_the_new(bundle_path, tmp_path):
    schedule = np.random.default_rng(5)
    path = tmp_path / "registry"
    registry = Registry(path, certify=passes)
    registry.register(bundle_path, note="", alias="champion")
    cut_off = 0
    for attempt in range(8):
        bundles = variants(bundle_path, tmp_path, 4, first=100 + 4 * attempt)
        writer = start_writer(path, bundles)
        time.sleep(schedule.uniform(0, 0.08))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        cut_off += writer.returncode == -signal.SIGKILL
        check_whole(registry)  # as a reader, before anyone cleans up
        after = variants(bundle_path, tmp_path, 1, first=1000 + attempt)[0]
        number = registry.register(after, note="after", alias="champion")
        assert registry.resolve("example").version == number
        check_whole(registry)
        assert not list(Path(path).rglob(".*.tmp")), "leftovers are swept by the next writer"
    assert cut_off >= 4, "the writers ended before they could be killed"
