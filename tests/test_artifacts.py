"""Files appear whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from windtunnel import artifacts


class FullDiskError(OSError):
    pass


def test_old_content_stays_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    artifacts.write_text(path, "old")

    def full(_handle: int) -> None:
        raise FullDiskError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FullDiskError):
        artifacts.write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_nan_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        artifacts.write_json(tmp_path / "x.json", {"sharpe": math.nan})
    assert list(tmp_path.iterdir()) == []


def test_json_is_the_same_whatever_the_order(tmp_path: Path) -> None:
    artifacts.write_json(tmp_path / "a", {"b": 1, "a": 2})
    artifacts.write_json(tmp_path / "b", {"a": 2, "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert json.loads((tmp_path / "a").read_text()) == {"a": 2, "b": 1}


def test_directory_is_there_only_when_finished(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    with artifacts.new_directory(path) as fresh:
        (fresh / "inner").mkdir()
        (fresh / "inner" / "file").write_text("x")
        assert not path.exists()
    assert (path / "inner" / "file").read_text() == "x"


def test_failed_directory_leaves_nothing(tmp_path: Path) -> None:
    def build() -> None:
        with artifacts.new_directory(tmp_path / "bundle") as fresh:
            (fresh / "file").write_text("x")
            raise FullDiskError

    with pytest.raises(FullDiskError):
        build()
    assert list(tmp_path.iterdir()) == []


def test_directory_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()

    def build() -> None:
        with artifacts.new_directory(tmp_path / "bundle"):
            pass

    with pytest.raises(FileExistsError):
        build()


def test_killed_writer_leaves_old_or_new(tmp_path: Path) -> None:
    path = tmp_path / "state"
    code = (
        "import sys; from windtunnel.artifacts import write_bytes\n"
        "n = 0\n"
        "while True:\n"
        "    n = 1 - n\n"
        "    write_bytes(sys.argv[1], (b'a', b'b')[n] * 100_000)\n"
        "    print('.', flush=True)\n"
    )
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        content = path.read_bytes()
        assert len(content) == 100_000
        assert len(set(content)) == 1


def test_torn_line_does_not_swallow_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    artifacts.append_line(path, "one")
    with path.open("a") as file:
        file.write("torn")
    artifacts.append_line(path, "two")
    assert path.read_text().splitlines() == ["one", "torn", "two"]


def test_digests_name_what_changed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    (tmp_path / "y").write_text("2")
    before = artifacts.digests(tmp_path)
    assert list(before) == ["a/x", "y"]
    (tmp_path / "a" / "x").write_text("3")
    after = artifacts.digests(tmp_path, leave_out=frozenset({"y"}))
    assert list(after) == ["a/x"]
    assert after["a/x"] != before["a/x"]


def test_of_two_who_make_a_directory_the_second_is_told(tmp_path):
    late = artifacts.new_directory(tmp_path / "made")
    (late.__enter__() / "file").write_text("late")
    with artifacts.new_directory(tmp_path / "made") as early:
        (early / "file").write_text("early")
    with pytest.raises(FileExistsError):
        late.__exit__(None, None, None)
    assert (tmp_path / "made" / "file").read_text() == "early"
    assert len(list(tmp_path.iterdir())) == 1


def test_of_many_who_create_a_file_one_succeeds(tmp_path):
    start = threading.Barrier(8)
    created = []

    def create(me):
        start.wait()
        created.append((artifacts.create_bytes(tmp_path / "one", me), me))

    threads = [threading.Thread(target=create, args=(bytes([me]) * 9999,)) for me in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [me for success, me in created if success]
    assert (tmp_path / "one").read_bytes() == winner
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_directory_appears_when_all_of_it_is_on_the_disk(tmp_path, monkeypatch):
    synced = []
    real = artifacts.sync

    def sync(path):
        assert (tmp_path / "new").exists() == (path == tmp_path)
        synced.append(path.name)
        real(path)

    monkeypatch.setattr(artifacts, "sync", sync)
    with artifacts.new_directory(tmp_path / "new") as fresh:
        names = [f"file_{number}" for number in range(20)]
        for name in names:
            (fresh / name).write_text(name)
        own = fresh.name
    assert sorted(synced[:-1]) == sorted([*names, own])
    assert synced[-1] == tmp_path.name


def test_a_directory_that_does_not_reach_the_disk_does_not_appear(tmp_path, monkeypatch):
    def sync(path):
        if path.name == "file":
            raise OSError("no space left")

    monkeypatch.setattr(artifacts, "sync", sync)

    def make():
        with artifacts.new_directory(tmp_path / "new") as fresh:
            (fresh / "file").write_text("x")

    with pytest.raises(OSError, match="no space left"):
        make()
    assert list(tmp_path.iterdir()) == []
