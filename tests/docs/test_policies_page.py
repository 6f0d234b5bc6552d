"""The page on policies: its study in a reduced form, and its other blocks beside it."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import windtunnel as wt
from windtunnel.backtest.costs import Costs
from windtunnel.backtest.execution import Execution
from windtunnel.data.panel import Panel
from windtunnel.deployment.bundle import load_bundle
from windtunnel.serving.answer import read_state
from windtunnel.serving.predictor import Predictor
from windtunnel.serving.refusal import Refusal

PAGE = Path(__file__).parents[2] / "docs" / "reinforcement_learning.md"
BLOCKS = dict(
    re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
)
SMALL: dict[str, Any] = {
    "study": {"name": "policy", "seed": 5, "trials": 2, "cohort": 2},
    "data": {"source": "sample:us_equities_1d", "symbols": ["AAPL", "IBM"], "end": "2001-06-30"},
    "features": {"use": ["return_1", "return_5"]},
    "validation": {"folds": 2, "holdout_bars": 60, "train_bars": 200, "embargo_bars": 2},
    "model": {"hidden": [8]},
    "training": {"seeds": 2, "steps": 20},
    "rl": {"updates": 4, "environments": 8, "rollout_bars": 12, "supervised_trials": 2},
}


def test_the_study_of_the_page_is_carried_out(tmp_path: Path) -> None:
    shown = tomllib.loads(BLOCKS["toml"])
    merged = {key: shown.get(key, {}) | SMALL.get(key, {}) for key in shown.keys() | SMALL.keys()}
    assert merged["training"]["trainer"] == "rl"
    result = wt.Study.from_dict(merged).run(tmp_path)
    assert set(shown["search"]) <= set(result.trials.columns)
    # The state that the page shows has the service's form; it is another model's.
    predictor = Predictor(load_bundle(result.bundle), 1)
    with pytest.raises(Refusal) as refused:
        read_state(json.loads(BLOCKS["json"])["state"], predictor)
    assert refused.value.field == "state.model"


def test_the_market_of_the_page_is_played_in() -> None:
    pytest.importorskip("gymnasium")
    from windtunnel.trainers.rl.gym_adapter import TradingEnv

    rng = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (400, 2)), axis=0))
    panel = Panel(
        timestamps=np.arange(400).astype("datetime64[D]").astype("datetime64[us]"),
        symbols=("A", "B"),
        open=close,
        high=close,
        low=close,
        close=close,
        volume=np.full(close.shape, 1e6),
        tradable=np.ones(close.shape, bool),
        fingerprint="0" * 64,
    )
    names: dict[str, Any] = {
        "TradingEnv": TradingEnv,
        "panel": panel,
        "features": rng.normal(size=(400, 2, 3)).astype(np.float32),
        "costs": Costs(1e-4, 2e-4, 0.0, 0.0),
        "execution": Execution("next_open"),
    }
    exec(BLOCKS["python"], names)  # noqa: S102 - the page's own block
    env = names["env"]
    env.reset(seed=1)
    _, reward, *_ = env.step(env.action_space.sample())
    assert np.isfinite(reward)
