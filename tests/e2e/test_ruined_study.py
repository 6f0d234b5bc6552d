"""A champion that lost everything is judged like any other: the study comes to its end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from windtunnel.experiments import Study, StudyResult

Bars = Callable[[str, list[dt.datetime], float, np.ndarray], pl.DataFrame]
BARS, HOLDOUT, TRAIN = 360, 60, 150
# In the first of three folds, so that the others begin with nothing; or in the holdout alone.
RUINS = {"folds": (TRAIN, TRAIN + 20), "holdout": (BARS - HOLDOUT, BARS - HOLDOUT + 20)}


def bars_with(ruin: tuple[int, int], quiet_bars: Bars) -> pl.DataFrame:
    """Calm bars, but for a stretch of moves by a fifth, up and down in turn: no side survives."""
    rng = np.random.default_rng(5)
    stamps = [dt.datetime(2015, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=t) for t in range(BARS)]
    frames = []
    for symbol in ("AA", "BB"):
        steps = rng.normal(0.0002, 0.002, BARS)
        steps[slice(*ruin)] = np.log(1.2) * (-1.0) ** np.arange(ruin[1] - ruin[0])
        close = 100 * np.exp(np.cumsum(steps))
        frames.append(quiet_bars(symbol, stamps, 100.0, close))
    return pl.concat(frames)


@pytest.fixture(scope="module", params=RUINS)
def ruined(request, tmp_path_factory, quiet_bars) -> tuple[str, StudyResult]:
    """A study that always holds ten times its equity, whatever the scores say."""
    raw = {
        "study": {"name": "ruined", "seed": 1, "trials": 4, "cohort": 4},
        "features": {"use": ["return_1", "return_5"]},
        "validation": {
            "folds": 3,
            "train_bars": TRAIN,
            "holdout_bars": HOLDOUT,
            "min_train_rows": 50,
        },
        "model": {"family": "linear"},
        "training": {"steps": 16, "batch_size": 64},
        "policy": {"enter": 0.0, "direction": "long_short", "leverage": 10.0},
        "search": {"training.learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}},
    }
    study = Study.from_dict(raw, bars=bars_with(RUINS[request.param], quiet_bars))
    return request.param, study.run(tmp_path_factory.mktemp(request.param))


def test_a_ruined_champion_has_a_report_a_bundle_and_a_verdict(ruined):
    where, result = ruined
    assert result.run.verify() == []
    assert result.figures["verdict"]["level"] != "strong"
    looked = result.figures["holdout"]
    assert looked["opened"]
    lost = result.figures["metrics"] if where == "folds" else looked["metrics"]
    assert lost["total_return"] <= -0.95
    assert result.bundle.is_dir()
    page = result.report().read_text(encoding="utf-8")
    assert ("nothing was left when this fold began" in page) == (where == "folds")
    assert result._repr_html_()
