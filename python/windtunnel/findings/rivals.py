"""What stands beside a policy that learnt to trade: its own seeds, and what else one could hold.

The champion decides by several seeds together. The best seed alone would be luck; all of them
are shown. The rivals trade the same bars at the same costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from windtunnel import judgement
from windtunnel.backtest.engine import BacktestResult
from windtunnel.course import Course
from windtunnel.findings.trial_table import TrialTable
from windtunnel.metrics.financial import financial_metrics
from windtunnel.trainers.rl_trainer import RLTrainer
from windtunnel.validation import Pipeline, hyper_table

Params = Mapping[str, float]
Kind: TypeAlias = Literal["seed", "supervised", "hold", "cash"]


@dataclass(frozen=True)
class Rival:
    """One way to trade the validation slices, after costs; figures as in the trial table.

    `trials` is the number of configurations that it was chosen from, 0 where there was no choice.
    """

    name: str
    kind: Kind
    trials: int
    sharpe: float
    total_return: float
    max_drawdown: float
    turnover: float


def rivals(
    folds: Pipeline, params: Params, benchmark: BacktestResult, supervised: TrialTable | None
) -> tuple[Rival, ...]:
    """The seeds of the champion, the supervised champion, buy and hold, and cash.

    Parameters
    ----------
    folds : Pipeline
    params : mapping
        The champion's.
    benchmark : BacktestResult
        Buy and hold.
    supervised : TrialTable or None
        Trials of supervised learning, whose champion is chosen here by the same rule.

    Returns
    -------
    tuple of Rival
        Empty for a study whose trainer is supervised.
    """
    course, trainer = folds.course, folds.trainer
    if not isinstance(trainer, RLTrainer):
        return ()
    by_seed = np.ascontiguousarray(trainer.by_seed(hyper_table(course.study, [params]))[:, :, 0])
    count = by_seed.shape[2]
    alone = folds.backtest(by_seed, [params] * count)
    return (
        *_rows(course, "seed", [f"seed {s}" for s in range(count)], alone),
        *(() if supervised is None else (_champion(supervised),)),
        *_rows(course, "hold", ["buy and hold"], benchmark),
        Rival("cash", "cash", 0, float("nan"), 0.0, 0.0, 0.0),
    )


def _champion(table: TrialTable) -> Rival:
    """The champion of supervised learning, with the number of trials that it was chosen from."""
    chosen = judgement.choose_champion(table.course, table.trials)
    metrics = table.metrics(chosen.number)
    figures = {
        name: float("nan") if metrics[name] is None else float(metrics[name] or 0.0)
        for name in ("sharpe", "total_return", "max_drawdown", "turnover")
    }
    return Rival("supervised champion", "supervised", len(table.trials), **figures)


def _rows(course: Course, kind: Kind, names: list[str], result: BacktestResult) -> list[Rival]:
    metrics = financial_metrics(
        result.equity,
        initial=course.execution.initial_cash,
        periods_per_year=course.periods_per_year,
    )
    return [
        Rival(
            name,
            kind,
            0,
            float(metrics["sharpe"][c]),
            float(metrics["total_return"][c]),
            float(metrics["max_drawdown"][c]),
            float(result.turnover[c]),
        )
        for c, name in enumerate(names)
    ]
