"""Rungs inside a part: survivors are those of a whole training, the others keep their history."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from windtunnel.assessor import Assessor
from windtunnel.rungs import RUNGS, Assessed, Ladder, assess
from windtunnel.trial_rows import SHOWN, outcomes
from windtunnel.tuning.pruners import make_pruner

Make = Any

PARAMS = [
    {"training.learning_rate": rate, "policy.enter": enter}
    for rate in (1e-3, 3e-3, 1e-2, 3e-2)
    for enter in (0.0, 0.03)
]


@pytest.fixture(scope="module")
def assessor(study_of: Make, assessor_of: Make) -> Assessor:
    return assessor_of(study_of(tuning={"pruner": "halving"}))


@pytest.fixture(scope="module")
def whole(assessor: Assessor) -> Assessed:
    return assess([(assessor.pipeline({}), range(8))], PARAMS)


@pytest.fixture(scope="module")
def pruned(assessor: Assessor) -> Assessed:
    return assessor.assess(PARAMS, 0, [])


def test_half_survive_each_rung(pruned: Assessed) -> None:
    assert pruned.survivors == (4, 2, 1, 1)
    assert sorted(pruned.table["steps"]) == [2, 2, 2, 2, 4, 4, 8, 16]
    assert pruned.table["state"].to_list().count("pruned") == 7


def test_survivors_have_the_bits_of_a_whole_training(pruned: Assessed, whole: Assessed) -> None:
    ended = pruned.table["state"] == "complete"
    both = [table.filter(ended).drop("rungs") for table in (pruned.table, whole.table)]
    assert_frame_equal(*both, check_exact=True)
    lanes = np.flatnonzero(ended.to_numpy())
    np.testing.assert_array_equal(pruned.equity[:, lanes], whole.equity[:, lanes])


def test_a_pruned_one_keeps_its_history_and_no_objective(pruned: Assessed) -> None:
    stopped = pruned.table.filter(pl.col("state") == "pruned")
    assert stopped["objective"].null_count() == len(stopped)
    assert stopped["sharpe"].null_count() == 0
    for row in stopped.iter_rows(named=True):
        assert [seen["step"] for seen in row["rungs"]] == [
            s for s in (2, 4, 8) if s <= row["steps"]
        ]
        assert row["reason"] == f"pruned at step {row['steps']}"


def test_the_pruned_were_the_worse_half_of_their_rung(pruned: Assessed) -> None:
    rungs = [{seen["step"]: seen["value"] for seen in row} for row in pruned.table["rungs"]]
    for step, following in ((2, 4), (4, 8), (8, 16)):
        stayed = [seen[step] for seen in rungs if following in seen]
        left = [seen[step] for seen in rungs if step in seen and following not in seen]
        assert min(stayed) >= max(left)


def test_hyperband_looks_later_in_the_next_cohort(study_of: Make, assessor_of: Make) -> None:
    assessor = assessor_of(study_of(tuning={"pruner": "hyperband", "rungs": 2}))
    assert len(assessor.assess(PARAMS[:4], 0, []).survivors) == 3
    assert len(assessor.assess(PARAMS[:4], 1, []).survivors) == 2


def test_a_failed_trial_never_survives(assessor: Assessor) -> None:
    wild = [*PARAMS[:3], {"training.learning_rate": 1e30, "policy.enter": 0.0}]
    found = assessor.assess(wild, 0, [])
    assert found.table["state"].to_list()[3] == "failed"
    assert "non-finite" in found.table["reason"][3]
    assert found.table["rungs"].to_list()[3] == []


def test_nothing_left_ends_the_climb(assessor: Assessor) -> None:
    ladder = Ladder((2, 16), lambda look: np.zeros(len(look.values), bool))
    found = assess([(assessor.pipeline({}), range(2))], PARAMS[:2], ladder)
    assert found.survivors == (0,)
    assert found.table["state"].to_list() == ["pruned", "pruned"]


def test_buckets_are_judged_together(study_of: Make, assessor_of: Make) -> None:
    """Label horizons are buckets; the better half of both together survives."""
    study = study_of(
        search={"label.horizon": {"integer": True, "low": 2, "high": 8}},
        tuning={"pruner": "halving"},
    )
    assessor = assessor_of(study)
    mixed = [{**point, "label.horizon": 2 + 6 * (at % 2)} for at, point in enumerate(PARAMS)]
    found = assessor.assess(mixed, 0, [])
    assert found.survivors == (4, 2, 1, 1)
    alone = assess(
        [(assessor.pipeline({"label.horizon": 8}), range(8))],
        mixed,
        Ladder((2,), make_pruner("halving", reduction=2)),
    )
    first = [row[0]["value"] for row in found.table["rungs"].to_list()]
    assert first[1::2] == [row[0]["value"] for row in alone.table["rungs"].to_list()][1::2]


def test_one_that_was_stopped_before_it_had_an_objective_has_no_value(study_of: Make) -> None:
    """Runs of old may hold such rows, and are resumed."""
    row = {"number": 0, "training.learning_rate": 0.01, "policy.enter": 0.0, "state": "pruned"}
    row |= dict.fromkeys(SHOWN) | {"reason": "pruned at step 2", "objective": None, "rungs": []}
    table = pl.DataFrame([row], schema_overrides={"rungs": RUNGS})
    (told,) = outcomes(table, study_of())
    assert (told.value, told.reports) == (None, {})
