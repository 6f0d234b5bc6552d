"""Problems on which samplers are compared: seven made up, two real, all maximised."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Params = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """A search space and what each of a cohort of points is worth."""

    name: str
    space: dict[str, BaseDistribution]
    evaluate: Callable[[Sequence[Params]], list[float]]
    real: bool = False


def synthetic() -> list[Problem]:
    """Known functions, their optima moved off the centre, and one of mixed dimensions."""
    return [
        _plain("sphere, 6", 6, 5.0, lambda x: float(np.sum((x - 1.3) ** 2))),
        _plain("ellipsoid, 6", 6, 5.0, _ellipsoid),
        _plain("Rosenbrock, 4", 4, 2.0, _rosenbrock),
        _plain("Ackley, 6", 6, 10.0, lambda x: _ackley(x - 2.7)),
        _plain("Rastrigin, 4", 4, 5.0, lambda x: _rastrigin(x - 0.9)),
        Problem(
            "Hartmann, 6",
            {f"x{i}": FloatDistribution(0, 1) for i in range(6)},
            lambda points: [_hartmann(np.array([p[f"x{i}"] for i in range(6)])) for p in points],
        ),
        Problem(
            "mixed, 6",
            {
                "rate": FloatDistribution(1e-5, 1.0, log=True),
                "decay": FloatDistribution(1e-6, 1e-1, log=True),
                "width": IntDistribution(4, 256, log=True),
                "depth": IntDistribution(1, 6),
                "family": CategoricalDistribution(("a", "b", "c", "d")),
                "share": FloatDistribution(0.0, 1.0),
            },
            lambda points: [_mixed(point) for point in points],
        ),
    ]


def real() -> list[Problem]:
    """Two studies on the bundled prices: networks with their policy, and the policy alone."""
    from windtunnel.config import parse_study  # noqa: PLC0415 - starts JAX
    from windtunnel.course import prepare  # noqa: PLC0415
    from windtunnel.data import align, load  # noqa: PLC0415
    from windtunnel.trainers import devices  # noqa: PLC0415
    from windtunnel.trainers.supervised_trainer import SupervisedTrainer  # noqa: PLC0415
    from windtunnel.tuning.space import to_distributions  # noqa: PLC0415
    from windtunnel.validation import Pipeline  # noqa: PLC0415

    devices.configure_cpu()
    policy = {
        "policy.enter": {"low": 0.0, "high": 0.15},
        "policy.exit": {"low": 0.0, "high": 0.1},
        "policy.leverage": {"low": 0.2, "high": 3.0, "log": True},
    }
    training = {
        "training.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
        "training.weight_decay": {"low": 1e-6, "high": 1.0, "log": True},
        "training.dropout": {"low": 0.0, "high": 0.6},
        "training.label_smoothing": {"low": 0.0, "high": 0.5},
    }
    study = parse_study(
        {
            "study": {"name": "real"},
            "data": {"source": "sample:us_equities_1d"},
            "features": {"use": ["return_1", "return_5", "return_20", "rsi_14", "volatility_20"]},
            "validation": {"folds": 3},
            "model": {"hidden": [8]},
            "training": {"steps": 40, "batch_size": 128},
            "search": policy | training,
        }
    )
    course = prepare(study, align.to_panel(load.load_bars(study.data, Path())))
    pipeline = Pipeline(course, SupervisedTrainer(course.task, study.model, study.training, seed=0))

    def trained(points: Sequence[Params]) -> list[float]:
        return pipeline.evaluate(points).table["objective"].fill_null(-10.0).to_list()

    scores = pipeline.evaluate([{}]).fit.scores

    def traded(points: Sequence[Params]) -> list[float]:
        result = pipeline.backtest(np.repeat(scores, len(points), axis=2), points)
        equity = result.equity
        steps = np.diff(np.log(np.maximum(equity, 1e-9)), axis=0)
        deviation = steps.std(axis=0)
        ratio = np.where(deviation > 0, steps.mean(axis=0) / np.maximum(deviation, 1e-12), 0.0)
        return [float(value) for value in ratio * math.sqrt(252)]

    both = to_distributions(study.search)
    only = {name: kind for name, kind in both.items() if name.startswith("policy.")}
    return [
        Problem("equities: network, 7", both, trained, real=True),
        Problem("equities: policy, 3", only, traded, real=True),
    ]


def _plain(
    name: str, dimensions: int, reach: float, cost: Callable[[np.ndarray], float]
) -> Problem:
    space: dict[str, BaseDistribution] = {
        f"x{i}": FloatDistribution(-reach, reach) for i in range(dimensions)
    }

    def evaluate(points: Sequence[Params]) -> list[float]:
        return [-cost(np.array([point[name] for name in space])) for point in points]

    return Problem(name, space, evaluate)


def _ellipsoid(x: np.ndarray) -> float:
    return float(np.sum(10.0 ** np.linspace(0, 3, len(x)) * (x - 0.7) ** 2))


def _rosenbrock(x: np.ndarray) -> float:
    return float(np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def _ackley(x: np.ndarray) -> float:
    return float(
        20
        + math.e
        - 20 * np.exp(-0.2 * np.sqrt(np.mean(x**2)))
        - np.exp(np.mean(np.cos(2 * np.pi * x)))
    )


def _rastrigin(x: np.ndarray) -> float:
    return float(np.sum(x**2 - 10 * np.cos(2 * np.pi * x) + 10))


def _hartmann(x: np.ndarray) -> float:
    a = np.array(
        [
            [10, 3, 17, 3.5, 1.7, 8],
            [0.05, 10, 17, 0.1, 8, 14],
            [3, 3.5, 1.7, 10, 17, 8],
            [17, 8, 0.05, 10, 0.1, 14],
        ]
    )
    p = 1e-4 * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    )
    return float(np.array([1.0, 1.2, 3.0, 3.2]) @ np.exp(-np.sum(a * (x - p) ** 2, axis=1)))


def _mixed(point: Params) -> float:
    """A ridge in rate and width, a best family, an indifferent share."""
    rate, width = math.log10(point["rate"]), math.log2(point["width"])
    return -(
        (rate + 2.0 + 0.3 * (width - 5)) ** 2
        + 0.2 * (width - 6) ** 2
        + 0.5 * abs(point["depth"] - 3)
        + {"a": 0.0, "b": 0.3, "c": 1.0, "d": 2.0}[point["family"]]
        + 0.1 * (math.log10(point["decay"]) + 4) ** 2
        + 0.5 * (point["share"] - 0.2) ** 2
    )
