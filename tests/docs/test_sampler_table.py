"""The comparison of samplers in the documentation is the one that is stored."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest


def test_the_table_is_what_the_stored_comparison_gives(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(root / "scripts"))
    script = importlib.import_module("sampler_table")
    document = json.loads((root / "docs/results/samplers.json").read_text(encoding="utf-8"))
    assert script.table(document) in (root / "docs/tuning.md").read_text(encoding="utf-8")
    as_good = [each for each in document["problems"] if script.won(each)[1] > 0.05]
    assert sum(not each["real"] for each in as_good) >= 5
    assert sum(each["real"] for each in as_good) == 2
