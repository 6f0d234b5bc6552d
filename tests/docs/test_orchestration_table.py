"""What a search costs beside training, as the documentation has it, is what is stored."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest


def test_the_table_is_what_the_stored_bench_gives(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(root / "bench"))
    bench = importlib.import_module("orchestration")
    document = json.loads((root / "docs/results/orchestration.json").read_text(encoding="utf-8"))
    assert bench.table(document) in (root / "docs/tuning.md").read_text(encoding="utf-8")
    shares = {
        (row["sampler"], row["storage"], row["finished"]): max(
            row["share"], bench.share(row, bench.CALM)
        )
        for row in document["rows"]
    }
    # The others learn from all trials at every one that they draw; the page says so.
    for sampler in bench.LIVED:
        assert shares[sampler, "journal", 1024] < 0.05
        assert shares[sampler, "journal", 10_048] < 0.05
