"""Trials a second against PyTorch, one configuration at a time, and against the machine's peak.

The reference task: 32 features, 8,000 rows a fold, 5 folds, AdamW, dropout, steps of 256 rows.
PyTorch is written as it usually is: data on the device, a module, an optimizer, a loop; it
gets the better of one thread and all. The perceptron trains 300 steps on both sides, families
that look back over 16 bars fewer (`STEPS`), and both sides as many. Compilation is apart.

The same perceptron in both, with the same weights and minibatches, gives the same scores
before anything is timed. Peak is the best float32 matrix product of NumPy and PyTorch in the
same run. Floating-point operations count products alone: forwards, weights' gradients, and
inputs' gradients where there is a layer below.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path

import jax
import numpy as np
import pytest

from windtunnel.protocols import TrainingTask
from windtunnel.trainers import devices, minibatches
from windtunnel.trainers.supervised_trainer import SupervisedTrainer

sys.path.insert(0, str(Path(__file__).parent))
from torch_rival import (
    BATCH,
    FEATURES,
    FOLDS,
    MODULES,
    SEED,
    WIDTH,
    OneAtATime,
    make_hyper,
    make_task,
    make_trainer,
    perceptron,
    seconds,
    torch,
)

STEPS = {"mlp": 300, "gru": 40, "tcn": 40, "transformer": 10}
COHORTS = {"mlp": 64, "gru": 16, "tcn": 16, "transformer": 16}
SIZES = (16, 64, 256, 1024, 4096)
FLAT_STEPS = int(os.environ.get("WINDTUNNEL_FLAT_STEPS", "100"))


def peak_gflops() -> float:
    """The best float32 matrix product that NumPy and PyTorch make on all cores."""
    size = 2048
    a = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    t = torch.tensor(a)
    torch.set_num_threads(devices.cores())
    best = min(seconds(call) for call in (lambda: a @ a, lambda: t @ t) for _ in range(5))
    return 2 * size**3 / best / 1e9


def perceptron_flops(steps: int) -> float:
    widths = (FEATURES, WIDTH, WIDTH, 1)
    layers = [a * b for a, b in pairwise(widths)]
    return (6 * sum(layers) - 2 * layers[0]) * BATCH * steps * FOLDS


def same_scores(trainer: SupervisedTrainer, rival: OneAtATime, task: TrainingTask) -> None:
    """Weights and minibatches of ours in PyTorch, without dropout: the scores must agree."""
    hyper = {
        k: np.array([v])
        for k, v in {
            "learning_rate": 1e-3,
            "weight_decay": 1e-3,
            "dropout": 0.0,
            "label_smoothing": 0.0,
        }.items()
    }
    start, stop = task.validation[0]
    own = trainer.fit(hyper).scores[: stop - start, :, 0]
    initial, key = minibatches.model_keys(SEED, 0, 0)
    params = trainer.network.module.init(initial, np.zeros((1, FEATURES), np.float32))["params"]
    module = perceptron(0.0)
    with torch.no_grad():
        for at, name in zip((0, 3, 6), ("hidden_0", "hidden_1", "head"), strict=True):
            module[at].weight.copy_(torch.tensor(np.array(params[name]["kernel"]).T))
            module[at].bias.copy_(torch.tensor(np.array(params[name]["bias"])))
    units, count = trainer.network.module.masked_units, len(rival.folds[0][0])
    draw = jax.jit(lambda step: minibatches.draw(key, step, BATCH, count, units).positions)
    rows = [torch.tensor(np.array(draw(step))) for step in range(rival.steps)]
    module, _ = rival.fold(0, 1e-3, 1e-3, 0.0, given=(module, rows))
    x = (task.features[start:stop] - trainer.mean[0]) / trainer.scale[0]
    with torch.no_grad():
        theirs = 2 * torch.sigmoid(module(torch.tensor(x))[..., 0]).numpy() - 1
    np.testing.assert_allclose(theirs, own, atol=5e-3)


@pytest.mark.parametrize("family", MODULES)
def test_against_pytorch(benchmark, family) -> None:
    task, steps, cohort = make_task(), STEPS[family], COHORTS[family]
    trainer, hyper = make_trainer(task, family, steps), make_hyper(cohort)
    trainer.fit(hyper)
    rival = OneAtATime(task, trainer, family)
    if family == "mlp":
        same_scores(trainer, rival, task)
    rates: dict[str, list[float]] = {"cohort": []}
    for _ in range(2):
        rates["cohort"].append(cohort / seconds(lambda: trainer.fit(hyper)))
        for threads in sorted({1, devices.cores()}):
            torch.set_num_threads(threads)
            took = seconds(lambda: rival.trial(hyper, 0))
            rates.setdefault(f"torch, {threads} threads", []).append(1 / took)
    found = {name: statistics.median(each) for name, each in rates.items()}
    torch_best = max(rate for name, rate in found.items() if name != "cohort")
    print(f"\n{family}: {steps} steps of {BATCH}, {FOLDS} folds, cohort of {cohort}")
    for name, rate in found.items():
        print(f"  {name:18s} {rate:8.2f} trials/s")
    print(f"  ratio to the better PyTorch {found['cohort'] / torch_best:.1f}", end="")
    print(f"; compiled in {sum(each.seconds for each in trainer.compilations):.1f} s")
    extra = {"trials_a_second": found, "ratio": found["cohort"] / torch_best}
    if family == "mlp":
        peak = peak_gflops()
        reached = found["cohort"] * perceptron_flops(steps) / 1e9
        print(f"  {reached:.0f} of {peak:.0f} GFLOP/s: {reached / peak:.0%} of peak")
        extra |= {"gflops": reached, "peak_gflops": peak, "share_of_peak": reached / peak}
    benchmark.extra_info.update(extra)
    benchmark.pedantic(trainer.fit, args=(hyper,), rounds=1)
    assert found["cohort"] > torch_best


def test_flat_over_cohort_sizes(benchmark) -> None:
    """The rate per configuration, from 16 to 4,096 in one call; fewer steps, the same work.

    WINDTUNNEL_FLAT_STEPS = 300 takes minutes. Small cohorts take turns, before and after the
    large ones, since a machine does not keep its pace for minutes.
    """
    task, every = make_task(), make_hyper(SIZES[-1])
    trainer = make_trainer(task, "mlp", FLAT_STEPS)
    parts = {size: {name: values[:size] for name, values in every.items()} for size in SIZES}
    trainer.fit(parts[256])
    times: dict[int, list[float]] = {size: [] for size in SIZES}
    answers = {}

    def measure(size: int) -> None:
        began = time.perf_counter()
        answers[size] = trainer.fit(parts[size]).scores
        times[size].append(time.perf_counter() - began)

    for turn in range(2):
        for _ in range(4):
            for size in SIZES[:3]:
                measure(size)
        for size in SIZES[3:] if turn == 0 else ():
            measure(size)
    for size in SIZES:
        np.testing.assert_array_equal(answers[size], answers[SIZES[-1]][:, :, :size])
    rates = {size: size / statistics.median(times[size]) for size in SIZES}
    print()
    for size, rate in rates.items():
        print(f"  cohort of {size:5d}: {rate:7.1f} trials/s of {FLAT_STEPS} steps")
    spread = max(rates.values()) / min(rates.values())
    print(f"  fastest to slowest {spread:.3f}; slab {trainer.plan.slab}")
    benchmark.extra_info.update(
        steps=FLAT_STEPS,
        trials_a_second={str(k): v for k, v in rates.items()},
        fastest_to_slowest=spread,
    )
    benchmark.pedantic(trainer.fit, args=(parts[16],), rounds=1)
