"""Training in stretches, with survivors moved together, gives the bits of training in one go."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from windtunnel.errors import TrainingError
from windtunnel.trainers.supervised_trainer import SupervisedTrainer

COHORT = 11


@pytest.fixture(scope="module")
def hyper(build_hyper):
    return build_hyper(COHORT)


@pytest.fixture(scope="module")
def whole(trainer, hyper):
    return trainer.fit(hyper, keep_models=True)


def same(equal, fit, lane, whole, other):
    return (
        equal(fit.scores[:, :, lane], whole.scores[:, :, other])
        and equal(fit.loss[lane], whole.loss[other])
        and equal(fit.models[lane].network, whole.models[other].network)
    )


@pytest.mark.parametrize("stops", [(1,), (7, 8, 20), (24,)])
def test_stops_change_nothing(trainer, hyper, whole, equal, stops):
    progress = trainer.start(hyper)
    for stop in (*stops, trainer.steps):
        progress, fit = trainer.advance(progress, stop, keep_models=True)
        assert progress.step == stop
    assert all(same(equal, fit, lane, whole, lane) for lane in range(COHORT))


def test_survivors_of_rungs_end_where_an_uninterrupted_run_ends(trainer, hyper, whole, equal):
    progress, standing = trainer.start(hyper), np.arange(COHORT)
    for stop, kept in ((5, [9, 0, 4, 7, 2]), (11, [4, 1]), (trainer.steps, [1, 0])):
        progress, fit = trainer.advance(progress, stop, keep_models=True)
        assert fit.scores.shape[-1] == len(progress) == len(standing)
        progress, standing, before = progress.pick(kept), standing[kept], standing
    assert all(same(equal, fit, lane, whole, other) for lane, other in enumerate(before))


def test_a_rung_scores_what_a_shorter_look_would(trainer, hyper, equal):
    """Scores at a rung do not depend on who else is there, nor on the stops before."""
    begun = trainer.start(hyper)
    _, at_once = trainer.advance(begun, 9)
    halfway, _ = trainer.advance(begun.pick([3, 6]), 4)
    _, in_two = trainer.advance(halfway, 9)
    assert equal(in_two.scores[:, :, 0], at_once.scores[:, :, 3])
    assert equal(in_two.scores[:, :, 1], at_once.scores[:, :, 6])
    assert not equal(at_once.scores, trainer.fit(hyper).scores)


def test_progress_is_not_changed_by_going_on(trainer, hyper, equal):
    progress, _ = trainer.advance(trainer.start(hyper), 6)
    copy = jax.tree.map(np.copy, progress.state)
    _, first = trainer.advance(progress, trainer.steps)
    _, second = trainer.advance(progress, trainer.steps)
    assert equal(first.scores, second.scores)
    assert all(map(equal, jax.tree.leaves(copy), jax.tree.leaves(progress.state)))


def test_survivors_need_no_new_program(trainer, hyper):
    progress, _ = trainer.advance(trainer.start(hyper), 3)
    before = trainer.compilations
    for count in (7, 3, 1):
        progress, _ = trainer.advance(progress.pick(range(count)), progress.step + 1)
    assert trainer.compilations == before


def test_slabs_change_nothing(task, model, training, hyper, whole, equal):
    """A cohort that goes through the program in pieces: the memory plan decides no result."""
    trainer = SupervisedTrainer(task, model, training, seed=3)
    trainer._population.slab = 2 * len(jax.local_devices())
    progress, _ = trainer.advance(trainer.start(hyper), 13)
    _, fit = trainer.advance(progress.pick(range(COHORT)), trainer.steps, keep_models=True)
    assert trainer.compilations[0].lanes < COHORT
    assert all(same(equal, fit, lane, whole, lane) for lane in range(COHORT))


def test_a_failure_in_a_stretch_is_named_by_its_lane_and_step(trainer, hyper, whole, equal):
    bad = {name: values.copy() for name, values in hyper.items()}
    bad["learning_rate"][8] = 1e30
    progress, rung = trainer.advance(trainer.start(bad), 10)
    assert list(rung.failures) == [8]
    assert rung.failures[8].startswith("trial lane 8, fold 0, seed 0: loss became non-finite")
    rest = [lane for lane in range(COHORT) if lane != 8]
    _, fit = trainer.advance(progress.pick(rest), trainer.steps, keep_models=True)
    assert fit.failures == {}
    assert all(same(equal, fit, lane, whole, other) for lane, other in enumerate(rest))


@pytest.mark.parametrize("step", [0, 4, 10_000])
def test_a_wrong_step_is_refused(trainer, hyper, step):
    progress, _ = trainer.advance(trainer.start(hyper), 4)
    with pytest.raises(
        TrainingError, match=rf"step: must be in \(4, {trainer.steps}\], got {step}"
    ):
        trainer.advance(progress, step)


def test_anothers_progress_is_refused(trainer):
    with pytest.raises(TrainingError, match="progress: must be what `start`"):
        trainer.advance(object(), 3)


def test_masked_features_are_not_seen(trainer, task, model, training, build_hyper, equal):
    """A lane without a feature is blind to it, and its neighbours do not notice."""
    hyper = build_hyper(3)
    mask = np.ones((3, 5), np.float32)
    everything = trainer.fit(hyper | {"feature_mask": mask}, keep_models=True)
    np.testing.assert_allclose(everything.scores, trainer.fit(hyper).scores, atol=1e-5)
    mask[1, [0, 3]] = 0
    fit = trainer.fit(hyper | {"feature_mask": mask}, keep_models=True)
    for lane in (0, 2):
        assert equal(fit.scores[:, :, lane], everything.scores[:, :, lane])
    assert not equal(fit.scores[:, :, 1], everything.scores[:, :, 1])
    assert equal(fit.models[1].mask, mask[1])
    changed = task.features.copy()
    changed[..., [0, 3]] = np.where(np.isnan(changed[..., [0, 3]]), np.nan, 7.0)
    blind = SupervisedTrainer(
        type(task)(changed, task.labels, task.train, task.validation, task.kind),
        model,
        training,
        seed=3,
    ).fit({name: v[[1]] for name, v in hyper.items()} | {"feature_mask": mask[[1]]})
    assert equal(blind.scores[:, :, 0], fit.scores[:, :, 1])


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((2, 4)), r"shape \(configurations, features\) = \(2, 5\), got shape \(2, 4\)"),
        (np.full((2, 5), 0.5), "must be 0 or 1"),
        (np.eye(5)[:2] * [[1], [0]], r"feature_mask'\]\[1\]: switches every feature off"),
    ],
)
def test_a_wrong_mask_is_refused(trainer, build_hyper, mask, message):
    with pytest.raises(TrainingError, match=message):
        trainer.fit(build_hyper(2) | {"feature_mask": mask})
