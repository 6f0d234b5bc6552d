"""A writer killed before any of its steps leaves the old state or the new, and a true log."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from windtunnel.deployment.registry import Registry

DRIVER = Path(__file__).with_name("crash_driver.py")


@pytest.fixture(scope="module")
def template(variants, tmp_path_factory):
    """Three versions; 1 was champion before 3, version 2 waits."""
    directory = tmp_path_factory.mktemp("crashes")
    registry = Registry(directory / "registry", certify=lambda _: (True, ""))
    for path in variants(directory, 3):
        registry.register(path, note="")
    registry.promote("example", 1, why="")
    return directory / "registry"


def prepared(template, tmp_path, operation):
    path = shutil.copytree(template, tmp_path / "registry")
    if operation == "rollback":
        Registry(path, certify=lambda _: (True, "")).promote("example", 2, why="")
    return path


@pytest.mark.parametrize("operation", ["promote", "rollback", "canary", "retire", "register"])
def test_kill_at_every_step(template, variants, tmp_path, operation):
    path = prepared(template, tmp_path, operation)
    (bundle,) = variants(tmp_path, 1, first=50)
    command = [sys.executable, str(DRIVER), str(path), operation, str(bundle)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr
    *killed, whole = map(json.loads, ran.stdout.splitlines())
    assert all(run["killed"] for run in killed)
    assert not whole["killed"]
    assert len(killed) == len(whole["steps"])
    taken = set(whole["steps"])
    assert {"open", "write", "write the rest", "fsync", "link", "unlink"} <= taken
    outcome = ("aliases", "retired", "versions", "generation", "actions", "logged")
    before = {key: killed[0][key] for key in outcome}
    after = {key: whole[key] for key in outcome}
    assert before != after
    assert len(after["actions"]) == len(before["actions"]) + 1
    seen = [{key: run[key] for key in outcome} for run in killed]
    assert all(found in (before, after) for found in seen)
    assert seen.count(after) >= 1, "no kill came after the change"
    assert seen == sorted(seen, key=lambda found: found == after), "what was seen is undone"
    for run in killed:
        assert run["left"] <= 1, "one unfinished file at most, and nothing reads it"
        finished = {key: run["after"][key] for key in outcome}
        if run["again"] is True and operation != "register":
            assert seen[run["step"]] == before
        if seen[run["step"]] == before or operation == "register":
            assert run["again"] is True
            assert finished == after
        else:
            assert (
                "already" in run["again"]
                or "no predecessor" in run["again"]
                or ("is retired" in run["again"])
            )
            assert finished == after, "doing it twice does it once"


def test_unfinished_files_are_swept_an_hour_later(template, tmp_path):
    path = shutil.copytree(template, tmp_path / "registry")
    registry = Registry(path, certify=lambda _: (True, ""))
    scratch = path / ".unfinished"
    old, young = scratch / ".00000005.json.a.tmp", scratch / ".00000005.json.b.tmp"
    for leftover in (old, young):
        leftover.write_bytes(b"torn")
    now = old.stat().st_mtime
    os.utime(old, (now - 4000, now - 4000))
    os.utime(young, (now - 60, now - 60))
    registry.promote("example", 2, why="")
    assert not old.exists()
    assert young.exists(), "its writer may be alive"
    assert registry.state("example").champion == 2
