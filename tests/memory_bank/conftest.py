from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from windtunnel.memory_bank import ExperimentEntry, MemoryBank

Make = Callable[..., ExperimentEntry]


@pytest.fixture
def make_entry() -> Make:
    """Make an entry with made-up figures; keywords replace fields."""

    def make(**changes: Any) -> ExperimentEntry:
        fields: dict[str, Any] = {
            "run_id": "demo-0123456789",
            "study": "demo",
            "created": datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC),
            "command": "windtunnel run demo.toml",
            "question": "Is there an edge?",
            "headline": "No edge survives",
            "verdict": "Too many were tried.\nThe holdout lost.",
            "study_digest": "5a" * 32,
            "data_fingerprint": "c3" * 32,
            "figures": {
                "trials.total": 256,
                "metrics.sharpe": 0.41234567890123,
                "statistics.dsr": 0.12,
                "metrics.calmar": None,
            },
            "holdout": {"metrics.sharpe": -0.3},
            "champion": {"training.learning_rate": 0.003, "policy.enter": 1e-7},
            "versions": {"windtunnel": "0.1.0", "jax": "0.10.2"},
            "artifacts": {"report.html": "ab" * 32},
            "links": {"progress": "../progress.md"},
        }
        return ExperimentEntry(**{**fields, **changes})

    return make


@pytest.fixture
def bank(tmp_path: Path) -> MemoryBank:
    made = MemoryBank(tmp_path / "memory_bank")
    made.initialise()
    return made
