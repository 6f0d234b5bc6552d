"""The hooks that run before a commit: what they call exists, and the memory bank's one bites."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import windtunnel

ROOT = Path(__file__).parents[2]
SOURCES = Path(windtunnel.__file__).parents[1].resolve()  # of the package that is tested here


@pytest.fixture(scope="module")
def hooks() -> dict[str, dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    with (ROOT / ".pre-commit-config.yaml").open(encoding="utf-8") as file:
        document = yaml.safe_load(file)
    return {hook["id"]: hook for repo in document["repos"] for hook in repo["hooks"]}


def test_every_change_of_the_bank_is_looked_at(hooks: dict[str, dict[str, Any]]) -> None:
    pattern = re.compile(hooks["memory-bank"]["files"])
    pages = [page.relative_to(ROOT) for page in (ROOT / "memory_bank").rglob("*") if page.is_file()]
    assert len(pages) > 5
    assert all(pattern.search(page.as_posix()) for page in pages)


def test_an_edited_figure_stops_the_commit(
    hooks: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """The hook's own command, in a copy of the repository's bank."""
    shutil.copytree(ROOT / "memory_bank", tmp_path / "memory_bank")
    for name in ("ARCHITECTURE.md", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)  # pages link to them
    words = hooks["memory-bank"]["entry"].split()
    at = words.index(".venv/bin/python")
    assert words[:at] == ["env", "PYTHONPATH=python"]

    def hook() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words[at + 1 :]],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "120", "PYTHONPATH": str(SOURCES)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    true = hook()
    assert true.returncode == 0, true.stdout + true.stderr
    page = next(iter(sorted((tmp_path / "memory_bank" / "experiments").glob("*.md"))))
    text = page.read_text(encoding="utf-8")
    figure = re.search(r"\d\.\d{3,}", text)
    assert figure is not None
    edited = figure[0][:-1] + str((int(figure[0][-1]) + 1) % 10)
    page.write_text(text.replace(figure[0], edited, 1), encoding="utf-8")
    caught = hook()
    assert caught.returncode == 8
    assert page.name.removesuffix(".md") in caught.stdout + caught.stderr
