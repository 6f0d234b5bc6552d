"""The supervised champion that a policy is set beside: a small study of its own, in the run.

It has the study's bars, features, labels, folds, network, seeds and costs; its trials are a
few cohorts of the ordinary search, its champion is chosen by the ordinary rule, on the
validation slices alone. Its trials are in the project's ledger, since they were tried on these
bars; it never sees the holdout, and nothing of the policy's study depends on it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl

from windtunnel import events
from windtunnel.assessor import Assessor, assessor_for
from windtunnel.campaign import Campaign, InProcess
from windtunnel.config import StudyFile, parse_study
from windtunnel.errors import TrainingError
from windtunnel.findings import TrialTable
from windtunnel.runs import Run, run_id

FOLDER = "rivals"
_LEARNING: dict[str, dict[str, Any]] = {
    "training.learning_rate": {"low": 3e-4, "high": 3e-2, "log": True},
    "training.weight_decay": {"low": 1e-6, "high": 1e-1, "log": True},
    "training.dropout": {"low": 0.0, "high": 0.5},
    "policy.enter": {"low": 0.0, "high": 0.15},
    "policy.exit": {"low": 0.0, "high": 0.15},
}


def rival_study(study: StudyFile) -> StudyFile:
    """The supervised study beside a study whose policies learn by trading.

    It searches how to train and when to trade, and, where the policy's study does, the leverage
    and the groups of features: at all times, where that hangs on how the policy learns. It has as
    many trials as `rl.supervised_trials` says.
    """
    raw = study.model_dump(mode="json", exclude_none=True)
    for table in ("rl", "audit", "tuning"):
        del raw[table]
    without = {"policy.enter", "policy.exit"} if study.model.head == "sharpe" else set()
    if study.model.family == "linear":
        without.add("training.dropout")
    search = {name: given for name, given in _LEARNING.items() if name not in without} | {
        name: given
        for name, given in raw["search"].items()
        if name == "policy.leverage" or name.startswith("features.")
    }
    raw["search"] = {name: _without_strangers(given, search) for name, given in search.items()}
    trials = study.rl.supervised_trials
    raw["study"] |= {
        "name": f"{study.study.name[:52]}-supervised",
        "trials": trials,
        "cohort": min(trials, study.study.cohort),
    }
    raw["training"]["trainer"] = "supervised"
    raw["tuning"] = {"storage": "memory"}
    return parse_study(raw)


def _without_strangers(given: dict[str, Any], search: dict[str, Any]) -> dict[str, Any]:
    """A dimension whose `when` speaks of other dimensions of this search alone."""
    when = {name: values for name, values in given.get("when", {}).items() if name in search}
    return {name: value for name, value in given.items() if name != "when"} | (
        {"when": when} if when else {}
    )


def supervised_rival(run: Run, assessor: Assessor, bus: events.EventBus) -> TrialTable | None:
    """Make the trials that the rival lacks and return all of them, finished ones included.

    None for a study whose trainer is supervised, or when every trial failed: that is told as
    a warning, since the policy's own study is none the worse for it.
    """
    study = assessor.study
    if study.training.trainer != "rl":
        return None
    own = rival_study(study)
    course = replace(assessor.course, study=own)
    bus.emit(events.StageStarted("rivals", f"{own.study.trials} supervised trials"))
    path = run.path / FOLDER / run_id(own, course.panel.fingerprint)
    bars = pl.read_parquet(run.path / "bars.parquet")
    kept = Run.create(path, own, bars, origin=f"{FOLDER}/{path.name}/study.toml")
    kept.take_settings(own)
    judge = assessor_for(own, assessor.panel, course)
    # A bus of its own: observers count the trials of the study itself.
    campaign = Campaign(kept, judge, InProcess(judge), events.EventBus(), run.path.parent)
    try:
        campaign.carry_out()
    except TrainingError as error:
        bus.emit(events.Warned(f"supervised champion: {error}"))
        return None
    return TrialTable.read(kept, course)
