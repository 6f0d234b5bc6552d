from __future__ import annotations

import math
import warnings

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from windtunnel.errors import TuningError
from windtunnel.tuning.mirror import quiet
from windtunnel.tuning.pruners import Look, bracket, make_pruner, rung_steps

NAMES = ["halving", "asha", "hyperband", "median", "percentile", "patient"]


def look(values: list[float], step: int = 10, past: list = (), before: list | None = None) -> Look:
    return Look(step, np.array(values), before or [{} for _ in values], past)


def test_rungs_grow_by_the_factor_to_the_last_step() -> None:
    assert rung_steps(300, 3, 2) == (38, 75, 150, 300)
    assert rung_steps(300, 2, 10) == (3, 30, 300)
    assert rung_steps(2, 5, 4) == (1, 2)
    assert rung_steps(1, 3, 2) == (1,)


@pytest.mark.parametrize(("total", "rungs"), [(4, 1), (4, 3), (10, 3), (12, 2)])
def test_rungs_below_one_step_are_one_rung_after_the_first(total: int, rungs: int) -> None:
    assert rung_steps(total, rungs, 10) == (1, total)


def test_hyperband_begins_later_in_other_cohorts() -> None:
    steps = (10, 20, 40)
    assert [bracket(steps, "hyperband", cohort) for cohort in range(4)] == [
        (10, 20, 40),
        (20, 40),
        (40,),
        (10, 20, 40),
    ]
    assert bracket(steps, "halving", 2) == steps


def test_halving_by_hand() -> None:
    prune = make_pruner("halving", reduction=2)
    assert prune(look([1.0, 3.0, 2.0, math.nan])).tolist() == [False, True, True, False]
    assert prune(look([1.0, 1.0, 1.0, 1.0])).tolist() == [True, True, False, False]
    assert prune(look([math.nan, math.nan])).tolist() == [False, False]
    assert prune(look([-5.0])).tolist() == [True]


def test_asha_by_hand() -> None:
    """Of 4 + 4 values the best 4 stay: three of the past are better than all but one here."""
    prune = make_pruner("asha", reduction=2)
    past = [(True, {10: 9.0}), (False, {10: 8.0}), (True, {10: 7.0}), (True, {10: 0.0}), (True, {})]
    assert prune(look([1.0, 6.0, 5.0, 2.0], past=past)).tolist() == [False, True, False, False]


def test_median_compares_with_trials_that_ended() -> None:
    prune = make_pruner("median", reduction=2)
    ended = [(True, {10: float(value), 20: 0.0}) for value in range(9)]
    early = [(False, {10: 100.0}) for _ in range(9)]
    found = prune(look([3.0, 5.0], past=ended + early))
    assert found.tolist() == [False, True]
    assert prune(look([3.0, 5.0], past=ended[:3])).tolist() == [True, True]  # too few to judge


def test_percentile_keeps_its_share() -> None:
    prune = make_pruner("percentile", reduction=2, percentile=25.0)
    ended = [(True, {10: float(value)}) for value in range(100)]
    assert prune(look([70.0, 80.0], past=ended)).tolist() == [False, True]


def test_patient_waits_for_one_rung_without_progress() -> None:
    prune = make_pruner("patient", reduction=2)
    before = [{1: 5.0, 2: 4.0, 5: 3.0}, {1: 1.0, 2: 2.0, 5: 3.0}]
    assert prune(look([2.0, 4.0], before=before)).tolist() == [False, True]


REPORT = st.dictionaries(st.sampled_from([2, 5]), st.floats(-10, 10), max_size=2)


@given(
    name=st.sampled_from(["median", "percentile", "patient"]),
    lanes=st.lists(st.tuples(st.floats(-10, 10), REPORT), min_size=1, max_size=8),
    past=st.lists(
        st.tuples(
            st.booleans(),
            st.dictionaries(st.sampled_from([2, 5, 10, 20]), st.floats(-10, 10), max_size=4),
        ),
        max_size=20,
    ),
    percentile=st.floats(1, 99),
)
def test_rules_of_optuna_s_are_optuna_s(
    name: str,
    lanes: list[tuple[float, dict[int, float]]],
    past: list[tuple[bool, dict[int, float]]],
    percentile: float,
) -> None:
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        theirs = {
            "median": optuna.pruners.MedianPruner(),
            "percentile": optuna.pruners.PercentilePruner(percentile),
            "patient": optuna.pruners.PatientPruner(None, patience=1),
        }[name]
        study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.create_trial(
                state=TrialState.COMPLETE if ended else TrialState.PRUNED,
                value=0.0 if ended else None,
                intermediate_values=reports,
            )
            for ended, reports in past
            if reports
        ]
    )
    kept = [
        not theirs.prune(
            study,
            optuna.create_trial(state=TrialState.PRUNED, intermediate_values={**before, 10: value}),
        )
        for value, before in lanes
    ]
    values, before = [value for value, _ in lanes], [each for _, each in lanes]
    ours = make_pruner(name, reduction=2, percentile=percentile)
    assert ours(look(values, past=past, before=before)).tolist() == kept


@pytest.mark.parametrize("name", NAMES)
@given(values=st.lists(st.one_of(st.floats(-10, 10), st.just(math.nan)), min_size=1, max_size=20))
def test_failed_never_survive_and_the_best_always_does(name: str, values: list[float]) -> None:
    found = make_pruner(name, reduction=3)(look(values))
    assert found.shape == (len(values),)
    assert not found[np.isnan(values)].any()
    if not np.isnan(values).all():
        assert found[np.nanargmax(values)]


def test_an_unknown_pruner_is_refused() -> None:
    with pytest.raises(TuningError, match="'secateurs' is unknown"):
        make_pruner("secateurs", reduction=2)
