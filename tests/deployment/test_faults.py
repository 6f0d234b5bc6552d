"""What goes wrong around a deployment: full disks, tampered files, clocks that jump, bad names."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from windtunnel.deployment import chain, exporter
from windtunnel.deployment.bundle import load_bundle
from windtunnel.deployment.manifest import FILES, MANIFEST, SEAL, read_verified, seal
from windtunnel.deployment.registry import Registry
from windtunnel.errors import BundleError, RegistryError


def passes(_):
    return True, ""


@contextlib.contextmanager
def no_file_beyond(size):
    """The kernel refuses to let any file grow beyond `size` bytes, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 500, 5000])
def test_disk_full_while_exporting_leaves_nothing(maker, example, tmp_path, size):
    with (
        no_file_beyond(size),
        pytest.raises(BundleError, match=r"cannot be written: File too large"),
    ):
        maker.export_example(example, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []
    maker.export_example(example, tmp_path / "bundle")


def test_disk_full_at_any_step_of_an_export_leaves_nothing(maker, example, tmp_path, monkeypatch):
    """Each call that writes fails in turn, until there is room for all of them."""
    left = [0]

    def failing(call):
        def limited(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return call(*args, **kwargs)

        return limited

    monkeypatch.setattr(exporter, "_export", remembered(exporter._export))
    monkeypatch.setattr(Path, "write_bytes", failing(Path.write_bytes))
    monkeypatch.setattr(Path, "rename", failing(Path.rename))
    monkeypatch.setattr(os, "mkdir", failing(os.mkdir))
    monkeypatch.setattr(os, "fsync", failing(os.fsync))
    # Two folders, six files, as many to be flushed and the folder, its new name, its parent.
    steps = 2 + 6 + 7 + 1 + 1
    for room in range(steps):
        left[0] = room
        with pytest.raises(BundleError, match="cannot be written: No space left on device"):
            maker.export_example(example, tmp_path / "bundle")
        assert list(tmp_path.iterdir()) == [], f"after {room} steps"
    left[0] = steps
    load_bundle(maker.export_example(example, tmp_path / "bundle"))


def remembered(call):
    """The same program each time: it is not what is tested, and takes a second to lower."""
    kept = []

    def once(*args, **kwargs):
        if not kept:
            kept.append(call(*args, **kwargs))
        return kept[0]

    return once


@pytest.mark.parametrize("size", [0, 500, 5000])
def test_disk_full_while_registering_changes_nothing(
    variants, tmp_path, check_whole, monkeypatch, size
):
    first, second = variants(tmp_path, 2)
    registry = Registry(tmp_path / "registry", certify=passes)
    registry.register(first, note="")
    before = registry.state("example")
    with (
        no_file_beyond(size),
        pytest.raises(RegistryError, match=r"cannot be written: File too large.*half-written"),
    ):
        registry.register(second, note="")
    assert registry.state("example") == before
    assert [path.name for path in (tmp_path / "registry" / ".unfinished").iterdir()] == []
    check_whole(registry)
    assert registry.register(second, note="once there is room") == 2
    check_whole(registry)


def test_disk_full_while_promoting_changes_nothing(variants, tmp_path, check_whole):
    registry = Registry(tmp_path / "registry", certify=passes)
    for bundle in variants(tmp_path, 2):
        registry.register(bundle, note="")
    registry.promote("example", 1, why="")
    before = registry.state("example")
    with no_file_beyond(100), pytest.raises(RegistryError, match="cannot be written"):
        registry.promote("example", 2, why="")
    assert registry.state("example") == before
    assert registry.promote("example", 2, why="").champion == 2
    check_whole(registry)


def test_file_system_without_hard_links_is_told(variants, tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    registry = Registry(tmp_path / "registry", certify=passes)
    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(RegistryError, match="it needs hard links"):
        registry.register(variants(tmp_path, 1)[0], note="")
    assert registry.names() == ()


@pytest.fixture(scope="module")
def whole(bundle_path):
    return {name: (bundle_path / name).read_bytes() for name in FILES}


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_altered_byte_is_found_before_parsing(whole, tmp_path, data):
    path = tmp_path / "altered"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    name = data.draw(st.sampled_from(FILES))
    content = bytearray(whole[name])
    at = data.draw(st.integers(0, len(content) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "swap"]))
    if kind == "flip":
        content[at] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del content[at:]
    elif kind == "insert":
        content[at:at] = data.draw(st.binary(min_size=1, max_size=8))
    else:
        other = data.draw(st.sampled_from([each for each in FILES if each != name]))
        content = bytearray(whole[other])
    for file, kept in whole.items():
        (path / file).write_bytes(bytes(content) if file == name else kept)
    with pytest.raises(BundleError, match=MANIFEST if name == SEAL else name.replace(".", r"\.")):
        load_bundle(path)


def test_manifest_that_was_rewritten_with_its_seal_is_not_the_registered_one(bundle_path, tmp_path):
    """Digests find accidents; who can rewrite the seal is stopped by the registry's record."""
    registry = Registry(tmp_path / "registry", certify=passes)
    registry.register(bundle_path, note="")
    version = registry.resolve("example", 1)
    local = registry.local(version)
    raw = json.loads((local / MANIFEST).read_bytes()) | {"verdict": "a sure thing"}
    written = json.dumps(raw).encode()
    for name, content in ((MANIFEST, written), (SEAL, seal(written))):
        (local / name).chmod(0o644)
        (local / name).write_bytes(content)
    read_verified(local)
    with pytest.raises(BundleError, match="is not the bundle that was registered"):
        registry.load(version)


def test_clock_that_jumps_changes_no_order(variants, tmp_path, monkeypatch, check_whole):
    years = (2030, 2010, 2099, 1999, 2050, 2011)

    class Clock:
        moments = (datetime(year, 1, 1, tzinfo=UTC) for year in years)

        @classmethod
        def now(cls, zone):
            return next(cls.moments)

    monkeypatch.setattr(chain, "datetime", Clock)
    registry = Registry(tmp_path / "registry", certify=passes)
    for bundle in variants(tmp_path, 2):
        registry.register(bundle, note="")
    registry.promote("example", 1, why="")
    state = registry.promote("example", 2, why="")
    assert state.aliases == {"champion": 2, "previous": 1}
    seen = Registry(tmp_path / "registry", certify=passes).state(
        "example", registry.state("example")
    )
    assert seen.champion == 2
    assert registry.rollback("example", why="").champion == 1
    registry.start_canary("example", 2, weight=0.5)
    assert [int(entry["at"][:4]) for entry in registry.history("example")] == list(years)
    check_whole(registry)


NAMES = st.one_of(
    st.sampled_from(
        [
            *("..", ".", "", "/", "../x", "a/../b", "a\\b", "a\x00", "~", "A", ".hidden", "a b"),
            *("-a", "a\n", "é", "%2e%2e", "a" * 64, "con:", "a//b", "\u202ea"),
        ]
    ),
    st.text(max_size=8).filter(lambda text: not text.isascii() or not text.isalnum()),
)


@given(NAMES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_name_leads_out_of_the_registry(tmp_path, name):
    registry = Registry(tmp_path / "registry", certify=passes)
    if is_fine(name):
        assert registry.state(name).registered == ()
        return
    for call in (registry.state, registry.history, registry.resolve, registry.versions):
        with pytest.raises(RegistryError, match="model name: must be"):
            call(name)
    for change in (
        lambda: registry.promote(name, 1, why=""),
        lambda: registry.rollback(name, why=""),
        lambda: registry.retire(name, 1, why=""),
        lambda: registry.start_canary(name, 1, weight=0.1),
    ):
        with pytest.raises(RegistryError, match="model name: must be"):
            change()
    assert not (tmp_path / "registry").exists()


def is_fine(name):
    return (
        len(name) < 64
        and name.isascii()
        and name[:1].isalnum()
        and name == name.lower()
        and all(c.isalnum() or c in "_-" for c in name)
    )


@pytest.mark.parametrize("name", ["../../evil", "a/b", "", "Example", "x" * 64])
def test_bundle_whose_name_leads_elsewhere_is_refused(variants, tmp_path, name):
    (path,) = variants(tmp_path, 1, name=name)
    registry = Registry(tmp_path / "registry", certify=passes)
    with pytest.raises(BundleError, match=r"manifest\.json: name: "):
        registry.register(path, note="")
    assert not (tmp_path / "registry").exists()
