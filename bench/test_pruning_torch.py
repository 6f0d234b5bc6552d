"""A pruned cohort against PyTorch and Optuna, one configuration at a time, at equal quality.

The reference task of `test_training_torch`. Optuna asks PyTorch's side for one configuration
after another, from a random sampler, and is told its validation score; ours trains the same
configurations as cohorts that halve at rungs, survivors moved together. The score is the mean
log loss on the validation slices; what is compared is the best of all configurations, over
seeds that change configurations, weights and minibatches.

PyTorch is timed on one of the seeds with every configuration, told to Optuna as it goes;
WINDTUNNEL_TORCH_SEEDS sets on how many (each takes a minute or more). That it trains the same
models is asserted by `test_training_torch`. On the others its place is taken by our program
without pruning, which is what pruning has to be as good as.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from windtunnel.config.study import ModelSection, TrainingSection
from windtunnel.trainers import devices
from windtunnel.trainers.supervised_trainer import SupervisedTrainer
from windtunnel.tuning.pruners import Look, make_pruner, rung_steps

sys.path.insert(0, str(Path(__file__).parent))
from torch_rival import FOLDS, OneAtATime, make_task, seconds, torch

optuna = pytest.importorskip("optuna")

STEPS, COHORT, RUNGS, SEEDS = 300, 64, 3, 5
TORCH_SEEDS = int(os.environ.get("WINDTUNNEL_TORCH_SEEDS", "1"))
SPACE = {
    "learning_rate": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
    "weight_decay": optuna.distributions.FloatDistribution(1e-6, 1e-1, log=True),
    "dropout": optuna.distributions.FloatDistribution(0.0, 0.5),
}


def asked(seed: int) -> list[dict[str, float]]:
    """The configurations that Optuna's random sampler asks for."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [study.ask(SPACE).params for _ in range(COHORT)]


def table(points: list[dict[str, float]]) -> dict[str, np.ndarray]:
    columns = {name: np.array([point[name] for point in points]) for name in SPACE}
    return columns | {"label_smoothing": np.zeros(len(points))}


def log_loss(task, scores: np.ndarray) -> np.ndarray:
    """(C,) of scores (K*V, N, C), which are 2 p - 1."""
    labels = np.concatenate([task.labels[start:stop] for start, stop in task.validation])
    p = np.clip((scores.astype(np.float64) + 1) / 2, 1e-7, 1 - 1e-7)
    y = labels[..., None]
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(axis=(0, 1))


def whole(trainer, hyper, task) -> float:
    """Best log loss of all configurations, each trained to its end."""
    return float(log_loss(task, trainer.fit(hyper).scores).min())


def pruned(trainer, hyper, task) -> float:
    """Best log loss of those that a halving leaves."""
    halve = make_pruner("halving", reduction=2)
    progress = trainer.start(hyper)
    for step in rung_steps(STEPS, RUNGS, 2):
        progress, fit = trainer.advance(progress, step)
        loss = log_loss(task, fit.scores)
        if step < STEPS:
            keep = halve(Look(step, -loss, [{} for _ in loss], ()))
            progress = progress.pick(np.flatnonzero(keep).tolist())
    return float(loss.min())


def one_at_a_time(rival: OneAtATime, task, seed: int) -> float:
    """PyTorch under Optuna: ask, train on every fold, score, tell."""
    torch.manual_seed(seed)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    held = [
        torch.tensor((task.features[a:b] - mean) / scale)
        for (a, b), mean, scale in zip(
            task.validation, rival.trainer.mean, rival.trainer.scale, strict=True
        )
    ]
    for _ in range(COHORT):
        trial = study.ask(SPACE)
        values = [trial.params[name] for name in ("learning_rate", "weight_decay", "dropout")]
        scores = []
        for which in range(FOLDS):
            module, _ = rival.fold(which, *values)
            module.eval()
            with torch.no_grad():
                scores.append(2 * torch.sigmoid(module(held[which])[..., 0]).numpy() - 1)
        study.tell(trial, float(log_loss(task, np.concatenate(scores)[..., None])[0]))
    return float(study.best_value)


def test_pruned_against_pytorch_and_optuna(benchmark) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    task = make_task()
    model, training = (
        ModelSection(family="mlp", hidden=(32, 32)),
        TrainingSection(steps=STEPS, batch_size=256),
    )
    best: dict[str, list[float]] = {"pruned": [], "whole": [], "torch": []}
    rates: dict[str, list[float]] = {"pruned": [], "whole": [], "torch": []}
    for seed in range(SEEDS):
        trainer, hyper = SupervisedTrainer(task, model, training, seed), table(asked(seed))
        trainer.fit(hyper)  # compiles
        for name, train in (("pruned", pruned), ("whole", whole)):
            began = time.perf_counter()
            best[name].append(train(trainer, hyper, task))
            rates[name].append(COHORT / (time.perf_counter() - began))
        if seed >= TORCH_SEEDS:
            continue
        rival = OneAtATime(task, trainer, "mlp")
        # The better of one thread and all, found on a fold.
        took = {}
        for threads in sorted({1, devices.cores()}):
            torch.set_num_threads(threads)
            took[threads] = seconds(lambda r=rival: r.fold(0, 1e-3, 1e-3, 0.1))
        torch.set_num_threads(min(took, key=took.get))
        began = time.perf_counter()
        best["torch"].append(one_at_a_time(rival, task, seed))
        rates["torch"].append(COHORT / (time.perf_counter() - began))
    rate = {name: statistics.median(each) for name, each in rates.items()}
    spread = statistics.stdev(best["whole"])
    behind = [a - b for a, b in zip(best["pruned"], best["whole"], strict=True)]
    ratio = rate["pruned"] / rate["torch"]
    print(f"\n{COHORT} configurations, {STEPS} steps, {FOLDS} folds, {SEEDS} seeds")
    for name, each in best.items():
        shown = ", ".join(f"{value:.4f}" for value in each)
        print(f"  {name:7s} {rate[name]:7.2f} trials/s, best log loss {shown}")
    print(f"  pruned is {ratio:.0f} times PyTorch and Optuna, {rate['pruned'] / rate['whole']:.1f}")
    print(
        f"  times unpruned; behind it by {statistics.mean(behind):.5f}, seeds vary by {spread:.5f}"
    )
    benchmark.extra_info.update(
        trials_a_second=rate,
        ratio_to_torch=ratio,
        ratio_to_unpruned=rate["pruned"] / rate["whole"],
        best_log_loss=best,
        mean_behind_unpruned=statistics.mean(behind),
        deviation_over_seeds=spread,
    )
    benchmark.pedantic(pruned, args=(trainer, hyper, task), rounds=1)
    # As good as all trained to their end, within what another seed changes.
    assert statistics.mean(behind) <= spread
    for seed, found in enumerate(best["torch"]):
        assert abs(found - best["pruned"][seed]) <= 3 * spread
