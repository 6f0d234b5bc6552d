"""How outcomes look on a terminal: tables of records in eighty columns, a finished study."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
from rich.console import Console

from windtunnel.cli import show

METRICS = {"total_return": 0.1, "sharpe": 0.5, "max_drawdown": -0.2}
PARAMS = {
    "model.family": ["mlp", "linear", "[bold]"],
    "model.width": [1024, None, None],
    "features.slow": [True, False, False],
    "training.learning_rate": [0.0012345, 0.5, 0.25],
}


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


def outcome() -> Any:
    """What a study hands over, as far as the terminal shows it."""
    trials = pl.DataFrame(
        {
            "number": [0, 1, 2],
            "objective": [0.9, 0.8, 0.7],
            "fills": [3, 4, 5],
            "total_return": [0.1] * 3,
            "max_drawdown": [-0.2] * 3,
            **PARAMS,
        }
    )
    figures = {
        "champion": {"number": 1},
        "metrics": METRICS,
        "benchmark": METRICS,
        "holdout": {"opened": False},
        "verdict": {"headline": "No edge", "level": "no_edge", "sentences": ["None [at all]."]},
        "model": {"name": "m", "version": 1},
    }
    run = SimpleNamespace(path=Path("runs/m"))
    return SimpleNamespace(trials=trials, figures=figures, run=run, bundle=Path("b"))


def test_words_switches_whole_numbers_and_what_was_not_asked() -> None:
    text = io.StringIO()
    show.result(Console(file=text, width=200, color_system=None), outcome())
    shown = text.getvalue()
    for words in (
        " family mlp, width 1024, slow True, learning rate 0.00123 ",
        " family linear, slow False, learning rate 0.5 ",
        " family [bold], slow False, learning rate 0.25 ",
    ):
        assert words in shown
