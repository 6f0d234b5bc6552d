"""Trials a second: a cohort in one program against one configuration at a time.

The rivals are Flax and Optax as they are usually written, on the same rows, initial weights,
minibatches and dropout masks, with the same AdamW and schedule:

- `re-jit`: hyperparameters are Python numbers in the jitted step, so every trial compiles;
- `step`: hyperparameters are arguments; the jitted step is called in a Python loop;
- `scan`: the same, with the loop over the steps inside the jitted function.

All find the same scores before anything is timed, and their rounds are interleaved. What is
compiled once is compiled before the clock starts and its seconds are stated; `re-jit` pays for
its compilations inside, as its users do.

`test_lanes` is how the layout was chosen: two lanes side by side train a quarter faster than
one and as fast as four, sixteen a third slower.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from windtunnel.config.study import ModelSection, TrainingSection
from windtunnel.protocols import TrainingTask
from windtunnel.trainers import devices

devices.configure_cpu()

from windtunnel.trainers import minibatches, optimiser  # noqa: E402 - JAX is set up above
from windtunnel.trainers.supervised_trainer import SupervisedTrainer  # noqa: E402 - the same

SEED, COHORT, FOLDS, SLICE, INSTRUMENTS, ROUNDS = 7, 64, 5, 348, 5, 3
# Of scores between -1 and 1, for the smallest learning rate: at large ones another order of
# summation grows over 300 steps into another, equally good, network.
TOLERANCE = 1e-3
MODEL = ModelSection(family="mlp", hidden=(32, 32))
TRAINING = TrainingSection(steps=300, batch_size=256)


@dataclass(frozen=True)
class Work:
    """Features, and bars in each training slice; None means all before the slice."""

    features: int
    train_bars: int | None

    @property
    def trial_flops(self) -> float:
        """Multiplications and additions of a trial's matrix products, forwards and backwards.

        The first layer has no layer below that would ask for a gradient.
        """
        layers = [a * b for a, b in pairwise((self.features, *MODEL.layers, 1))]
        products = 6.0 * sum(layers) - 2.0 * layers[0]
        return products * TRAINING.batch_size * TRAINING.steps * FOLDS


WORKS = {
    "demo: 3,000 bars x 5, 12 features": Work(12, None),
    "wide: 8,000 rows a fold, 32 features": Work(32, 1600),
}


def make_task(work: Work) -> TrainingTask:
    rng = np.random.default_rng(3)
    bars = 3500
    x = rng.normal(0.5, 2, (bars, INSTRUMENTS, work.features)).astype(np.float32)
    y = (x[..., 0] + rng.normal(0, 6, (bars, INSTRUMENTS)) > 0.5).astype(np.float32)
    train = np.zeros((FOLDS, bars, INSTRUMENTS), bool)
    slices = []
    for fold in range(FOLDS):
        start = bars - SLICE * (FOLDS - fold)
        first = 60 if work.train_bars is None else start - 10 - work.train_bars
        train[fold, first : start - 10] = True
        slices.append((start, start + SLICE))
    return TrainingTask(x, y, train, tuple(slices), "direction")


def make_hyper() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    return {
        "learning_rate": 10 ** rng.uniform(-4, -2, COHORT),
        "weight_decay": 10 ** rng.uniform(-6, -1, COHORT),
        "dropout": rng.uniform(0, 0.5, COHORT),
        "label_smoothing": rng.uniform(0, 0.3, COHORT),
    }


class OneAtATime:
    """The rivals. Rows are standardised beforehand and padded, so that folds share a shape."""

    def __init__(self, trainer: SupervisedTrainer, task: TrainingTask) -> None:
        self.trainer, self.module = trainer, trainer.network.module
        longest = int(task.train.sum(axis=(1, 2)).max())
        self.folds = []
        for fold, (start, stop) in enumerate(task.validation):
            mean, scale = trainer.mean[fold], trainer.scale[fold]
            rows = task.features[task.train[fold]]
            x = np.zeros((longest, rows.shape[1]), np.float32)
            y = np.zeros(longest, np.float32)
            x[: len(rows)] = (rows - mean) / scale
            y[: len(rows)] = task.labels[task.train[fold]]
            initial, key = minibatches.model_keys(SEED, fold, 0)
            held = task.features[start:stop].reshape(-1, rows.shape[1])
            self.folds.append((x, y, len(rows), initial, key, held, mean, scale))
        self.initialise = jax.jit(lambda key, x: self.module.init(key, x)["params"])
        self.score = jax.jit(trainer.network.score)
        self.step = jax.jit(self.train_step)
        self.scan = jax.jit(self.train_all)

    def optimizer(self, rate, decay):
        schedule = optimiser.schedule(TRAINING.steps)
        return optax.adamw(lambda count: rate * schedule(count), weight_decay=decay)

    def train_step(self, params, state, x, y, count, key, number, hyper):
        rate, decay, dropout, smoothing = hyper
        rows, bits = minibatches.draw(
            key, number, TRAINING.batch_size, count, self.module.masked_units
        )

        def loss(params):
            logits = self.module.apply({"params": params}, x[rows], dropout, bits)
            soft = y[rows] * (1 - smoothing) + smoothing / 2
            return optax.sigmoid_binary_cross_entropy(logits, soft).mean()

        updates, state = self.optimizer(rate, decay).update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    def train_all(self, params, state, x, y, count, key, hyper):
        def body(carry, number):
            return self.train_step(*carry, x, y, count, key, number, hyper), None

        return jax.lax.scan(body, (params, state), jnp.arange(TRAINING.steps))[0]

    def trial(self, style: str, hyper: tuple[float, ...]) -> np.ndarray:
        """Scores (K, V*N) of one configuration."""
        step = self.step
        if style == "re-jit":
            step = jax.jit(lambda *given: self.train_step(*given, hyper))
        scores = []
        for x, y, count, initial, key, held, mean, scale in self.folds:
            params = self.initialise(initial, x[:1])
            state = self.optimizer(1.0, 0.0).init(params)
            if style == "scan":
                params, _ = self.scan(params, state, x, y, count, key, hyper)
            else:
                own = () if style == "re-jit" else (hyper,)
                on_device = jax.device_put((x, y))
                for number in range(TRAINING.steps):
                    params, state = step(params, state, *on_device, count, key, number, *own)
            stacked = jax.tree.map(lambda leaf: leaf[None], params)
            fitted = {"network": stacked, "mean": mean, "scale": scale}
            scores.append(np.asarray(self.score(fitted, held)))
        return np.stack(scores)


@pytest.fixture(autouse=True, scope="module")
def _every_program_is_compiled():
    """Without the persistent cache, which would spare a second run of the bench its compiling."""
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    yield
    jax.config.update("jax_enable_compilation_cache", True)
    compilation_cache.reset_cache()


def seconds(call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@pytest.mark.parametrize("name", WORKS)
def test_cohort_against_one_at_a_time(benchmark, name) -> None:
    work = WORKS[name]
    task, hyper = make_task(work), make_hyper()
    trainer = SupervisedTrainer(task, MODEL, TRAINING, SEED)
    first = seconds(lambda: trainer.fit(hyper))
    rivals = OneAtATime(trainer, task)
    order = ("learning_rate", "weight_decay", "dropout", "label_smoothing")
    points = [tuple(float(hyper[key][lane]) for key in order) for lane in range(COHORT)]

    answer, calm = trainer.fit(hyper).scores, int(np.argmin(hyper["learning_rate"]))
    compiled = {}
    for style in ("step", "scan", "re-jit"):
        began = time.perf_counter()
        found = rivals.trial(style, points[calm]).reshape(-1, INSTRUMENTS)
        compiled[style] = time.perf_counter() - began
        np.testing.assert_allclose(found, answer[:, :, calm], atol=TOLERANCE)

    times: dict[str, list[float]] = {"cohort": [], "step": [], "scan": [], "re-jit": []}
    for turn in range(ROUNDS):
        times["cohort"].append(seconds(lambda: trainer.fit(hyper)) / COHORT)
        for style in ("step", "scan"):
            times[style].append(seconds(partial(rivals.trial, style, points[turn + 1])))
        if turn == 0:
            times["re-jit"].append(seconds(partial(rivals.trial, "re-jit", points[turn + 1])))
    rates = {style: 1 / statistics.median(found) for style, found in times.items()}
    gflops = rates["cohort"] * work.trial_flops / 1e9

    print(f"\n{name}; cohort of {COHORT} on {len(jax.local_devices())} devices")
    print(f"  cohort  {rates['cohort']:8.2f} trials/s  {gflops:6.1f} GFLOP/s")
    for style in ("scan", "step", "re-jit"):
        ratio = rates["cohort"] / rates[style]
        print(f"  {style:7s} {rates[style]:8.2f} trials/s  cohort is {ratio:.1f} times as fast")
    print(f"  apart from that, compilation: cohort {trainer.compilations[0].seconds:.1f} s", end="")
    print(f" (first fit {first:.1f} s), scan {compiled['scan'] - 1 / rates['scan']:.1f} s", end="")
    print(f", step {compiled['step'] - 1 / rates['step']:.1f} s")
    benchmark.extra_info.update(
        trials_a_second=rates,
        gflops=gflops,
        compile_seconds=trainer.compilations[0].seconds,
        ratio={style: rates["cohort"] / rates[style] for style in ("scan", "step", "re-jit")},
    )
    benchmark.pedantic(trainer.fit, args=(hyper,), rounds=1)
    assert rates["cohort"] > max(rates["scan"], rates["step"], rates["re-jit"])


def test_lanes(benchmark) -> None:
    """The chunk: cohorts of one task under different numbers of lanes side by side."""
    work = WORKS["demo: 3,000 bars x 5, 12 features"]
    task, hyper = make_task(work), make_hyper()
    trainers = {
        lanes: SupervisedTrainer(task, MODEL, TRAINING, SEED, lanes=lanes)
        for lanes in (1, 2, 4, 16)
    }
    answers = {lanes: trainer.fit(hyper).scores for lanes, trainer in trainers.items()}
    calm = int(np.argmin(hyper["learning_rate"]))
    for scores in answers.values():
        np.testing.assert_allclose(scores[:, :, calm], answers[1][:, :, calm], atol=TOLERANCE)
    times: dict[int, list[float]] = {lanes: [] for lanes in trainers}
    for _ in range(ROUNDS):
        for lanes, trainer in trainers.items():
            times[lanes].append(seconds(partial(trainer.fit, hyper)))
    rates = {lanes: COHORT / statistics.median(found) for lanes, found in times.items()}
    print()
    for lanes, rate in rates.items():
        print(f"  {lanes:2d} lanes a chunk: {rate:6.1f} trials/s", end="")
        print(f"  {rate * work.trial_flops / 1e9:6.1f} GFLOP/s")
    benchmark.extra_info["trials_a_second"] = {str(lanes): rate for lanes, rate in rates.items()}
    benchmark.pedantic(trainers[2].fit, args=(hyper,), rounds=1)
