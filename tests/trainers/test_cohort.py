"""A trial's numbers do not depend on its cohort: not on size, slot, neighbours or chunks."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from windtunnel.trainers.supervised_trainer import SupervisedTrainer
from windtunnel.trainers.tables import block_length

COHORT = 7


@pytest.fixture(scope="module")
def hyper(build_hyper):
    return build_hyper(COHORT)


@pytest.fixture(scope="module")
def crowd_hyper(hyper, build_hyper):
    """The cohort behind thirteen others."""
    others = build_hyper(13)
    return {name: np.concatenate([others[name], hyper[name]]) for name in hyper}


@pytest.fixture(scope="module")
def crowd(trainer, crowd_hyper):
    return trainer.fit(crowd_hyper, keep_models=True)


@pytest.fixture(scope="module")
def whole(trainer, hyper, crowd):
    return trainer.fit(hyper, keep_models=True)


def chosen(hyper, lanes):
    return {name: values[list(lanes)] for name, values in hyper.items()}


def same_trial(equal, fit, lane, other, other_lane):
    return (
        equal(fit.scores[:, :, lane], other.scores[:, :, other_lane])
        and equal(fit.loss[lane], other.loss[other_lane])
        and equal(fit.models[lane].network, other.models[other_lane].network)
    )


def test_the_trials_of_a_cohort_differ(whole, equal):
    assert not any(same_trial(equal, whole, 0, whole, lane) for lane in range(1, COHORT))
    assert np.unique(whole.loss).size == whole.loss.size


@pytest.mark.parametrize("lane", range(COHORT))
def test_alone_as_in_a_cohort(trainer, hyper, whole, equal, lane):
    alone = trainer.fit(chosen(hyper, [lane]), keep_models=True)
    assert same_trial(equal, alone, 0, whole, lane)


@pytest.mark.parametrize(
    "lanes", [range(6, -1, -1), (3, 3, 3, 3, 3), (0, 5), (2, 6, 1), (1, 1, 0, 6, 4, 2)]
)
def test_any_size_slot_and_duplicates(trainer, hyper, whole, equal, lanes):
    other = trainer.fit(chosen(hyper, lanes), keep_models=True)
    assert all(same_trial(equal, other, slot, whole, lane) for slot, lane in enumerate(lanes))


def test_a_larger_cohort(crowd, whole, equal):
    assert all(same_trial(equal, crowd, 13 + lane, whole, lane) for lane in range(COHORT))


def test_scores_do_not_depend_on_whether_models_are_kept(trainer, hyper, whole, equal):
    lean = trainer.fit(hyper)
    assert lean.models is None
    assert equal(lean.scores, whole.scores)
    assert equal(lean.loss, whole.loss)


def test_another_layout(task, model, training, hyper, whole, equal):
    """One device instead of all, a program compiled for two lanes, short blocks of steps."""
    trainer = SupervisedTrainer(task, model, training, seed=3, devices=jax.local_devices()[:1])
    shape = trainer._population.shape
    # A step takes 32 rows of 5 features, a label and 13 units: hence 10, 10 and 5 steps.
    trainer._population.shape = dataclasses.replace(shape, table_bytes=12_100)
    assert block_length(trainer.network, trainer._population.shape, 5) == 10
    fit = trainer.fit(chosen(hyper, [4, 1]), keep_models=True)
    assert trainer.compilations[0].lanes == 2
    assert same_trial(equal, fit, 0, whole, 4)
    assert same_trial(equal, fit, 1, whole, 1)


def test_programs_are_compiled_once(trainer, build_hyper, whole):
    compiled = []

    def listen(event, seconds, **_):
        if event.endswith("backend_compile_duration"):
            compiled.append(seconds)

    before = trainer.compilations
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        trainer.fit(build_hyper(5, learning_rate=0.3, dropout=0.1), keep_models=True)
        trainer.fit(build_hyper(2), keep_models=True)
        assert compiled == []
        jax.jit(lambda x: x + 1)(np.float32(1))
        assert len(compiled) == 1  # the ear was open
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert trainer.compilations == before


def test_another_trainer_repeats_the_result_and_another_seed_does_not(
    task, model, training, crowd, whole, equal, crowd_hyper
):
    """Both read the program of `crowd` from the persistent cache: the seed is an argument."""
    again = SupervisedTrainer(task, model, training, seed=3).fit(crowd_hyper, keep_models=True)
    assert all(same_trial(equal, again, 13 + lane, whole, lane) for lane in range(COHORT))
    other = SupervisedTrainer(task, model, training, seed=4).fit(crowd_hyper, keep_models=True)
    assert not any(same_trial(equal, other, lane, crowd, lane) for lane in range(20))
