"""A small network with random weights on the bundled prices, exported as a bundle.

Its scores are computed here by plain NumPy, on features of the whole history, so that what
the bundle gives can be held to something that shares no code with it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import polars as pl

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.oracle import simulate_policy
from windtunnel.backtest.policy import target_exposures
from windtunnel.data.align import to_panel
from windtunnel.data.panel import Panel
from windtunnel.data.samples import sample_path
from windtunnel.deployment.exporter import export_bundle
from windtunnel.deployment.manifest import Account, Evidence, Label, Policy
from windtunnel.deployment.registry import Registry
from windtunnel.deployment.replay_window import replay_frame
from windtunnel.features.compute import compute

FEATURES = ("return_1", "return_5", "volatility_20", "rsi_14", "zscore_20", "rank_return_20")
POLICY = Policy(enter=0.2, exit=0.1, leverage=1.5, long_only=False, band=0.02)
ACCOUNT = Account(
    initial_cash=100_000.0,
    maintenance=0.0,
    lot_size=0.0,
    costs={"fee": 2e-4, "half_spread": 1e-4, "borrow_apr": 0.01, "financing_apr": 0.03},
)
WINDOW = 80  # bars


@dataclass(frozen=True)
class Example:
    """What the study saw: `scores` (T, N) of the whole panel, `exposures` of the window."""

    panel: Panel
    first: int
    warmup: int
    features: np.ndarray
    scores: np.ndarray
    exposures: np.ndarray
    params: Any
    bars: pl.DataFrame


def make_example() -> Example:
    """Bars of 2012, so that an instrument is listed in the middle of the window."""
    bars = pl.read_parquet(sample_path("us_equities_1d")).filter(
        pl.col("timestamp").dt.year() == 2012
    )
    panel = to_panel(bars)
    tensor = compute(panel, FEATURES)
    values = tensor.values
    params = random_params(values)
    rows = values.reshape(-1, values.shape[2])
    scores = plain_score(params, rows).reshape(panel.bars, panel.instruments)
    first = int(np.searchsorted(panel.timestamps, np.datetime64("2012-04-20")))
    exposures, _ = target_exposures(
        scores[first : first + WINDOW],
        panel.listed[first : first + WINDOW],
        enter=POLICY.enter,
        exit=POLICY.exit,
        leverage=POLICY.leverage,
        long_only=POLICY.long_only,
    )
    return Example(panel, first, tensor.warmup, values, scores, exposures, params, bars)


def random_params(features: np.ndarray, *, seed: int = 3) -> Any:
    random = np.random.default_rng(seed)
    rows = features.reshape(-1, features.shape[2])
    rows = rows[~np.isnan(rows).any(axis=1)]
    sizes = [rows.shape[1], 16, 1]
    return {
        "scaler": {"mean": rows.mean(0), "scale": rows.std(0)},
        "layers": [
            {
                "kernel": random.normal(0, 1 / np.sqrt(a), (a, b)).astype(np.float32),
                "bias": random.normal(0, 0.1, b).astype(np.float32),
            }
            for a, b in itertools.pairwise(sizes)
        ],
    }


def score(params: Any, x: Any) -> Any:
    """The network in jax.numpy, as a study hands it to the exporter."""
    hidden = (x - params["scaler"]["mean"]) / params["scaler"]["scale"]
    first, last = params["layers"]
    hidden = jnp.maximum(hidden @ first["kernel"] + first["bias"], 0)
    return jnp.tanh(hidden @ last["kernel"] + last["bias"])[:, 0]


def plain_score(params: Any, x: np.ndarray) -> np.ndarray:
    """The same in NumPy and float64, rounded once."""
    first, last = params["layers"]
    hidden = (x.astype(np.float64) - params["scaler"]["mean"]) / params["scaler"]["scale"]
    hidden = np.maximum(hidden @ first["kernel"] + first["bias"], 0)
    out = np.tanh(hidden @ last["kernel"] + last["bias"])[:, 0]
    return out.astype(np.float32)


def plain_equity(example: Example) -> np.ndarray:
    """Equity of the window by the oracle, from scores; no code shared with the engine."""
    last = example.first + WINDOW
    arrays = ("timestamps", "open", "high", "low", "close", "volume", "tradable")
    panel = example.panel
    window = replace(panel, **{name: getattr(panel, name)[example.first : last] for name in arrays})
    ledger = simulate_policy(
        window,
        example.scores[example.first : last],
        enter=POLICY.enter,
        exit=POLICY.exit,
        leverage=POLICY.leverage,
        band=POLICY.band,
        long_only=POLICY.long_only,
        costs=Costs(**ACCOUNT.costs),
        execution=Execution(initial_cash=ACCOUNT.initial_cash),
        periods_per_year=252.0,
    )
    return np.asarray(ledger.equity)


def export_example(example: Example, path: Path, **changes: Any) -> Path:
    """Export the example to `path`; `changes` replace arguments of the exporter."""
    panel, first = example.panel, example.first
    last = first + WINDOW
    rows = example.features[:first].reshape(-1, len(FEATURES))
    arguments: dict[str, Any] = {
        "score": score,
        "params": example.params,
        "name": "example",
        "study_digest": "0" * 64,
        "run": "example-run",
        "trial": 41,
        "fingerprint": panel.fingerprint,
        "features": FEATURES,
        "warmup": example.warmup,
        "label": Label(kind="direction", horizon=5),
        "symbols": panel.symbols,
        "policy": POLICY,
        "fill": "next_open",
        "periods_per_year": 252.0,
        "periods": {"holdout": (str(panel.timestamps[first]), str(panel.timestamps[last - 1]))},
        "metrics": {"sharpe": 0.25, "calmar": float("nan")},
        "verdict": "a candidate for the sake of the tests: the weights are random",
        "evidence": Evidence(level="candidate", holdout_read=True, earlier_looks=0),
        "model": {"family": "mlp", "hidden": [16]},
        "reference": rows[~np.isnan(rows).any(axis=1)],
        "replay": replay_frame(
            panel,
            (first, last),
            example.scores[first:last],
            example.exposures,
            context=example.warmup,
            equity=plain_equity(example),
        ),
        "account": ACCOUNT,
    }
    return export_bundle(path, **{**arguments, **changes})


def export_scored(example: Example, path: Path, scores: np.ndarray, **changes: Any) -> Path:
    """Export another model than the example's, whose scores (T, N) are `scores`."""
    last = example.first + WINDOW
    exposures, _ = target_exposures(
        scores[example.first : last],
        example.panel.listed[example.first : last],
        enter=POLICY.enter,
        exit=POLICY.exit,
        leverage=POLICY.leverage,
        long_only=POLICY.long_only,
    )
    return export_example(replace(example, scores=scores, exposures=exposures), path, **changes)


def publish(registry: Registry, bundle: Path) -> int:
    """Register a bundle and make it champion."""
    number = registry.register(bundle, note="for tests")
    registry.promote("example", number, why="for tests")
    return number
