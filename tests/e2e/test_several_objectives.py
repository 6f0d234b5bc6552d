"""Deflated Sharpe ratio and turnover weighed by NSGA-II, from the study file to the page."""

from __future__ import annotations

import math
import re

import numpy as np
import optuna
import polars as pl
import pytest

from windtunnel.experiments import Study, StudyResult
from windtunnel.metrics.financial import returns
from windtunnel.overfitting import expected_maximum, psr
from windtunnel.runs import Run

TRIALS = 48
STUDY = {
    "study": {
        "name": "weighed",
        "trials": TRIALS,
        "cohort": 16,
        "objective": "deflated_sharpe",
    },
    "data": {"source": "sample:us_equities_1d", "symbols": ["AAPL", "IBM"], "start": "2009-01-01"},
    "features": {"use": ["return_1", "return_5", "rsi_14"]},
    "validation": {"folds": 2, "train_bars": 300, "holdout_bars": 100},
    "model": {"family": "linear"},
    "training": {"steps": 10, "batch_size": 64},
    "tuning": {"sampler": "nsga2", "also": ["turnover"]},
    "search": {
        "training.learning_rate": {"low": 1e-3, "high": 1e-1, "log": True},
        # Up to where nothing is traded any more.
        "policy.enter": {"low": 0.0, "high": 0.6},
        "policy.exit": {"low": 0.0, "high": 0.2},
    },
}


@pytest.fixture(scope="module")
def weighed(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return Study.from_dict(STUDY).run(tmp_path_factory.mktemp("weighed"))


def test_the_objective_is_deflated_by_the_plan(weighed: StudyResult) -> None:
    curves = np.concatenate([equity for _, equity in Run(weighed.run.path).cohorts()], axis=1)
    made = returns(curves, 100_000.0)
    traded = weighed.trials["fills"].to_numpy() > 0
    assert 0 < traded.sum() < TRIALS
    own = made[:, traded]
    centred = own - own.mean(axis=0)
    scale = own.std(axis=0)
    expected = psr(
        own.mean(axis=0) / own.std(axis=0, ddof=1),
        len(own),
        skewness=(centred**3).mean(axis=0) / scale**3,
        kurtosis=(centred**4).mean(axis=0) / scale**4,
        benchmark=expected_maximum(TRIALS) / math.sqrt(len(own) - 1),
    )
    told = weighed.trials["objective"].to_numpy()
    np.testing.assert_allclose(told[traded], expected, rtol=1e-9)
    np.testing.assert_array_equal(told, weighed.trials["deflated_sharpe"].to_numpy())
    # Cash: a Sharpe ratio of nought, held against the luckiest of as many.
    cash = psr(0.0, len(own), benchmark=expected_maximum(TRIALS) / math.sqrt(len(own) - 1))
    np.testing.assert_allclose(told[~traded], cash, rtol=1e-12)


def test_optuna_sees_both_objectives_and_the_same_front(weighed: StudyResult) -> None:
    run = weighed.run
    backend = optuna.storages.journal.JournalFileBackend(str(run.path / "optuna.journal"))
    study = optuna.load_study(study_name=run.id, storage=optuna.storages.JournalStorage(backend))
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    values = np.array([trial.values for trial in study.trials])
    table = weighed.trials.with_columns(pl.col("turnover").fill_null(0.0))
    np.testing.assert_array_equal(values, table.select("objective", "turnover").to_numpy())

    page = (run.path / "report.html").read_text(encoding="utf-8")
    (front,) = re.findall(r"<table[^>]*>\s*<caption>The Pareto front.*?</table>", page, re.DOTALL)
    listed = {int(n) for n in re.findall(r'<th scope="row"[^>]*>(\d+)', front)}
    best = {trial.number for trial in study.best_trials}
    assert listed <= best
    # Those that never traded are all equal, and one of them stands for all.
    assert {tuple(values[n]) for n in listed} == {tuple(values[n]) for n in best}
    assert 1 < len(listed) < len(best)
    assert f"{len(best)} trials" in front
    assert 'id="plot-front0"' in page
