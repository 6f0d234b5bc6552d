"""Whole studies of bars without any signal promote at most as often as they may.

Nothing is stubbed or left out: each is `Study.run` in a project of its own, with a small model
and few bars. Trading is free, so that luck alone has to be refused.

WINDTUNNEL_NOISE_STUDIES sets how many; what a run of many found stands in docs/audits.md.
"""

from __future__ import annotations

import datetime as dt
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from windtunnel.experiments import Study

STUDIES = int(os.environ.get("WINDTUNNEL_NOISE_STUDIES", "5"))
ALPHA = 0.05
Bars = Callable[[str, list[dt.datetime], float, np.ndarray], pl.DataFrame]
BARS, SYMBOLS = 420, ("AA", "BB", "CC")
STUDY = {
    "study": {"name": "noise", "trials": 16, "cohort": 8},
    "data": {"source": "frame"},
    "features": {"use": ["return_1", "return_3", "zscore_5"]},
    "label": {"horizon": 2},
    "validation": {
        "folds": 2, "train_bars": 120, "holdout_bars": 60, "embargo_bars": 2, "min_train_rows": 50,
    },
    "model": {"family": "linear", "hidden": []},
    "training": {"steps": 40, "batch_size": 64},
    "costs": {"fee_bps": 0.0, "half_spread_bps": 0.0, "borrow_apr": 0.0, "financing_apr": 0.0},
    "search": {
        "training.learning_rate": {"low": 0.003, "high": 0.05, "log": True},
        "policy.enter": {"low": 0.0, "high": 0.02},
    },
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What one study said, and what it would have said of its champion alone."""

    level: str
    dsr: float
    psr: float


def bars(seed: int, echo: float, quiet_bars: Bars) -> pl.DataFrame:
    """Martingales with fat tails and clustered volatility; `echo` makes returns repeat."""
    rng = np.random.default_rng([seed, 77])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    stamps = [start + dt.timedelta(days=t) for t in range(BARS)]
    frames = []
    for symbol in SYMBOLS:
        steps, variance, last = np.zeros(BARS), 1.0, 0.0
        for t, shock in enumerate(rng.standard_t(5, BARS) / math.sqrt(5 / 3)):
            variance = 0.05 + 0.1 * last**2 + 0.85 * variance
            last = math.sqrt(variance) * shock
            steps[t] = 0.01 * last + (echo * steps[t - 1] if t else 0.0)
        close = 50 * np.exp(np.cumsum(steps) - 0.5 * 0.01**2 * np.arange(BARS))
        frames.append(quiet_bars(symbol, stamps, 50.0, close))
    return pl.concat(frames).sort("timestamp", "symbol")


def carried_out(seed: int, workspace: Path, quiet_bars: Bars, echo: float = 0.0) -> Outcome:
    raw = {**STUDY, "study": {**STUDY["study"], "seed": seed}}
    # A project of its own: another's trials would deflate this one further.
    result = Study.from_dict(raw, bars=bars(seed, echo, quiet_bars)).run(workspace / f"{seed}")
    figures = result.figures["statistics"]
    return Outcome(result.figures["verdict"]["level"], figures["dsr"] or 0.0, figures["psr"] or 0.0)


def allowed(studies: int, rate: float) -> int:
    """Promotions that luck exceeds in fewer than one of a thousand repetitions of this test."""
    weights = [
        math.comb(studies, k) * rate**k * (1 - rate) ** (studies - k) for k in range(studies + 1)
    ]
    below = np.cumsum(weights)
    return int(np.searchsorted(below, 0.999))


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory, quiet_bars: Bars) -> list[Outcome]:
    workspace = tmp_path_factory.mktemp("noise")
    return [carried_out(seed, workspace, quiet_bars) for seed in range(STUDIES)]


@pytest.mark.slow
def test_no_more_studies_of_noise_are_promoted_than_may_be(noise: list[Outcome]) -> None:
    promoted = sum(each.level == "candidate" for each in noise)
    past_the_gate = sum(each.dsr >= 1 - ALPHA for each in noise)
    naive = sum(each.psr >= 1 - ALPHA for each in noise)
    told = f"{STUDIES} studies: {promoted} promoted, {past_the_gate} past deflation, {naive} naive"
    assert promoted <= allowed(STUDIES, ALPHA), told
    assert past_the_gate <= allowed(STUDIES, ALPHA), told
    # The same champions, trials not counted: more of them would be believed.
    if STUDIES >= 50:
        assert naive > past_the_gate, told


def test_the_gate_opens_where_there_is_something(tmp_path: Path, quiet_bars: Bars) -> None:
    """Returns that half repeat are an edge that the features show."""
    found = carried_out(1, tmp_path, quiet_bars, echo=0.5)
    assert found.dsr >= 1 - ALPHA
    assert found.level in {"weak", "candidate"}


def test_the_bound_is_that_of_the_binomial() -> None:
    assert allowed(1, 0.05) == 1
    assert allowed(100, 0.05) == 13  # P(X <= 12) = .9985, P(X <= 13) = .99953
