"""Families that look back, trained: what they learn, and that a trial is its own."""

from __future__ import annotations

import numpy as np
import pytest

from windtunnel.config.study import ModelSection, TrainingSection
from windtunnel.features.windows import windows
from windtunnel.trainers.supervised_trainer import SupervisedTrainer

WINDOW = 3
FIXED = {"dropout": 0.0, "label_smoothing": 0.0, "weight_decay": 0.0}


@pytest.fixture(scope="module", params=["gru", "tcn", "transformer"])
def looking_back(request, task):
    model = ModelSection(family=request.param, width=8, depth=1, window=WINDOW)
    training = TrainingSection(steps=120, batch_size=32)
    return SupervisedTrainer(task, model, training, seed=2)


@pytest.fixture(scope="module")
def oracle(looking_back, build_hyper):
    return looking_back.fit(build_hyper(3, **FIXED, learning_rate=0.02), keep_models=True)


def test_an_oracle_feature_is_learned(oracle, task, auc):
    """The label is the sign of the first feature, plus noise."""
    assert auc(task, oracle.scores[:, :, 0]) > 0.85


@pytest.mark.parametrize("family", ["linear", "mlp"])
def test_an_oracle_feature_is_learned_by_those_that_look_at_one_bar(family, task, build_hyper, auc):
    model = ModelSection(family=family, width=8, depth=1)
    trainer = SupervisedTrainer(task, model, TrainingSection(steps=60, batch_size=32), seed=2)
    fit = trainer.fit(build_hyper(1, **FIXED, learning_rate=0.05))
    assert auc(task, fit.scores[:, :, 0]) > 0.85


def test_alone_as_in_a_cohort_and_in_stretches(looking_back, oracle, build_hyper, equal):
    hyper = build_hyper(3, **FIXED, learning_rate=0.02)
    hyper["dropout"][:] = 0.2, 0.0, 0.4
    together = looking_back.fit(hyper, keep_models=True)
    # The second is the configuration that the oracle's cohort had in every slot.
    assert all(equal(together.scores[:, :, 1], oracle.scores[:, :, lane]) for lane in range(3))
    progress = looking_back.start({name: values[2:] for name, values in hyper.items()})
    for stop in (50, 120):
        progress, alone = looking_back.advance(progress, stop, keep_models=True)
    assert equal(alone.scores[:, :, 0], together.scores[:, :, 2])
    assert equal(alone.models[0].network, together.models[2].network)


def test_scores_are_those_of_the_exported_formula_on_served_windows(looking_back, oracle, task):
    """The service lays windows out by NumPy, the program by gathering on the device."""
    laid_out = windows(task.features, WINDOW)
    for fold, (start, stop) in enumerate(task.validation):
        x = laid_out[start:stop]
        again = looking_back.network.score(
            oracle.models[1].parameters(fold), x.reshape(-1, *x.shape[2:])
        )
        length = stop - start
        study = oracle.scores[fold * length : (fold + 1) * length, :, 1]
        np.testing.assert_allclose(again, study.ravel(), atol=2e-6)


def test_a_gap_costs_the_scores_of_the_bars_that_see_it(oracle, task):
    """One feature of instrument 1 is missing at bar 215, in the first slice (200 to 230)."""
    missing = np.argwhere(np.isnan(oracle.scores[..., 0]))
    first, _ = task.validation[0]
    assert missing.tolist() == [[bar - first, 1] for bar in range(215, 215 + WINDOW)]


def test_windows_are_oldest_first_and_unknown_before_the_first_bar():
    values = np.arange(12, dtype=np.float32).reshape(4, 1, 3)
    laid_out = windows(values, 2)
    assert laid_out.shape == (4, 1, 2, 3)
    assert np.isnan(laid_out[0, 0, 0]).all()
    np.testing.assert_array_equal(laid_out[2, 0], values[1:3, 0])
