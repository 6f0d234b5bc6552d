"""A study that sizes positions by volatility: trials, holdout and served decisions agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from windtunnel.deployment.bundle import load_bundle
from windtunnel.deployment.replay import replay
from windtunnel.deployment.replay_equity import replay_equity
from windtunnel.experiments import Study, StudyResult
from windtunnel.serving.predictor import Predictor

BARS = 40
LEVERAGE = 1.5
STUDY: dict[str, Any] = {
    "study": {"name": "sized", "trials": 6, "cohort": 3},
    "data": {"source": "sample:us_equities_1d", "symbols": ["AAPL", "IBM"], "start": "2009-01-01"},
    "features": {"use": ["return_1", "return_5"]},  # a shorter memory than the volatility's
    "validation": {"folds": 2, "train_bars": 300, "holdout_bars": 100},
    "model": {"family": "linear"},
    "training": {"steps": 10, "batch_size": 64},
    "policy": {
        "direction": "long_short",
        "enter": 0.0,
        "leverage": LEVERAGE,
        "volatility_target": 0.2,
        "volatility_bars": BARS,
    },
    "search": {"policy.volatility_target": {"low": 0.05, "high": 0.4}},
}


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return Study.from_dict(STUDY).run(tmp_path_factory.mktemp("sized"))


def test_exposures_are_the_target_over_the_volatility(sized: StudyResult) -> None:
    aim = sized.champion["policy.volatility_target"]
    bars = pl.read_parquet(sized.run.path / "bars.parquet").sort("symbol", "timestamp")
    checked = capped = 0
    for (symbol,), own in bars.group_by("symbol"):
        close = own["close"].to_numpy()
        day_by_day = np.diff(np.log(close))
        decided = pl.read_parquet(sized.run.path / "holdout.parquet").filter(symbol=symbol)
        for stamp, exposure in decided.select("timestamp", "exposure").iter_rows():
            at = int(own["timestamp"].search_sorted(stamp))
            known = day_by_day[at - BARS : at].std(ddof=1) * np.sqrt(252)
            lever = min(aim / known, LEVERAGE)
            assert abs(exposure) == pytest.approx(lever / 2, rel=1e-9)
            checked += 1
            capped += lever == LEVERAGE
    assert checked == 200
    assert capped < checked


def test_trials_trade_by_their_own_target(sized: StudyResult) -> None:
    """Of positions that are always held, the gross exposure grows with the target."""
    trials = sized.trials.sort("policy.volatility_target")
    assert trials["exposure"].is_sorted()
    assert trials["exposure"].n_unique() == len(trials)


def test_the_bundle_decides_the_same_from_as_few_bars_as_it_asks_for(sized: StudyResult) -> None:
    bundle = load_bundle(sized.bundle)
    manifest = bundle.manifest
    assert manifest.policy.volatility_target == sized.champion["policy.volatility_target"]
    assert manifest.warmup == manifest.policy.volatility_bars == BARS
    assert replay(bundle).ok
    assert replay_equity(bundle).bars == 100
    assert replay_equity(bundle).ok

    sample = bundle.replay_window()
    predictor = Predictor(bundle, 1)
    state: dict[str, Any] = {}
    for at in range(sample.first, sample.first + 30):
        few = sample.panel.window(at - BARS, at + 1)
        decisions = predictor.decide(few, BARS, state)
        state = dict(decisions.state)
        np.testing.assert_array_equal(decisions.exposures[0], sample.exposures[at - sample.first])
