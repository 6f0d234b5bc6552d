"""Boosted trees: what is kept and exported is what LightGBM grew."""

from __future__ import annotations

import numpy as np
import pytest

from windtunnel.config.study import ModelSection, TrainingSection
from windtunnel.errors import StudyFileError, TrainingError
from windtunnel.models.trees import Trees
from windtunnel.trainers import boosted_trainer
from windtunnel.trainers.bucket_trainer import BucketTrainer

lightgbm = pytest.importorskip("lightgbm")

MODEL = ModelSection(family="lightgbm", width=5)
TRAINING = TrainingSection(steps=12, seeds=2)


@pytest.fixture(scope="module")
def boosted(task):
    return boosted_trainer.BoostedTrainer(task, MODEL, TRAINING, seed=4)


@pytest.fixture(scope="module")
def hyper(build_hyper):
    return build_hyper(4, learning_rate=0.2)


@pytest.fixture(scope="module")
def whole(boosted, hyper):
    return boosted.fit(hyper, keep_models=True)


@pytest.mark.parametrize("kind", ["direction", "forward_return"])
def test_scores_are_those_of_lightgbm(build_task, hyper, kind):
    task = build_task(kind)
    own = boosted_trainer.BoostedTrainer(task, MODEL, TRAINING.model_copy(update={"seeds": 1}), 4)
    boosters = []
    train = own._library.train

    class Listening:
        Dataset = own._library.Dataset

        @staticmethod
        def train(*given):
            boosters.append(train(*given))
            return boosters[-1]

    own._library = Listening
    plain = {name: values[:1] for name, values in hyper.items()}
    fit = own.fit(plain)
    for fold, (start, stop) in enumerate(task.validation):
        rows = task.features[start:stop].reshape(-1, 5)
        raw = boosters[fold].predict(rows, raw_score=True)
        expected = 2 / (1 + np.exp(-raw)) - 1 if kind == "direction" else raw
        found = fit.scores[fold * 30 : (fold + 1) * 30].reshape(-1)
        known = np.isfinite(found)
        assert known.sum() >= len(found) - 1
        np.testing.assert_allclose(found[known], expected[known], atol=2e-6)


def test_the_planted_signal_is_learned(whole, task, auc):
    assert auc(task, whole.scores[:, :, 0]) > 0.85
    assert whole.failures == {}
    assert (whole.loss < np.log(2)).all()


def test_alone_as_in_a_cohort_and_in_stretches(boosted, hyper, whole, equal):
    progress, rung = boosted.advance(boosted.start(hyper), 5)
    assert not equal(rung.scores, whole.scores)
    progress, fit = boosted.advance(progress.pick([3, 1]), 12, keep_models=True)
    for at, lane in enumerate((3, 1)):
        assert equal(fit.scores[:, :, at], whole.scores[:, :, lane])
        assert equal(fit.models[at].network, whole.models[lane].network)


def test_trees_and_networks_share_a_cohort(task, hyper, whole, equal, training):
    mixed = BucketTrainer(task, MODEL, TRAINING, seed=4)
    families = np.array(["lightgbm", "linear", "lightgbm", "linear"], dtype=object)
    fit = mixed.fit(hyper | {"model.family": families}, keep_models=True)
    assert equal(fit.scores[:, :, 2], whole.scores[:, :, 2])
    assert np.isfinite(fit.scores[0, 0]).all()
    assert len(mixed.compilations) == 1


def test_a_blind_feature_is_not_split_on(boosted, hyper, whole):
    mask = np.ones((4, 5), np.float32)
    mask[:, 0] = 0
    blind = boosted.fit(hyper | {"feature_mask": mask}, keep_models=True)
    inner = blind.models[0].network["left"] != blind.models[0].network["right"]
    assert not (blind.models[0].network["feature"][inner] == 0).any()
    assert (whole.models[0].network["feature"] == 0).any()


def test_seeds_are_grown_apart_only_where_something_is_drawn(task, build_hyper, equal, monkeypatch):
    def grown(dropout, seed):
        trainer = boosted_trainer.BoostedTrainer(task, MODEL, TRAINING, seed)
        trainings = []
        one = trainer._one
        monkeypatch.setattr(trainer, "_one", lambda *given: trainings.append(1) or one(*given))
        fit = trainer.fit(build_hyper(1, learning_rate=0.2, dropout=dropout), keep_models=True)
        return fit.models[0].network, fit.scores, len(trainings)

    folds = len(task.validation)
    network, scores, trainings = grown(0.0, 4)
    assert trainings == folds
    first, second = ({name: values[:, s] for name, values in network.items()} for s in (0, 1))
    assert equal(first, second)
    assert equal(scores, grown(0.0, 5)[1])
    network, scores, trainings = grown(0.4, 4)
    assert trainings == folds * TRAINING.seeds
    assert not equal(network["feature"][:, 0], network["feature"][:, 1])
    assert not equal(scores, grown(0.4, 5)[1])
    monkeypatch.setattr(boosted_trainer, "_BINNED_ROWS", 100)  # the bins themselves are drawn
    network, _, trainings = grown(0.0, 4)
    assert trainings == folds * TRAINING.seeds
    assert not equal(network["threshold"][:, 0], network["threshold"][:, 1])


def test_what_fills_arrays_up_is_zero_and_adds_nothing():
    leaf = boosted_trainer._flat({"leaf_value": 0.5})
    sides = {"left_child": {"leaf_value": -1.0}, "right_child": {"leaf_value": 2.0}}
    split = boosted_trainer._flat({"split_feature": 1, "threshold": 0.0, **sides})
    arrays = boosted_trainer._stacked([[[split, leaf]], [[leaf]]])
    np.testing.assert_array_equal(arrays["left"][0, 0], [[1, 1, 2], [0, 0, 0]])
    np.testing.assert_array_equal(arrays["right"][0, 0], [[2, 1, 2], [0, 0, 0]])
    assert not any(values[1, 0, 1].any() for values in arrays.values())
    x = np.array([[9, -1], [9, 1]], np.float32)
    for fold, expected in enumerate(([-0.5, 2.5], [0.5, 0.5])):
        trees = {name: values[fold, 0] for name, values in arrays.items()}
        np.testing.assert_array_equal(Trees(leaves=2).apply({"params": trees}, x), expected)


@pytest.mark.parametrize("fields", [{"head": "sharpe"}, {"scope": "cross_section"}])
def test_what_trees_cannot_be_trained_for(task, fields):
    with pytest.raises(StudyFileError, match="'lightgbm' takes head"):
        boosted_trainer.BoostedTrainer(task, MODEL.model_copy(update=fields), TRAINING, 0)


def test_without_lightgbm_the_extra_is_named(monkeypatch, task):
    monkeypatch.setitem(__import__("sys").modules, "lightgbm", None)
    with pytest.raises(TrainingError, match=r"LightGBM, which is not installed"):
        boosted_trainer.BoostedTrainer(task, MODEL, TRAINING, 0)
