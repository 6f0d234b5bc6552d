"""Every kind of model goes the whole way: study, champion, bundle, replay, decisions served."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from rich.console import Console

import windtunnel as wt
from windtunnel.cli import show
from windtunnel.data.align import to_panel
from windtunnel.deployment.bundle import Bundle, load_bundle
from windtunnel.deployment.replay import replay
from windtunnel.serving.predictor import Predictor
from windtunnel.serving.refusal import Refusal

SYMBOLS, BARS = ("AAA", "BBB", "CCC"), 420
KINDS: dict[str, dict[str, Any]] = {
    "gru, relative": {"family": "gru", "window": 4, "depth": 1, "scope": "cross_section"},
    "tcn, exposure": {"family": "tcn", "window": 5, "head": "sharpe"},
    "long-only exposure": {"family": "linear", "head": "sharpe"},
    "lightgbm": {"family": "lightgbm"},
    "searched": {"family": "mlp"},
    "transformer, quantiles": {
        "family": "transformer",
        "window": 3,
        "depth": 1,
        "head": "quantile",
    },
}


def bars() -> pl.DataFrame:
    """Random walks; the second instrument begins late and misses some bars."""
    rng = np.random.default_rng(8)
    days = pl.datetime_range(
        pl.datetime(2020, 1, 1, time_zone="UTC"),
        pl.datetime(2020, 1, 1, time_zone="UTC") + pl.duration(days=BARS - 1),
        "1d",
        eager=True,
    )
    frames = []
    for number, symbol in enumerate(SYMBOLS):
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, BARS)))
        opened = close * np.exp(rng.normal(0, 0.003, BARS))
        frame = pl.DataFrame(
            {
                "timestamp": days,
                "symbol": [symbol] * BARS,
                "open": opened,
                "high": np.maximum(opened, close) * 1.002,
                "low": np.minimum(opened, close) * 0.998,
                "close": close,
                "volume": rng.uniform(1e5, 2e5, BARS),
            }
        )
        if number == 1:
            kept = (np.arange(BARS) >= 30) & ~np.isin(np.arange(BARS), (150, 390, 391))
            frame = frame.filter(pl.Series(kept))
        frames.append(frame)
    return pl.concat(frames)


def _sees_what_is_switched_on(bundle: Bundle, params: dict[str, Any]) -> None:
    """What the champion's switches leave out changes no score that is served."""
    on, slow = params["features.return"], params["features.slow"]
    seen = np.array([on, on, slow, True])
    np.testing.assert_array_equal(bundle.parameters["mask"], seen)
    rows = bundle.reference().to_numpy().astype(np.float32)[:32]
    elsewhere = rows + np.where(seen, np.float32(0), np.float32(9))
    np.testing.assert_array_equal(bundle.score(rows), bundle.score(elsewhere))
    other = rows + np.where(seen, np.float32(9), np.float32(0))
    assert not np.array_equal(bundle.score(rows), bundle.score(other))


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.slow if KINDS[kind].get("head") else ())
        for kind in KINDS
    ],
)
def test_a_model_goes_the_whole_way(tmp_path: Path, kind: str) -> None:
    model = KINDS[kind]
    if kind == "lightgbm":
        pytest.importorskip("lightgbm")
    label = "forward_return" if model.get("head") == "quantile" else "direction"
    search: dict[str, Any] = {"training.learning_rate": {"low": 1e-3, "high": 1e-2, "log": True}}
    if kind == "searched":
        search |= {
            "model.family": {"choices": ["mlp", "linear"]},
            "model.width": {"choices": [3, 5], "when": {"model.family": ["mlp"]}},
            "label.horizon": {"choices": [2, 3]},
            "features.return": {"choices": [True, False]},
            "features.slow": {"choices": [True, False]},
        }
    study = wt.Study.from_dict(
        {
            "study": {"name": "family", "trials": 4, "cohort": 4},
            "features": {
                "use": ["return_1", "return_5", "volatility_10", "rsi_5"],
                "groups": {"slow": ["volatility_10"]},
            },
            "label": {"kind": label, "horizon": 1},
            "validation": {
                "folds": 2,
                "train_bars": 150,
                "holdout_bars": 60,
                "min_train_rows": 50,
                "path_groups": 3,
                "path_tested": 1,
            },
            "model": {"width": 4, **model},
            "training": {"steps": 8, "batch_size": 32, "stretch_bars": 8},
            "policy": {
                "enter": 0.0,
                "direction": "long_only" if kind.startswith("long-only") else "long_short",
            },
            "search": search,
        },
        bars=bars(),
    )
    result = study.run(tmp_path)
    assert set(result.trials["state"]) == {"complete"}
    text = io.StringIO()
    show.result(Console(file=text, width=200), result)
    assert f"Best of {len(result.trials)} trials" in text.getvalue()

    bundle = load_bundle(result.bundle)
    certificate = replay(bundle)
    assert certificate.ok, certificate.sentence
    manifest = bundle.manifest
    assert manifest.window == model.get("window", 0)
    assert manifest.warmup == 10 + max(manifest.window - 1, 0)
    assert manifest.cross_section == (model.get("scope") == "cross_section")
    params = result.figures["champion"]["params"]
    assert manifest.model["family"] == params.get("model.family", model["family"])
    assert manifest.label.horizon == params.get("label.horizon", 1)
    if kind == "searched":
        _sees_what_is_switched_on(bundle, params)
    assert manifest.policy.proportional == (model.get("head") == "sharpe")
    # There is nothing to find in random walks: nothing may be promoted.
    assert result.figures["verdict"]["level"] != "candidate"

    # The last decisions from no more bars than the manifest asks for.
    decided = pl.read_parquet(result.run.path / "holdout.parquet")
    kept = pl.read_parquet(result.run.path / "bars.parquet")
    first = kept["timestamp"].unique().sort()[-manifest.warmup - 1]
    panel = to_panel(kept.filter(pl.col("timestamp") >= first))
    predictor = Predictor(bundle, 1)
    predictor.warm()
    served = predictor.decide(panel, panel.bars - 1, {})
    last = decided.filter(pl.col("timestamp") == decided["timestamp"].max())
    scores = dict(zip(last["symbol"], last["score"], strict=True))
    assert None not in scores.values()
    if kind.startswith("long-only"):
        assert decided["exposure"].drop_nulls().is_between(0, 1).all()
    for symbol, score in zip(served.symbols, served.scores[-1], strict=True):
        assert score == pytest.approx(scores[symbol], abs=1e-5)
    if manifest.cross_section:
        # A probability's score is an odd function of the logit: both sides are taken.
        assert min(scores.values()) < 0 < max(scores.values())
    if manifest.takes_rows:
        assert predictor.row_names == manifest.features
        return
    with pytest.raises(Refusal, match="this model sees"):
        _ = predictor.row_names
