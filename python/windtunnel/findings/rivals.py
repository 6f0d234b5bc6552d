"""What stands beside a policy that learnt to trade: its own seeds, and what else one could hold.

The champion decides by several seeds together. The best seed alone would be luck; all of them
are shown. The rivals trade the same bars at the same costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.backtest.engine import BacktestResult, run_policy
from windtunnel.backtest.policy import Policies
from windtunnel.metrics.financial import financial_metrics
from windtunnel.trainers.bucket_trainer import BucketTrainer
from windtunnel.trainers.rl_trainer import RLTrainer
from windtunnel.validation import Course, Pipeline, hyper_table, policy_table, window

Params = Mapping[str, float]


@dataclass(frozen=True)
class Rival:
    """One way to trade the validation slices, after costs; figures as in the trial table."""

    name: str
    sharpe: float
    total_return: float
    max_drawdown: float
    turnover: float


def rivals(folds: Pipeline, params: Params, benchmark: BacktestResult) -> tuple[Rival, ...]:
    """The seeds of the champion, supervised learning, buy and hold, and cash.

    Supervised learning has the study's network, features and labels, and the settings that
    the study file gives `[training]` and `[policy]`; it is not tuned, and nothing is chosen by it.
    Empty for a study whose trainer is supervised.
    """
    course, trainer = folds.course, folds.trainer
    if not isinstance(trainer, RLTrainer):
        return ()
    study = course.study
    by_seed = trainer.by_seed(hyper_table(study, [params]))[:, :, 0]
    policies = policy_table(study, [params] * by_seed.shape[2])
    alone = _trade(course, np.ascontiguousarray(by_seed), policies)
    seeds = _rows(course, [f"seed {s}" for s in range(by_seed.shape[2])], alone)
    training = study.training.model_copy(update={"trainer": "supervised"})
    plain = study.model_copy(update={"training": training})
    learner = BucketTrainer(course.task, plain.model, training, seed=study.study.seed)
    scores = learner.fit(hyper_table(plain, [{}])).scores
    supervised = _trade(course, scores, policy_table(plain, [{}]))
    return (
        *seeds,
        *_rows(course, ["supervised, not tuned"], supervised),
        *_rows(course, ["buy and hold"], benchmark),
        Rival("cash", float("nan"), 0.0, 0.0, 0.0),
    )


def _trade(course: Course, scores: npt.NDArray[np.float32], policies: Policies) -> BacktestResult:
    return run_policy(
        window(course.panel, *course.plan.out_of_sample),
        scores,
        policies,
        costs=course.costs,
        execution=course.execution,
        periods_per_year=course.periods_per_year,
    )


def _rows(course: Course, names: list[str], result: BacktestResult) -> list[Rival]:
    metrics = financial_metrics(
        result.equity,
        initial=course.execution.initial_cash,
        periods_per_year=course.periods_per_year,
    )
    return [
        Rival(
            name,
            float(metrics["sharpe"][c]),
            float(metrics["total_return"][c]),
            float(metrics["max_drawdown"][c]),
            float(result.turnover[c]),
        )
        for c, name in enumerate(names)
    ]
