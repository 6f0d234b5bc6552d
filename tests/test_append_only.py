from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from windtunnel.append_only import AppendOnlyFile
from windtunnel.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> AppendOnlyFile:
    return AppendOnlyFile(tmp_path / "new" / "lines.jsonl", "list of things")


def add(file: AppendOnlyFile, *values: int) -> None:
    with file.exclusive() as held:
        for value in values:
            held.append({"value": value})


def test_records_come_back_in_order(file: AppendOnlyFile) -> None:
    assert file.read() == []
    add(file, 1)
    add(file, 2, 3)
    assert file.read() == [{"value": 1}, {"value": 2}, {"value": 3}]
    with file.exclusive() as held:
        assert held.read() == [{"value": 1}, {"value": 2}, {"value": 3}]


@pytest.mark.parametrize("torn", ['{"value": 2', "x", '{"value": "\\', "[1]", "7"])
def test_a_torn_last_line_is_ignored_and_then_removed(file: AppendOnlyFile, torn: str) -> None:
    add(file, 1)
    with file.path.open("a") as opened:
        opened.write(torn)
    with pytest.warns(UserWarning, match="list of things .* line 2 was left unfinished"):
        assert file.read() == [{"value": 1}]
    with pytest.warns(UserWarning, match="line 2 was left unfinished"):
        add(file, 2)
    add(file, 3)
    assert file.read() == [{"value": 1}, {"value": 2}, {"value": 3}]


def test_a_torn_utf8_character_is_a_torn_line(file: AppendOnlyFile) -> None:
    add(file, 1)
    with file.path.open("ab") as opened:
        opened.write('{"name": "ü'.encode()[:-1])
    with pytest.warns(UserWarning, match="line 2 was left unfinished"):
        assert file.read() == [{"value": 1}]


def test_a_last_line_that_lacks_only_its_newline_counts(file: AppendOnlyFile) -> None:
    add(file, 1)
    file.path.write_bytes(file.path.read_bytes()[:-1])
    assert file.read() == [{"value": 1}]
    add(file, 2)
    assert file.read() == [{"value": 1}, {"value": 2}]


@pytest.mark.parametrize("damage", ["oops", "", "[1]"])
def test_a_corrupt_line_in_the_middle_is_named(file: AppendOnlyFile, damage: str) -> None:
    add(file, 1, 2, 3)
    lines = file.path.read_text().splitlines()
    lines[1] = damage
    file.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(RunError, match=r"list of things .*, line 2: is not a JSON object"):
        file.read()


def test_a_corrupt_but_closed_last_line_is_damage(file: AppendOnlyFile) -> None:
    add(file, 1)
    with file.path.open("a") as opened:
        opened.write("oops\n")
    with pytest.raises(RunError, match="line 2: is not a JSON object"):
        file.read()


def test_nan_is_refused_and_writes_nothing(file: AppendOnlyFile) -> None:
    with file.exclusive() as held, pytest.raises(ValueError, match="not JSON compliant"):
        held.append({"value": float("nan")})
    assert file.read() == []


def test_an_append_is_on_the_disk_before_it_returns(
    file: AppendOnlyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))  # noqa: PTH115 - no Path of it
        real(handle)

    if not os.path.isdir("/proc/self/fd"):  # noqa: PTH112
        pytest.skip("needs /proc to name what was synced")
    monkeypatch.setattr(os, "fsync", fsync)
    add(file, 1)
    assert synced == [str(file.path), str(file.path.parent)]


def test_two_processes_do_not_mix_lines(tmp_path: Path) -> None:
    """Each reads the length and adds it: a lost or doubled number would show a race."""
    path = tmp_path / "lines.jsonl"
    code = (
        "import sys; from pathlib import Path\n"
        "from windtunnel.append_only import AppendOnlyFile\n"
        "file = AppendOnlyFile(Path(sys.argv[1]), 'x')\n"
        "for _ in range(60):\n"
        "    with file.exclusive() as held:\n"
        "        held.append({'value': len(held.read()), 'pad': 'x' * 20000})\n"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(2)]
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0]
    values = [json.loads(line)["value"] for line in path.read_text().splitlines()]
    assert values == list(range(120))
