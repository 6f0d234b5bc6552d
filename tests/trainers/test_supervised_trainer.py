"""What is learned, from which rows, and what a failing configuration leaves behind."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from windtunnel.config.study import TrainingSection
from windtunnel.trainers.arrays import Lane, Trained
from windtunnel.trainers.layout import fit_scaler
from windtunnel.trainers.scoring import Network
from windtunnel.trainers.supervised_trainer import SupervisedTrainer

SLICE, INSTRUMENTS = 30, 3


@pytest.fixture(scope="module")
def linear(model):
    return model.model_copy(update={"family": "linear"})


@pytest.fixture(scope="module")
def long():
    return TrainingSection(steps=200, batch_size=64)


def test_shapes_and_scores(trainer, task, build_hyper):
    fit = trainer.fit(build_hyper(7), keep_models=True)
    assert fit.scores.shape == (2 * SLICE, INSTRUMENTS, 7)
    assert fit.scores.dtype == np.float32
    assert fit.scores.flags.c_contiguous
    assert fit.loss.shape == (7, 2)
    assert fit.failures == {}
    gaps = np.isnan(np.concatenate([task.features[a:b] for a, b in task.validation])).any(-1)
    assert gaps.sum() == 1
    np.testing.assert_array_equal(
        np.isnan(fit.scores), np.broadcast_to(gaps[..., None], fit.scores.shape)
    )
    assert np.nanmax(np.abs(fit.scores)) <= 1
    assert fit.models[0].mean.shape == fit.models[0].scale.shape == (2, 5)
    for leaf in jax.tree.leaves(fit.models[6].network):
        assert isinstance(leaf, np.ndarray)
        assert leaf.shape[:2] == (2, 2)


@pytest.mark.parametrize("fold", [0, 1])
def test_the_exported_formula_gives_the_scores_of_the_study(trainer, task, build_hyper, fold):
    fit = trainer.fit(build_hyper(7), keep_models=True)
    start, stop = task.validation[fold]
    again = trainer.network.score(
        fit.models[5].parameters(fold), task.features[start:stop].reshape(-1, 5)
    )
    study = fit.scores[fold * SLICE : (fold + 1) * SLICE, :, 5].reshape(-1)
    np.testing.assert_allclose(again, study, atol=2e-6)


def test_a_score_is_the_mean_over_the_seeds(trainer, task, build_hyper):
    models = trainer.fit(build_hyper(2), keep_models=True).models
    x = task.features[100:104].reshape(-1, 5)
    fitted = models[1].parameters(0)
    params, mean, scale = fitted["network"], fitted["mean"], fitted["scale"]
    logits = np.array(
        [
            trainer.network.module.apply(
                {"params": jax.tree.map(lambda leaf, at=seed: leaf[at], params)}, (x - mean) / scale
            )
            for seed in range(2)
        ]
    )
    assert np.abs(logits[0] - logits[1]).max() > 0.01
    by_hand = (2 / (1 + np.exp(-logits)) - 1).mean(axis=0)
    scored = trainer.network.score(fitted, x)
    np.testing.assert_allclose(scored, by_hand, atol=2e-6)
    scored = Network.build(trainer.model, "forward_return").score(fitted, x)
    np.testing.assert_allclose(scored, logits.mean(axis=0), atol=2e-6)


def test_a_planted_signal_is_learned_and_noise_is_not(
    task, build_task, build_hyper, linear, long, auc
):
    fixed = {"learning_rate": 0.05, "dropout": 0.0, "label_smoothing": 0.0, "weight_decay": 0.0}
    fit = SupervisedTrainer(task, linear, long, seed=0).fit(
        build_hyper(1, **fixed), keep_models=True
    )
    assert auc(task, fit.scores[:, :, 0]) > 0.9
    weights = fit.models[0].parameters(1)["network"]["head"]["kernel"][0, :, 0]
    assert np.argmax(np.abs(weights)) == 0
    assert weights[0] > 5 * np.abs(weights[1:]).max()
    noise = build_task(signal=0.0)
    fit = SupervisedTrainer(noise, linear, long, seed=0).fit(
        build_hyper(1, **fixed), keep_models=True
    )
    assert 0.35 < auc(noise, fit.scores[:, :, 0]) < 0.65


def test_a_network_learns_the_planted_signal(trainer, task, build_hyper, auc):
    fit = trainer.fit(
        build_hyper(1, learning_rate=0.03, dropout=0.1, label_smoothing=0.1), keep_models=True
    )
    assert auc(task, fit.scores[:, :, 0]) > 0.85


def test_nothing_after_the_training_rows_reaches_the_parameters(
    trainer, task, model, training, build_hyper, equal
):
    start, _ = task.validation[0]
    features, labels = task.features.copy(), task.labels.copy()
    features[start:] += 1e3  # gaps stay gaps: as many rows, hence the same program
    labels[start:] = 1 - labels[start:]
    outside = replace(task, features=features, labels=labels)
    hyper = build_hyper(20)
    before = trainer.fit(hyper, keep_models=True).models
    other = SupervisedTrainer(outside, model, training, seed=3)
    after = other.fit(hyper, keep_models=True).models
    assert all(equal(before[lane].parameters(0), after[lane].parameters(0)) for lane in range(3))
    # The second fold trains on some of the changed rows.
    assert not equal(before[0].mean[1], after[0].mean[1])
    assert not equal(before[0].parameters(1)["network"], after[0].parameters(1)["network"])


def test_rows_without_all_features_or_a_label_are_left_out(
    trainer, task, model, training, build_hyper, equal
):
    clean = ~np.isnan(task.features).any(-1) & ~np.isnan(task.labels)
    assert (task.train & ~clean).any()
    masked = SupervisedTrainer(replace(task, train=task.train & clean), model, training, seed=3)
    hyper = build_hyper(20)
    assert equal(masked.mean, trainer.mean)
    one, other = (fitter.fit(hyper, keep_models=True) for fitter in (masked, trainer))
    assert equal(one.scores, other.scores)


def test_the_scaler_is_that_of_the_training_rows(trainer, task):
    for fold in range(2):
        rows = task.train[fold] & ~np.isnan(task.features).any(-1) & ~np.isnan(task.labels)
        x = task.features[rows].astype(np.float64)
        np.testing.assert_allclose(trainer.mean[fold], x.mean(0), rtol=1e-6)
        np.testing.assert_allclose(trainer.scale[fold], x.std(0), rtol=1e-6)


def test_a_constant_feature_enters_as_zero():
    rows = np.full((1000, 2), 0.1, np.float32)
    rows[:, 1] = np.arange(1000)
    mean, scale = fit_scaler(rows)
    assert mean[0] == np.float32(0.1)
    assert scale[0] == 1
    assert scale[1] == pytest.approx(288.675, rel=1e-5)


@pytest.mark.parametrize("bad", [0, 3, 6])
def test_a_failing_lane_leaves_its_neighbours_bit_identical(trainer, build_hyper, equal, bad):
    hyper = build_hyper(7)
    good = trainer.fit(hyper, keep_models=True)
    hyper["learning_rate"][bad] = 1e30
    fit = trainer.fit(hyper, keep_models=True)
    assert list(fit.failures) == [bad]
    assert fit.failures[bad].startswith(f"trial lane {bad}, fold 0, seed 0: loss became non-finite")
    assert np.isnan(fit.scores[:, :, bad]).all()
    assert not np.isfinite(fit.loss[bad]).any()
    for lane in set(range(7)) - {bad}:
        assert equal(fit.scores[:, :, lane], good.scores[:, :, lane])
        assert equal(fit.loss[lane], good.loss[lane])
        assert equal(fit.models[lane].network, good.models[lane].network)


def test_every_way_to_fail_is_named(trainer):
    """Lanes: good; loss bad in fold 1; last step overflowed; scores overflowed."""
    shape = (2, 2, 4)
    failed_at, finite = np.full(shape, -1, np.int32), np.ones(shape, bool)
    scores = np.zeros((2, 4, SLICE * INSTRUMENTS), np.float32)
    loss = np.full(shape, 0.25, np.float32)
    scores[:, :, 15 * INSTRUMENTS + 1] = np.nan  # in fold 0 a feature is missing there
    scores[1, :, 15 * INSTRUMENTS + 1] = 0
    failed_at[1, 0, 1] = 118
    finite[0, 1, 2] = finite[1, 0, 2] = False
    scores[1, 3, 7] = np.inf
    place = "trial lane {}, fold {}"
    assert trainer._failures(Trained(Lane(None, None, loss, failed_at), scores, finite)) == {
        1: f"{place.format(1, 1)}, seed 0: loss became non-finite at step 118",
        2: f"{place.format(2, 0)}, seed 1: parameters became non-finite at the last step "
        "(final loss 0.25)",
        3: f"{place.format(3, 1)}: scores on the validation slice are not finite",
    }


def test_dropout_has_256_levels_and_an_effect(trainer, build_hyper, equal):
    none, tiny, some = (
        trainer.fit(build_hyper(2, dropout=rate), keep_models=True) for rate in (0.0, 1e-3, 0.3)
    )
    assert equal(none.scores, tiny.scores)  # below half of 1/256
    assert not equal(none.scores, some.scores)


def test_label_smoothing_draws_scores_towards_zero(trainer, build_hyper):
    sharp, soft = (
        trainer.fit(
            build_hyper(1, learning_rate=0.03, label_smoothing=value, dropout=0.0),
            keep_models=True,
        )
        for value in (0.0, 0.8)
    )
    assert np.nanmean(np.abs(soft.scores)) < 0.7 * np.nanmean(np.abs(sharp.scores))


def test_weight_decay_shrinks_the_weights(trainer, build_hyper):
    free, held = (
        trainer.fit(build_hyper(1, learning_rate=0.03, weight_decay=value), keep_models=True)
        for value in (0.0, 5.0)
    )
    norms = [
        sum(float(np.square(leaf[0]).sum()) for leaf in jax.tree.leaves(fit.models[0].network))
        for fit in (free, held)
    ]
    assert norms[1] < 0.5 * norms[0]
