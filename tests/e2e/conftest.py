"""One small study on the bundled prices, run once through the command line for all tests."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

STUDY = """
[study]
name = "small"
seed = {seed}
trials = 24
cohort = 8

[data]
source = "sample:us_equities_1d"

[features]
use = ["return_1", "return_5", "return_20", "volatility_20", "rsi_14", "rank_return_20"]

[validation]
folds = 3
holdout_bars = 252

[model]
hidden = [8]

[training]
steps = {steps}
batch_size = 128

[search]
"training.learning_rate" = {{ low = 1e-3, high = 3e-2, log = true }}
"training.dropout" = {{ low = 0.0, high = 0.4 }}
"policy.enter" = {{ low = 0.0, high = 0.1 }}
"policy.exit" = {{ low = 0.0, high = 0.1 }}
"""


def _windtunnel(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "windtunnel", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "COLUMNS": "120"},
    )


def _write_study(folder: Path, *, seed: int = 3, steps: int = 40) -> Path:
    path = folder / "small.toml"
    path.write_text(STUDY.format(seed=seed, steps=steps))
    return path


@pytest.fixture(scope="session")
def windtunnel() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as a user does, in a process of its own."""
    return _windtunnel


@pytest.fixture(scope="session")
def write_study() -> Callable[..., Path]:
    """Write the small study file into a folder."""
    return _write_study


def _wild_bars(own: pl.DataFrame, count: int, factor: float, seed: int) -> pl.DataFrame:
    """Bars that go on where `own` ends, with returns `factor` times as large."""
    random = np.random.default_rng(seed)
    parts = []
    for (symbol,), bars in own.group_by("symbol", maintain_order=True):
        last = bars.sort("timestamp")[-1].to_dicts()[0]
        closes = last["close"] * np.exp(0.012 * factor * random.normal(size=count)).cumprod()
        opens = np.concatenate([[last["close"]], closes[:-1]])
        wick = 1 + 0.004 * factor * random.random(count)
        stamps, moment = [], last["timestamp"]
        while len(stamps) < count:
            moment += timedelta(days=1)
            if moment.weekday() < 5:
                stamps.append(moment)
        parts.append(
            pl.DataFrame(
                {
                    "timestamp": stamps,
                    "symbol": [symbol] * count,
                    "open": opens,
                    "high": np.maximum(opens, closes) * wick,
                    "low": np.minimum(opens, closes) / wick,
                    "close": closes,
                    "volume": last["volume"] * np.exp(0.2 * random.normal(size=count)),
                }
            )
        )
    return pl.concat(parts).sort("timestamp", "symbol")


@pytest.fixture(scope="session")
def wild_bars() -> Callable[[pl.DataFrame, int, float, int], pl.DataFrame]:
    """Make bars of another regime that go on where others end."""
    return _wild_bars


@pytest.fixture(scope="session")
def lives() -> ForkServerContext:
    """Processes that begin with everything imported: starting one takes no seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["windtunnel.experiments"])
    return context


def _quiet_bars(
    symbol: str, stamps: list[datetime], first: float, close: np.ndarray
) -> pl.DataFrame:
    """Bars that open where the one before closed, the first at `first`, with hardly a wick."""
    opening = np.concatenate([[first], close[:-1]])
    return pl.DataFrame(
        {
            "timestamp": stamps,
            "symbol": [symbol] * len(stamps),
            "open": opening,
            "high": np.maximum(opening, close) * 1.001,
            "low": np.minimum(opening, close) * 0.999,
            "close": close,
            "volume": np.full(len(stamps), 1e6),
        }
    )


@pytest.fixture(scope="session")
def quiet_bars() -> Callable[[str, list[datetime], float, np.ndarray], pl.DataFrame]:
    """Make bars of one instrument from its closes."""
    return _quiet_bars


@dataclass(frozen=True)
class Finished:
    """A complete run and what it printed."""

    workspace: Path
    run: Path
    figures: dict[str, Any]
    trials: pl.DataFrame

    @property
    def champion_thresholds(self) -> tuple[float, float]:
        """Scores at which the champion's policy opens and closes positions."""
        params = self.figures["champion"]["params"]
        return params["policy.enter"], min(params["policy.enter"], params["policy.exit"])


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A complete run in a workspace of its own; tests must not change it."""
    workspace = tmp_path_factory.mktemp("finished")
    done = _windtunnel("run", _write_study(workspace), "--json", cwd=workspace)
    assert done.returncode == 0, done.stderr + done.stdout
    figures = json.loads(done.stdout)
    run = workspace / figures["path"]
    return Finished(workspace, run, figures, pl.read_parquet(run / "trials.parquet"))
