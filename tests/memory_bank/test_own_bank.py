from __future__ import annotations

import shutil
from pathlib import Path

from windtunnel.memory_bank import MemoryBank

BANK = Path(__file__).parents[2] / "memory_bank"


def test_this_repositorys_bank_is_true(tmp_path: Path) -> None:
    """Local run directories are left out: what the bank says must hold without them."""
    assert MemoryBank(BANK, runs=tmp_path).verify() == []


def test_rebuilding_this_repositorys_bank_changes_no_byte(tmp_path: Path) -> None:
    copy = tmp_path / "memory_bank"
    shutil.copytree(BANK, copy)
    MemoryBank(copy).rebuild()
    for page in sorted(BANK.rglob("*.md")):
        assert (copy / page.relative_to(BANK)).read_bytes() == page.read_bytes(), page.name


def test_folders_that_version_control_leaves_out_are_not_missed(tmp_path: Path) -> None:
    bank = MemoryBank(tmp_path / "memory_bank")
    bank.initialise()
    (bank.path / "experiments").rmdir()
    (bank.path / "decisions").rmdir()
    assert bank.verify() == []
    bank.rebuild()
    assert bank.verify() == []
