from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from windtunnel.tuning.database import CohortDatabase
from windtunnel.tuning.mirror import quiet

KINDS = {
    "x": FloatDistribution(1e-3, 1.0, log=True),
    "n": IntDistribution(2, 8, step=2),
    "family": CategoricalDistribution(("linear", "mlp")),
}
PARAMS = {"x": 0.1 + 0.2, "n": 6, "family": "mlp"}


def trials(objectives: int) -> list[FrozenTrial]:
    """Every sort of ending, with whatever may hang on it."""
    reports = {5: 1 / 3, 10: math.inf, 20: math.nan} if objectives == 1 else {}
    return [
        optuna.create_trial(
            state=TrialState.COMPLETE,
            values=[1 / 3, -math.inf][:objectives],
            params=PARAMS,
            distributions=KINDS,
            user_attrs={"sharpe": 1 / 7, "reason": "because", "fills": 3},
            intermediate_values=reports,
        ),
        optuna.create_trial(state=TrialState.FAIL, user_attrs={"reason": "loss"}),
        optuna.create_trial(
            state=TrialState.PRUNED,
            values=[0.25] * objectives,
            params={"x": 0.5},
            distributions={"x": KINDS["x"]},
            intermediate_values={5: 0.25} if objectives == 1 else None,
        ),
    ]


def open_study(path: Path, objectives: int = 1) -> tuple[CohortDatabase, optuna.Study]:
    with quiet():
        database = CohortDatabase(f"sqlite:///{path}")
        study = optuna.create_study(
            storage=database.storage, study_name="demo", directions=["maximize"] * objectives
        )
    return database, study


def read(path: Path) -> list[dict[str, object]]:
    """What Optuna's tools read."""
    study = optuna.load_study(study_name="demo", storage=f"sqlite:///{path}")
    return [
        {
            "number": trial.number,
            "state": trial.state,
            "values": trial.values,
            "params": trial.params,
            "distributions": trial.distributions,
            "attributes": trial.user_attrs,
            "reports": str(trial.intermediate_values),  # NaN equals nothing
            "start": trial.datetime_start,
            "end": trial.datetime_complete,
        }
        for trial in study.trials
    ]


@pytest.mark.parametrize("objectives", [1, 2])
def test_it_writes_what_optuna_writes(tmp_path: Path, objectives: int) -> None:
    """Cohorts of another study lie between: numbers count within a study."""
    added = [trials(objectives) for _ in range(3)]
    database, study = open_study(tmp_path / "ours.db", objectives)
    other = optuna.create_study(storage=database.storage, study_name="other")
    for cohort in added:
        database.add(study, cohort)
        database.add(other, [optuna.create_trial(state=TrialState.FAIL)])
    _, theirs = open_study(tmp_path / "theirs.db", objectives)
    for cohort in added:
        theirs.add_trials(cohort)
    assert read(tmp_path / "ours.db") == read(tmp_path / "theirs.db")
    assert len(other.trials) == 3


def test_a_cohort_is_added_whole_or_not_at_all(tmp_path: Path) -> None:
    database, study = open_study(tmp_path / "ours.db")
    database.add(study, trials(1))
    spoilt = [*trials(1), optuna.create_trial(state=TrialState.FAIL, user_attrs={"x": object()})]
    with pytest.raises(TypeError, match="not JSON serializable"):
        database.add(study, spoilt)
    assert len(read(tmp_path / "ours.db")) == 3
    database.add(study, trials(1))
    assert [trial["number"] for trial in read(tmp_path / "ours.db")] == list(range(6))
