"""Losses and scores of the heads: by hand, and what they make a network learn."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from windtunnel.config.model import QUANTILES
from windtunnel.config.study import ModelSection, TrainingSection
from windtunnel.errors import SplitError
from windtunnel.trainers import heads
from windtunnel.trainers.heads import Batch, direction, quantile, regression, sharpe
from windtunnel.trainers.scoring import Network, relative
from windtunnel.trainers.supervised_trainer import SupervisedTrainer

NONE = jnp.float32(0)
LONG = TrainingSection(steps=300, batch_size=64, stretch_bars=12)
FIXED = {"dropout": 0.0, "label_smoothing": 0.0, "weight_decay": 0.0, "learning_rate": 0.05}
numbers = st.floats(-4, 4, width=32)


def test_direction_by_hand():
    batch = Batch(jnp.array([1.0, 0.0]), None, None)
    logits = jnp.array([0.5, -1.0])
    p = 1 / (1 + np.exp(-np.array([0.5, -1.0])))
    expected = -(np.log(p[0]) + np.log(1 - p[1])) / 2
    assert direction.loss(logits, batch, NONE, 0.0) == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(direction.score(logits), 2 * p - 1, rtol=1e-5)


def test_what_does_not_count_has_no_part_in_the_loss():
    logits, labels = jnp.array([[[0.5, 9.0]]]), jnp.array([[[1.0, 0.0]]])
    weight = jnp.array([[[1.0, 0.0]]])
    for head in (direction, regression):
        alone = head.loss(logits[0, 0, :1], Batch(labels[0, 0, :1], None, None), NONE, 0.0)
        assert head.loss(logits, Batch(labels, weight, None), NONE, 0.0) == alone


@given(hnp.arrays(np.float32, 7, elements=numbers), numbers)
def test_pinball_is_least_at_the_quantiles(labels, shift):
    best = np.quantile(labels.astype(np.float64), QUANTILES, method="inverted_cdf")
    batch = Batch(jnp.asarray(labels), None, None)

    def loss(levels):
        logits = jnp.broadcast_to(jnp.asarray(levels, jnp.float32), (7, len(QUANTILES)))
        return float(quantile.loss(logits, batch, NONE, 0.0))

    assert loss(best) <= loss(best + shift) + 1e-5


def by_hand(exposure, weight, returns, cost):
    """Bar by bar, as a person would book it."""
    found = []
    for e, w, r in zip(exposure, weight, returns, strict=True):
        for bar in range(len(e)):
            count = max(w[bar].sum(), 1)
            gained = sum(w[bar] * e[bar] * r[bar]) / count
            paid = 0.0
            if bar:
                paid = cost * sum(abs(w[bar] * e[bar] - w[bar - 1] * e[bar - 1])) / count
            found.append(gained - paid)
    return np.array(found)


@pytest.mark.parametrize(
    ("head", "exposure"),
    [(sharpe.HEAD, np.tanh), (sharpe.LONG_ONLY, lambda z: 1 / (1 + np.exp(-z)))],
)
def test_the_sharpe_ratio_is_that_of_booked_returns(head, exposure):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(2, 5, 3)).astype(np.float32)
    returns = rng.normal(0, 0.01, logits.shape).astype(np.float32)
    weight = (rng.random(logits.shape) > 0.2).astype(np.float32)
    batch = Batch(None, jnp.asarray(weight), jnp.asarray(returns * weight))
    held = exposure(logits)
    np.testing.assert_allclose(head.score(jnp.asarray(logits)), held, rtol=1e-5)
    booked = by_hand(held, weight, returns, 0.002)
    expected = -booked.mean() / np.sqrt(booked.var() + 1e-8)
    assert head.loss(jnp.asarray(logits), batch, NONE, 0.002) == pytest.approx(expected, rel=1e-4)


def test_the_gradient_of_the_sharpe_ratio_is_finite_where_nothing_is_held():
    batch = Batch(None, jnp.ones((1, 4, 2)), jnp.full((1, 4, 2), 0.01))
    gradient = jax.grad(lambda z: sharpe.HEAD.loss(z, batch, NONE, 0.001))(jnp.zeros((1, 4, 2)))
    assert np.isfinite(gradient).all()


@given(hnp.arrays(np.float32, (3, 4), elements=numbers), numbers)
def test_relative_logits_do_not_know_the_level_of_a_bar(logits, level):
    weight = np.array([[1, 1, 0, 1]] * 3, np.float32)
    found = np.asarray(relative(jnp.asarray(logits), jnp.asarray(weight)))
    np.testing.assert_allclose((found * weight).sum(axis=1), 0, atol=1e-5)
    raised = np.asarray(relative(jnp.asarray(logits + level), jnp.asarray(weight)))
    np.testing.assert_allclose(found, raised, atol=2e-5)


def test_heads_follow_the_labels_unless_named():
    auto = ModelSection(family="linear")
    assert heads.choose(auto, "direction") is direction.HEAD
    assert heads.choose(auto, "forward_return") is regression.HEAD
    assert heads.choose(ModelSection(head="sharpe"), "direction") is sharpe.HEAD
    assert heads.choose(ModelSection(head="sharpe"), "direction", long_only=True).name != "sharpe"
    assert heads.choose(auto, "direction", long_only=True) is direction.HEAD


@pytest.mark.parametrize("scope", ["instrument", "cross_section"])
def test_exposure_learns_to_earn(build_task, build_hyper, scope):
    """The first feature tells the next return; trading it earns, doubling the cost earns less."""
    task = build_task("forward_return")
    returns = (task.labels / 100).astype(np.float32)
    task = replace(task, returns=returns, cost=0.001)
    model = ModelSection(family="linear", head="sharpe", scope=scope)
    fit = SupervisedTrainer(task, model, LONG, seed=1).fit(build_hyper(1, **FIXED))
    scores = fit.scores[..., 0]
    assert np.nanmax(np.abs(scores)) <= 1
    booked = np.concatenate([returns[start:stop] for start, stop in task.validation]) * scores
    assert np.nanmean(booked) / np.nanstd(booked) > 0.5


def test_costs_make_exposure_steadier(build_task, build_hyper):
    task = replace(build_task("forward_return"), cost=0.0)
    task = replace(task, returns=(task.labels / 100).astype(np.float32))
    model = ModelSection(family="linear", head="sharpe")
    cheap, dear = (
        SupervisedTrainer(replace(task, cost=cost), model, LONG, seed=1).fit(
            build_hyper(1, **FIXED)
        )
        for cost in (0.0, 0.02)
    )
    turnover = [np.nanmean(np.abs(np.diff(fit.scores[:30, :, 0], axis=0))) for fit in (cheap, dear)]
    assert turnover[1] < 0.7 * turnover[0]


def test_relative_scores_rank_the_instruments_of_a_bar(build_task, build_hyper):
    task = build_task("forward_return")
    model = ModelSection(family="linear", scope="cross_section")
    trainer = SupervisedTrainer(task, model, LONG, seed=1)
    fit = trainer.fit(build_hyper(1, **FIXED), keep_models=True)
    scores = fit.scores[..., 0]
    np.testing.assert_allclose(np.nanmean(scores, axis=1), 0, atol=1e-5)
    labels = np.concatenate([task.labels[start:stop] for start, stop in task.validation])
    known = np.isfinite(scores + labels).all(axis=1)
    assert (scores.argmax(axis=1) == labels.argmax(axis=1))[known].mean() > 0.7
    # The bundle's formula takes whole bars, and one instrument's gap is not another's.
    start, stop = task.validation[0]
    again = trainer.network.score(fit.models[0].parameters(0), task.features[start:stop])
    np.testing.assert_allclose(again, scores[: stop - start], atol=2e-6)
    assert np.isnan(again).sum() == 1


def test_quantiles_bracket_the_median(build_task, build_hyper):
    task = build_task("forward_return")
    model = ModelSection(family="linear", head="quantile")
    trainer = SupervisedTrainer(task, model, LONG, seed=1)
    fit = trainer.fit(build_hyper(1, **FIXED), keep_models=True)
    fitted = fit.models[0].parameters(0)
    rows = task.features[20:200].reshape(-1, 5)
    inputs = (rows - fitted["mean"]) / fitted["scale"]
    head = fitted["network"]["head"]
    levels = inputs @ head["kernel"][0] + head["bias"][0]
    share = (task.labels[20:200].reshape(-1, 1) < levels).mean(axis=0)
    np.testing.assert_allclose(share, QUANTILES, atol=0.08)
    np.testing.assert_allclose(trainer.network.score(fitted, rows), levels[:, 2], atol=1e-4)


def test_no_stretch_to_train_on_is_an_error(build_task):
    task = build_task("forward_return")
    task = replace(task, returns=task.labels)
    model = ModelSection(family="linear", head="sharpe")
    with pytest.raises(SplitError, match="fold 0: no 240 consecutive bars"):
        SupervisedTrainer(task, model, LONG.model_copy(update={"stretch_bars": 240}), seed=1)


def test_a_network_knows_what_it_sees():
    model = ModelSection(family="tcn", window=4)
    assert Network.build(model, "direction").row_shape(7) == (4, 7)
    assert Network.build(ModelSection(), "direction").row_shape(7) == (7,)
