"""Cohorts of several shapes: each configuration as if its shape were the only one."""

from __future__ import annotations

import numpy as np
import pytest

from windtunnel.config.study import ModelSection
from windtunnel.errors import StudyFileError, TrainingError
from windtunnel.trainers.bucket_trainer import BucketTrainer
from windtunnel.trainers.supervised_trainer import SupervisedTrainer

FAMILIES = ["mlp", "linear", "mlp", "mlp", "linear", "mlp"]
WIDTHS = [4, None, 6, 4, None, 4]


@pytest.fixture(scope="module")
def mixed(task, training):
    return BucketTrainer(task, ModelSection(depth=1), training, seed=3)


@pytest.fixture(scope="module")
def hyper(build_hyper):
    return build_hyper(6)


@pytest.fixture(scope="module")
def shaped(hyper):
    return hyper | {
        "model.family": np.array(FAMILIES, dtype=object),
        "model.width": np.array(WIDTHS, dtype=object),
    }


@pytest.fixture(scope="module")
def whole(mixed, shaped):
    return mixed.fit(shaped, keep_models=True)


def test_as_many_programs_as_shapes(mixed, whole):
    assert [(each.family, each.layers) for each in mixed.buckets] == [
        ("mlp", (4,)),
        ("linear", (32,)),
        ("mlp", (6,)),
    ]
    assert len(mixed.compilations) == 3
    assert all(each.seconds > 0 for each in mixed.compilations)


def test_each_as_its_own_trainer_has_it(task, training, hyper, whole, equal):
    alone = SupervisedTrainer(task, ModelSection(family="linear"), training, seed=3)
    own = alone.fit({name: values[[1, 4]] for name, values in hyper.items()}, keep_models=True)
    for lane, at in ((1, 0), (4, 1)):
        assert equal(whole.scores[:, :, lane], own.scores[:, :, at])
        assert equal(whole.loss[lane], own.loss[at])
        assert equal(whole.models[lane].network, own.models[at].network)


def test_the_whole_cohort_is_there_in_its_order(mixed, shaped, whole, equal):
    order = [5, 1, 2, 0]
    fit = mixed.fit({name: values[order] for name, values in shaped.items()}, keep_models=True)
    for at, lane in enumerate(order):
        assert equal(fit.scores[:, :, at], whole.scores[:, :, lane])
        assert equal(fit.models[at].network, whole.models[lane].network)


def test_stretches_and_survivors(mixed, shaped, whole, equal):
    progress, _ = mixed.advance(mixed.start(shaped), 7)
    survivors = progress.pick([4, 2, 5, 0])
    assert len(survivors) == 4
    progress, _ = mixed.advance(survivors, 13)
    last = progress.pick([2, 0])  # of the cohort 5 and 4
    progress, fit = mixed.advance(last, mixed.steps, keep_models=True)
    assert progress.step == mixed.steps
    for at, lane in enumerate((5, 4)):
        assert equal(fit.scores[:, :, at], whole.scores[:, :, lane])
        assert equal(fit.models[at].network, whole.models[lane].network)


def test_a_failure_is_named_by_its_lane_in_the_cohort(mixed, shaped, whole, equal):
    bad = shaped | {"learning_rate": shaped["learning_rate"].copy()}
    bad["learning_rate"][5] = 1e30
    fit = mixed.fit(bad)
    assert list(fit.failures) == [5]
    assert fit.failures[5].startswith("trial lane 5, fold 0, seed 0: loss became non-finite")
    assert np.isnan(fit.scores[:, :, 5]).all()
    assert all(equal(fit.scores[:, :, lane], whole.scores[:, :, lane]) for lane in range(5))


def test_without_shapes_the_studys_own_is_meant(task, training, hyper, equal, model, trainer):
    plain = BucketTrainer(task, model, training, seed=3).fit(hyper)
    assert equal(plain.scores, trainer.fit(hyper).scores)


@pytest.mark.parametrize(
    ("name", "values", "error", "message"),
    [
        ("model.family", ["mlp", "forest"], TrainingError, "no family is called 'forest'"),
        ("model.family", ["mlp", 3], TrainingError, r"family'\]\[1\]: no family is called '3'"),
        ("model.width", [4], TrainingError, "one value for each of 2 configurations, got 1"),
        ("model.width", 4, TrainingError, r"of 2 configurations, got shape \(\)"),
        ("model.width", [4, 4.5], TrainingError, r"width'\]\[1\]: must be a whole number, got 4.5"),
        ("model.width", [4, np.nan], TrainingError, "must be a whole number, got nan"),
        ("model.width", [np.inf, 4], TrainingError, "must be a whole number, got inf"),
        ("model.width", ["a", 4], TrainingError, "must be a whole number, got 'a'"),
        ("model.width", [True, 4], TrainingError, "must be a whole number, got True"),
        ("model.width", [4, 0], StudyFileError, r"model\.width: .*greater than .*, got 0"),
        ("model.window", [4, 5000], StudyFileError, r"model\.window: .*less than .*, got 5000"),
    ],
)
def test_wrong_shapes(mixed, build_hyper, name, values, error, message):
    hyper = build_hyper(2) | {name: np.array(values, dtype=object)}
    for begin in (mixed.fit, mixed.start):
        with pytest.raises(error, match=message):
            begin(hyper)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dropout": None}, r"missing \['dropout'\]"),
        ({"momentum": np.ones(3)}, r"unknown \['momentum'\]"),
        ({"learning_rate": 0.1}, r"must have shape \(C,\)"),
        ({"learning_rate": [0.1, 0.1, np.nan]}, r"hyper\['learning_rate'\]\[2\]: .*got nan"),
    ],
)
def test_wrong_hyperparameters_are_named_by_their_lane_in_the_cohort(
    mixed, build_hyper, change, message
):
    hyper = {**build_hyper(3), **change, "model.family": ["linear", "mlp", "mlp"]}
    hyper = {name: values for name, values in hyper.items() if values is not None}
    for begin in (mixed.fit, mixed.start):
        with pytest.raises(TrainingError, match=message):
            begin(hyper)


def test_a_cohort_of_nobody(mixed, shaped):
    for nothing in ({}, {name: values[:0] for name, values in shaped.items()}):
        with pytest.raises(TrainingError, match="hyper"):
            mixed.fit(nothing)
    with pytest.raises(TrainingError, match="progress: holds no configuration"):
        mixed.advance(mixed.start(shaped).pick([]), 3)


def test_a_family_left_open_is_the_studys_own(mixed, shaped, whole, equal):
    open_ = np.array([None if family == "mlp" else family for family in FAMILIES], dtype=object)
    assert equal(mixed.fit(shaped | {"model.family": open_}).scores, whole.scores)


def test_heads_that_do_not_divide_the_width(mixed, build_hyper):
    hyper = build_hyper(1) | {"model.family": ["transformer"], "model.width": [5]}
    with pytest.raises(StudyFileError, match="attention_heads: must divide"):
        mixed.fit(hyper)
