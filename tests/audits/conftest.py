"""A tiny study on made-up bars with what goes wrong in real ones: gaps, late and early ends."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from windtunnel.audits.case import Case, Champion
from windtunnel.config import StudyFile, parse_study
from windtunnel.finals import StressRow
from windtunnel.trainers import devices

BARS, SYMBOLS = 300, ("AA", "BB", "CC", "DD")


def made_up_bars(seed: int = 0) -> pl.DataFrame:
    """Random walks; BB has gaps, CC ends early, DD begins late."""
    rng = np.random.default_rng(seed)
    stamps = [dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=t) for t in range(BARS)]
    frames = []
    for symbol in SYMBOLS:
        close = 50 * np.exp(np.cumsum(rng.normal(0.0003, 0.015, BARS)))
        opening = np.concatenate([[50.0], close[:-1]]) * np.exp(rng.normal(0, 0.004, BARS))
        present = np.ones(BARS, bool)
        if symbol == "BB":
            present[rng.choice(BARS, 4, replace=False)] = False
        if symbol == "CC":
            present[BARS - 35 :] = False
        if symbol == "DD":
            present[:30] = False
        frames.append(
            pl.DataFrame(
                {
                    "timestamp": stamps,
                    "symbol": [symbol] * BARS,
                    "open": opening,
                    "high": np.maximum(opening, close) * (1 + rng.uniform(0, 0.005, BARS)),
                    "low": np.minimum(opening, close) * (1 - rng.uniform(0, 0.005, BARS)),
                    "close": close,
                    "volume": np.where(rng.random(BARS) < 0.02, 0.0, 1e5 * rng.random(BARS)),
                }
            ).filter(pl.Series(present))
        )
    return pl.concat(frames).sort("timestamp", "symbol")


def tiny_study(**changes: dict) -> StudyFile:
    raw = {
        "study": {"name": "tiny", "seed": 1, "trials": 8, "cohort": 8},
        "data": {"source": "frame"},
        "features": {"use": ["return_1", "return_3", "zscore_5"]},
        "label": {"horizon": 2},
        "validation": {
            "folds": 2,
            "train_bars": 100,
            "holdout_bars": 40,
            "embargo_bars": 2,
            "min_train_rows": 50,
        },
        "model": {"family": "linear", "hidden": []},
        "training": {"steps": 40, "batch_size": 64, "learning_rate": 0.02},
        "search": {
            "training.learning_rate": {"low": 0.003, "high": 0.05, "log": True},
            "policy.enter": {"low": 0.0, "high": 0.02},
        },
    }
    for table, values in changes.items():
        raw[table] = {**raw.get(table, {}), **values}
    return parse_study(raw)


@pytest.fixture(scope="session")
def case() -> Case:
    """The tiny study with the real pipeline, before any run of it."""
    devices.configure_cpu()
    return Case(tiny_study(), made_up_bars(), trials=8, repeats=2)


@pytest.fixture(scope="session")
def audited(case: Case) -> Case:
    """The same with a champion, as a finished run would have recorded it."""
    stress = (
        StressRow("costs x 1", 1.0, 0, 0.8, 0.1, 0.05),
        StressRow("costs x 2", 2.0, 0, 0.6, 0.07, 0.05),
        StressRow("one bar later", 1.0, 1, -0.1, -0.01, 0.08),
    )
    params = {"training.learning_rate": 0.02, "policy.enter": 0.0}
    return replace(case, champion=Champion("tiny-0", params, 0.8, stress))
