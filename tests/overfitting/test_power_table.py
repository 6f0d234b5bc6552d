"""The script that measures power, and the page that it wrote."""

from __future__ import annotations

import importlib.util
import re
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def script(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "power_table", root / "scripts" / "power_table.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_verdicts_of_one_study(script: ModuleType) -> None:
    strong = script.verdicts(script.returns_of((0, 0), 5.0, 0.0), 0)
    assert strong == dict.fromkeys(script.COLUMNS, True)
    nothing = script.verdicts(script.returns_of((0, 0), 0.0, 0.0), 0, edge=False)
    assert not nothing["dsr"]
    assert not nothing["step_down"]


def test_page_is_written_from_runs(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "EDGES", (0.0, 6.0))
    page = tmp_path / "docs" / "power.md"
    assert script.main(["--studies", "2", "--out", str(page)]) == 0
    text = page.read_text("utf-8")
    assert text.count("| normal |") == text.count("| autocorrelated by 0.3 |") == 2
    rows = re.findall(r"^\| 6 \|(.*)\|$", text, re.MULTILINE)
    assert len(rows) == 2
    assert {cell.strip() for row in rows for cell in row.split("|")} == {"100.0%"}


def test_committed_page_shows_power_that_rises(script: ModuleType, root: Path) -> None:
    page = (root / "docs" / "power.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| [\d.]+ \|(.*)\|$", page, re.MULTILINE)
    rows = [[float(cell.strip(" %")) for cell in row.split("|")] for row in table]
    assert len(rows) == len(script.EDGES) * len(script.CORRELATIONS)
    for first in range(0, len(rows), len(script.EDGES)):
        noise, *edges = rows[first : first + len(script.EDGES)]
        named = dict(zip(script.COLUMNS, noise, strict=True))
        assert named["psr"] > 50
        assert named["dsr"] < 2
        assert named["spa"] < 9
        assert named["step_down"] < 9
        for weaker, stronger in pairwise(edges):
            assert all(a <= b for a, b in zip(weaker, stronger, strict=True))
