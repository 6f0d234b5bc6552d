"""Tables of records on a terminal of eighty columns."""

from __future__ import annotations

import io

from rich.console import Console

from windtunnel.cli import show


def shown(rows: list[dict[str, object]]) -> str:
    text = io.StringIO()
    show.rows(Console(file=text, width=80, color_system=None), rows)
    return text.getvalue()


def test_names_and_times_stay_whole() -> None:
    ledger = {
        "run": "us_equities-0123456789", "start": "2008-01-02", "end": "2013-03-01",
        "instruments": 5, "trials": 256, "failed": 0, "best_sharpe": 0.81234567890123,
    }  # fmt: skip
    text = shown([ledger])
    for words in ("us_equities-0123456789", "2008-01-02", "2013-03-01", "256", "0.812"):
        assert words in text
    history = {
        "record": 12, "at": "2026-11-26T05:00:00", "action": "canary started", "version": 3,
        "who": "ada", "why": "the gate passed it and somebody wants to see", "forced": "",
    }  # fmt: skip
    text = shown([history])
    assert "2026-11-26T05:00:00" in text
    assert "…" not in text
    assert "somebody" in text
