"""Wrong input stops with an error that names the place."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from windtunnel.errors import SplitError, StudyFileError, TrainingError
from windtunnel.models import factory
from windtunnel.trainers.base import check_task, pieces_of_bars, usable_rows
from windtunnel.trainers.supervised_trainer import SupervisedTrainer


def changed(array, place, value):
    copy = array.copy()
    copy[place] = value
    return copy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {"kind": "level"}, r"kind: .*direction, forward_return, got 'level'"),
        (lambda t: {"features": t.features.astype(float)}, r"features: .*float32, got float64"),
        (lambda t: {"features": t.features.tolist()}, r"features: .*NumPy array.*got list"),
        (lambda t: {"features": t.features[0]}, r"features: .*\(bars, instruments, features\)"),
        (lambda t: {"features": t.features[:, :, :0]}, r"features: .*at least one .*\(260, 3, 0\)"),
        (lambda t: {"labels": t.labels[1:]}, r"labels: .*\(260, 3\), got \(259, 3\)"),
        (lambda t: {"train": t.train[0]}, r"train: .*\(folds, 260, 3\), got \(260, 3\)"),
        (lambda t: {"train": t.train.astype(np.int8)}, r"train: .*bool.*got int8"),
        (lambda t: {"validation": t.validation[:1]}, r"validation: .*got 1 for 2"),
        (lambda t: {"train": t.train[:0], "validation": ()}, r"validation: .*at least one"),
        (lambda t: {"validation": ((200, 230), (240, 261))}, r"validation\[1\]: .*\(240, 261\)"),
        (lambda t: {"validation": ((200, 230), (230, 240))}, r"validation\[1\]: .*10 bars .*30"),
        (lambda t: {"labels": changed(t.labels, 50, 0.5)}, r"labels: .*0 or 1 .*got 0\.5"),
    ],
)
def test_a_wrong_task(task, change, message):
    with pytest.raises(TrainingError, match=message):
        check_task(replace(task, **change(task)))


def test_the_task_of_the_tests_is_right(task):
    check_task(task)


def test_a_fold_without_rows_is_named(task):
    with pytest.raises(SplitError, match=r"fold 1: no row to train on \(0 in the training mask"):
        usable_rows(replace(task, train=changed(task.train, 1, False)))
    with pytest.raises(SplitError, match=r"fold 0: no row .*\(\d+ in the training mask, none"):
        usable_rows(replace(task, labels=np.full_like(task.labels, np.nan)))


def test_usable_rows_are_clean(task):
    first, second = map(np.flatnonzero, usable_rows(task))
    assert first[0] == 10 * 3  # after the warm-up
    np.testing.assert_array_equal(first, np.arange(30, (200 - 6) * 3))
    assert 215 * 3 + 1 not in second
    assert 215 * 3 in second


def test_a_window_needs_all_its_bars(task):
    alone, back = usable_rows(task)[1], usable_rows(task, 4)[1]
    for bar, instrument in np.ndindex(alone.shape):
        seen = task.features[max(bar - 3, 0) : bar + 1, instrument]
        whole = bar >= 3 and np.isfinite(seen).all()
        assert back[bar, instrument] == (alone[bar, instrument] and whole)
    assert back.sum() < alone.sum()


def test_pieces_have_something_at_every_bar():
    usable = np.zeros((1, 9, 2), bool)
    usable[0, [1, 2, 3, 6, 7, 8], [0, 1, 1, 0, 0, 1]] = True
    assert list(pieces_of_bars(usable, 3)[0]) == [1, 6]
    assert list(pieces_of_bars(usable, 1)[0]) == [1, 2, 3, 6, 7, 8]
    with pytest.raises(SplitError, match="fold 0: no 4 consecutive bars"):
        pieces_of_bars(usable, 4)
    with pytest.raises(SplitError, match="fold 0: no 10 consecutive bars"):
        pieces_of_bars(usable, 10)


def test_returns_are_asked_for_by_name(task):
    with pytest.raises(TrainingError, match="returns: the task has none"):
        usable_rows(task, by_returns=True)


class Wide(nn.Module):
    masked_units = 0

    @nn.compact
    def __call__(self, x, rate=0.0, bits=None):
        return nn.Dense(1)(x)


class Stateful(nn.Module):
    masked_units = 0

    @nn.compact
    def __call__(self, x, rate=0.0, bits=None):
        self.variable("batch_stats", "mean", jnp.zeros, ())
        return nn.Dense(1)(x)[:, 0]


class Silent(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(x)[:, 0]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Wide, r"'odd': must return float32 logits of shape \(rows,\), got float32 \(3, 1\)"),
        (Stateful, r"'odd': variables must be parameters only.*batch_stats"),
        (Silent, r"'odd': masked_units must be a count"),
    ],
)
def test_a_family_that_breaks_the_contract(task, model, training, monkeypatch, module, message):
    monkeypatch.setitem(factory._BUILDERS, "odd", lambda section: module())
    odd = model.model_copy(update={"family": "odd"})
    with pytest.raises(StudyFileError, match=message):
        SupervisedTrainer(task, odd, training, seed=0)
