"""Tracked files: none too long, none that names a machine, actions pinned, the package typed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

LONGEST = 400
CODE = {".py", ".pyi", ".hpp", ".cpp", ".h"}
# Homes and scratch directories of a person or a build machine; ways to name a package index.
PRIVATE = re.compile(
    r"/(?:root|home/\w+|Users/\w+|work|tmp/(?:env|ci|mk)\w*)/"
    r"|(?:extra-)?index-url|trusted-host"
    r"|\b(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2}\b"
)


@pytest.fixture(scope="module")
def tracked(root: Path) -> list[Path]:
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
        ).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [root / name for name in listing.split("\0") if name and (root / name).is_file()]


def test_no_source_file_is_long(tracked: list[Path]) -> None:
    lengths = {
        path.name: len(path.read_text(encoding="utf-8").splitlines())
        for path in tracked
        if path.suffix in CODE
    }
    assert len(lengths) > 10
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_no_file_names_a_machine(tracked: list[Path]) -> None:
    found = []
    for path in tracked:
        if path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # Parquet, images
        found += [f"{path.name}: {match[0]}" for match in PRIVATE.finditer(text)]
    assert found == []


@pytest.mark.parametrize(
    "text", ["/root/x", "/home/ann/x", "--index-url", "192.168.1.7", "10.0.0.12"]
)
def test_the_pattern_knows_a_machine(text: str) -> None:
    assert PRIVATE.search(f"see {text} there")


@pytest.mark.parametrize("text", ["127.0.0.1", "version 10.2.1", "/srv/windtunnel/"])
def test_the_pattern_leaves_the_rest(text: str) -> None:
    assert not PRIVATE.search(f"see {text} there")


def test_package_is_typed(root: Path) -> None:
    assert (root / "python" / "windtunnel" / "py.typed").is_file()


def test_actions_are_pinned_by_commit(root: Path) -> None:
    uses = [
        line.strip()
        for path in (root / ".github" / "workflows").glob("*.yml")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "uses:" in line and "./" not in line
    ]
    assert len(uses) > 10
    pinned = re.compile(r"(- )?uses: [\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+")
    assert [line for line in uses if not pinned.fullmatch(line)] == []


def test_workflows_call_targets_that_exist(root: Path) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    called = {
        target
        for path in (root / ".github" / "workflows").glob("*.yml")
        for target in re.findall(r"make (?:-C \w+ )?([a-z-]+)", path.read_text(encoding="utf-8"))
    }
    assert called
    assert called <= targets
