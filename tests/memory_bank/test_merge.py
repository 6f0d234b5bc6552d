"""Two branches that both record something merge without a conflict, and a rebuild sorts them."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from windtunnel.events import AliasMoved
from windtunnel.memory_bank import MemoryBank, Remember

if TYPE_CHECKING:
    from .conftest import Make


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("git") is None, reason="no git on this machine")
def test_branches_that_both_recorded_merge_by_themselves(tmp_path: Path, make_entry: Make) -> None:
    bank = MemoryBank(tmp_path / "memory_bank")
    bank.initialise()
    bank.record_experiment(make_entry(run_id="before"))
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "before")

    def record(branch: str, day: int) -> None:
        git(tmp_path, "checkout", "-qb", branch, "main")
        made = datetime(2026, 5, day, tzinfo=UTC)
        for number in range(3):
            bank.record_experiment(make_entry(run_id=f"{branch}-{number}", created=made))
        bank.decide(f"Decide on {branch}", "Because.", made=made)
        moved = AliasMoved(model=branch, alias="champion", version=2, previous=1, why="Better.")
        Remember(bank, clock=lambda: made)(moved)
        assert bank.verify() == []
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", branch)

    record("ours", 3)
    record("theirs", 4)
    git(tmp_path, "merge", "-q", "--no-edit", "ours")
    bank.rebuild()
    assert bank.verify() == []
    assert len(bank.experiments()) == 7
    progress = (bank.path / "progress.md").read_text()
    assert progress.count("| [ours-") == progress.count("| [theirs-") == 3
    merged = {page.name: page.read_bytes() for page in bank.path.glob("*.md")}
    for page in merged:
        (bank.path / page).unlink()
    bank.initialise()
    assert {page.name: page.read_bytes() for page in bank.path.glob("*.md")} == merged
