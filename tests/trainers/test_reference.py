"""The population program against training as it is usually written: one model, one loop."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from windtunnel.config.study import TrainingSection
from windtunnel.trainers import minibatches, optimiser
from windtunnel.trainers.supervised_trainer import SupervisedTrainer

SEED, STEPS, BATCH = 3, 25, 32

# float32 sums in another order, through 25 steps of AdamW: parameters of size one agree to
# a few units of the fifth digit.
TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}


def plain_training(module, task, fold, seed_index, hyper, lane):
    """One configuration on one fold: scaler in NumPy, `optax.adamw`, a Python loop."""
    rate, decay, dropout, smoothing = (
        float(hyper[name][lane])
        for name in ("learning_rate", "weight_decay", "dropout", "label_smoothing")
    )
    usable = task.train[fold] & ~np.isnan(task.features).any(-1) & ~np.isnan(task.labels)
    x, y = task.features[usable], task.labels[usable]
    x = ((x - x.mean(0, dtype=float)) / x.std(0, dtype=float)).astype(np.float32)
    initial, key = minibatches.model_keys(SEED, fold, seed_index)
    params = module.init(initial, x[:1])["params"]
    schedule = optimiser.schedule(STEPS)
    adamw = optax.adamw(lambda step: rate * schedule(step), weight_decay=decay)

    def loss(params, x, y, bits):
        z = module.apply({"params": params}, x, dropout, bits)
        if task.kind == "forward_return":
            size = jnp.abs(z - y)
            return jnp.where(size < 1, size**2 / 2, size - 0.5).mean()
        p, soft = jax.nn.sigmoid(z), y * (1 - smoothing) + smoothing / 2
        return -(soft * jnp.log(p) + (1 - soft) * jnp.log(1 - p)).mean()

    @jax.jit
    def step(params, state, x, y, bits):
        value, gradient = jax.value_and_grad(loss)(params, x, y, bits)
        updates, state = adamw.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    with jax.numpy_dtype_promotion("standard"):  # Optax mixes its integer count with floats
        state, losses = adamw.init(params), []
        for number in range(STEPS):
            rows, bits = minibatches.draw(key, number, BATCH, len(x), module.masked_units)
            rows, bits = np.asarray(rows), bits if dropout > 0 else None
            params, state, value = step(params, state, x[rows], y[rows], bits)
            losses.append(float(value))
    return params, losses


def compare(trainer, task, hyper, lane, fold, seeds):
    fit = trainer.fit(hyper, keep_models=True)
    plain = [
        plain_training(trainer.network.module, task, fold, seed, hyper, lane)
        for seed in range(seeds)
    ]
    kept = fit.models[lane].parameters(fold)["network"]
    for seed, (params, _) in enumerate(plain):
        jax.tree.map(
            lambda ours, theirs, at=seed: np.testing.assert_allclose(ours[at], theirs, **TOLERANCE),
            kept,
            params,
        )
    if seeds == len(jax.tree.leaves(kept)[0]):
        mean = np.mean([losses[-1] for _, losses in plain])
        assert fit.loss[lane, fold] == pytest.approx(mean, rel=1e-4)


@pytest.mark.parametrize(("lane", "fold"), [(0, 0), (3, 1)])
def test_direction_with_dropout_and_two_seeds(trainer, task, build_hyper, lane, fold):
    compare(trainer, task, build_hyper(7), lane, fold, seeds=2)


def test_dropout_zero_is_no_dropout(trainer, task, build_hyper):
    compare(trainer, task, build_hyper(7, dropout=0.0), lane=2, fold=0, seeds=1)


def test_the_step_of_failure_is_that_of_the_loop(trainer, task, build_hyper):
    hyper = build_hyper(3)
    hyper["learning_rate"][1] = 1e17
    _, losses = plain_training(trainer.network.module, task, 0, 0, hyper, 1)
    step = int(np.argmin(np.isfinite(losses)))
    assert step > 0
    assert trainer.fit(hyper, keep_models=True).failures == {
        1: f"trial lane 1, fold 0, seed 0: loss became non-finite at step {step}"
    }


def test_forward_return_with_a_linear_model(build_task, build_hyper, model):
    task = build_task("forward_return", signal=3.0)
    linear = model.model_copy(update={"family": "linear"})
    training = TrainingSection(steps=STEPS, batch_size=BATCH)
    trainer = SupervisedTrainer(task, linear, training, seed=SEED)
    compare(trainer, task, build_hyper(3), lane=1, fold=1, seeds=1)


def test_the_schedule_rises_then_falls_to_nothing():
    with jax.numpy_dtype_promotion("standard"):
        factor = np.array([float(optimiser.schedule(100)(step)) for step in range(101)])
    np.testing.assert_allclose(factor[:11], np.linspace(1 / 11, 1, 11), rtol=1e-5)
    np.testing.assert_allclose(
        factor[10:], (1 + np.cos(np.pi * np.arange(91) / 90)) / 2, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("step", [0, 1, 9, 999, 10**6 - 1])
def test_bias_corrections(step):
    pace = optimiser.pace(10**6, jnp.int32(step))
    assert float(pace.correction_1) == pytest.approx(1 / (1 - 0.9 ** (step + 1)), rel=1e-6)
    assert float(pace.correction_2) == pytest.approx(1 / (1 - 0.999 ** (step + 1)), rel=1e-6)
