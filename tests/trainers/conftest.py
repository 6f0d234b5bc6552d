"""A small task with a planted signal, cohorts of hyperparameters, comparison bit for bit.

Test modules are imported one by one, without a package around them, hence helpers are
fixtures that return functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from windtunnel.config.study import ModelSection, TrainingSection
from windtunnel.protocols import Kind, TrainingTask
from windtunnel.trainers import devices

if TYPE_CHECKING:
    from windtunnel.trainers.supervised_trainer import SupervisedTrainer

BARS, INSTRUMENTS, FEATURES, SLICE = 260, 3, 5, 30

# Several CPU devices where JAX has not started yet, and one compilation for equal programs.
devices.configure_cpu()


def _task(kind: Kind = "direction", signal: float = 1.0) -> TrainingTask:
    rng = np.random.default_rng(5)
    features = rng.normal(1.0, 3.0, (BARS, INSTRUMENTS, FEATURES)).astype(np.float32)
    move = signal * (features[..., 0] - 1) / 3 + rng.normal(size=(BARS, INSTRUMENTS)) / 2
    labels = (move > 0 if kind == "direction" else move).astype(np.float32)
    features[:10] = np.nan  # warm-up
    features[215, 1, 2] = np.nan  # a missing bar inside a validation slice
    labels[-5:] = np.nan
    train = np.zeros((2, BARS, INSTRUMENTS), bool)
    slices = []
    for fold in range(2):
        start = BARS - SLICE * (2 - fold)
        train[fold, : start - 6] = True  # warm-up included: the trainer leaves it out
        slices.append((start, start + SLICE))
    return TrainingTask(features, labels, train, tuple(slices), kind)


def _hyper(lanes: int, **fixed: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(11)
    drawn = {
        "learning_rate": 10 ** rng.uniform(-3, -1, lanes),
        "weight_decay": 10 ** rng.uniform(-4, -1, lanes),
        "dropout": rng.uniform(0, 0.6, lanes),
        "label_smoothing": rng.uniform(0, 0.3, lanes),
    }
    return drawn | {name: np.full(lanes, value) for name, value in fixed.items()}


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and np.array_equal(one, other, equal_nan=True)


def _auc(task: TrainingTask, scores: np.ndarray) -> float:
    labels = np.concatenate([task.labels[start:stop] for start, stop in task.validation])
    known = ~np.isnan(scores) & ~np.isnan(labels)
    rises, falls = scores[known & (labels == 1)], scores[known & (labels == 0)]
    return float((rises[:, None] > falls[None]).mean())


@pytest.fixture(scope="session")
def build_task() -> Callable[..., TrainingTask]:
    """Two folds; the label follows feature 0 as strongly as `signal` says."""
    return _task


@pytest.fixture(scope="session")
def build_hyper() -> Callable[..., dict[str, np.ndarray]]:
    """Hyperparameters of so many lanes, all different but for those given by name."""
    return _hyper


@pytest.fixture(scope="session")
def equal() -> Callable[[Any, Any], bool]:
    """Whether two pytrees of arrays have the same bits (NaN equals NaN)."""
    return _equal


@pytest.fixture(scope="session")
def auc() -> Callable[[TrainingTask, np.ndarray], float]:
    """Probability that a rise scores above a fall on the validation slices."""
    return _auc


@pytest.fixture(scope="session")
def task() -> TrainingTask:
    return _task()


@pytest.fixture(scope="session")
def model() -> ModelSection:
    return ModelSection(family="mlp", hidden=(8, 5))


@pytest.fixture(scope="session")
def training() -> TrainingSection:
    return TrainingSection(steps=25, batch_size=32, seeds=2)


@pytest.fixture(scope="session")
def trainer(task: TrainingTask, model: Any, training: Any) -> SupervisedTrainer:
    from windtunnel.trainers.supervised_trainer import SupervisedTrainer

    shared = SupervisedTrainer(task, model, training, seed=3)
    # Compiled for twenty lanes from the start: smaller cohorts, and other trainers that begin
    # with twenty, then use the same program.
    shared.fit(_hyper(20), keep_models=True)
    return shared
