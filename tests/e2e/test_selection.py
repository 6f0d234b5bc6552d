"""What a study was chosen from: pruned trials, costs as charged, and bars that others chose by."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from windtunnel import overfitting
from windtunnel.events import Warned
from windtunnel.experiments import Study, StudyResult
from windtunnel.metrics.financial import returns
from windtunnel.runs import Run

STUDY: dict[str, Any] = {
    "study": {"name": "first", "trials": 24, "cohort": 12},
    "data": {"source": "sample:us_equities_1d", "symbols": ["AAPL", "IBM"], "start": "2009-01-01"},
    "features": {"use": ["return_1", "return_5", "rsi_14"]},
    "validation": {"folds": 2, "train_bars": 300, "holdout_bars": 100},
    "model": {"family": "linear"},
    "training": {"steps": 8, "batch_size": 64},
    "tuning": {"pruner": "halving", "rungs": 2},
    "costs": {"minimum_fee": 400.0},
    "search": {
        "training.learning_rate": {"low": 1e-3, "high": 1e-1, "log": True},
        "policy.enter": {"low": 0.0, "high": 0.02},
    },
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("selection")


@pytest.fixture(scope="module")
def first(workspace: Path) -> StudyResult:
    return Study.from_dict(STUDY).run(workspace)


def test_statistics_see_pruned_trials_too(first: StudyResult) -> None:
    states = first.trials["state"].to_list()
    assert states.count("pruned") > 8
    curves = np.concatenate([equity for _, equity in Run(first.run.path).cohorts()], axis=1)
    made = returns(np.ascontiguousarray(curves), 100_000.0)
    told = first.figures["statistics"]["effective_trials"]
    assert told == pytest.approx(overfitting.effective_trials(made).by_clusters)
    survivors = np.ascontiguousarray(made[:, [state == "complete" for state in states]])
    assert told != pytest.approx(overfitting.effective_trials(survivors).by_clusters)


def test_costs_are_doubted_as_they_were_charged(first: StudyResult) -> None:
    """A minimum fee of 400 on orders of a fraction of 100,000 is far above its three bps."""
    sentences = " ".join(first.figures["verdict"]["sentences"])
    assert "; 3 were charged" not in sentences
    assert "costs" in sentences.split("doubts remain about")[1]


def test_a_holdout_that_another_study_chose_by_is_not_sealed(
    first: StudyResult, workspace: Path
) -> None:
    """The holdout of a study that ends earlier lies among the bars that the first was judged on."""
    shorter = copy.deepcopy(STUDY)
    shorter["study"]["name"] = "shorter"
    bars = first.run.path / "bars.parquet"
    shorter["data"]["end"] = _last_development_bar(bars)
    found = Study.from_dict(shorter).run(workspace).figures
    assert not found["holdout"]["opened"]
    assert f"24 trials of run {first.run.id}" in found["holdout"]["seal"]
    lines = (workspace / "runs" / "holdout.jsonl").read_text().splitlines()
    assert [json.loads(line)["run"] for line in lines] == [first.run.id]


def test_a_ledger_that_was_lost_is_missed(
    first: StudyResult, workspace: Path, tmp_path: Path
) -> None:
    """A workspace whose runs were deleted as a whole has a memory bank, and no trials to count."""
    shutil.copytree(workspace / "memory_bank", tmp_path / "memory_bank")
    other = copy.deepcopy(STUDY)
    other["study"] |= {"name": "other", "trials": 3}
    told: list[str] = []
    Study.from_dict(other).run(
        tmp_path, observers=[lambda e: told.append(e.message) if isinstance(e, Warned) else None]
    )
    (missed,) = [text for text in told if "runs/ledger.jsonl" in text]
    assert first.run.id in missed
    assert "other" not in missed.split("(")[1].split(")")[0]


def test_a_fresh_repeat_is_the_same_look(first: StudyResult, workspace: Path) -> None:
    again = Study.from_dict(STUDY).run(workspace, fresh=True).figures
    assert again["holdout"]["opened"]
    assert again["holdout"]["seal"] == first.figures["holdout"]["seal"]
    lines = (workspace / "runs" / "holdout.jsonl").read_text().splitlines()
    assert len(lines) == 1


def _last_development_bar(bars: Path) -> str:
    stamps = pl.read_parquet(bars)["timestamp"].unique().sort()
    return str(stamps[-101].isoformat())
