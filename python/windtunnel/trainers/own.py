"""The trainer that a study file asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windtunnel.backtest.costs import Costs
from windtunnel.backtest.execution import Execution
from windtunnel.trainers.bucket_trainer import BucketTrainer
from windtunnel.trainers.devices import choose

if TYPE_CHECKING:
    from windtunnel.config import StudyFile
    from windtunnel.protocols import Trainer, TrainingTask
    from windtunnel.trainers.rl.account import Terms
    from windtunnel.trainers.rl_trainer import RLTrainer


def own_trainer(task: TrainingTask, study: StudyFile, seed: int) -> Trainer:
    """Make the study's own trainer for a task; errors as of the trainers."""
    if study.training.trainer == "rl":
        return rl_trainer(task, study, seed)
    return BucketTrainer(task, study.model, study.training, seed=seed)


def rl_terms(study: StudyFile) -> Terms:
    """Costs and execution as a policy that learns by trading meets them."""
    from windtunnel.trainers.rl.account import Terms  # noqa: PLC0415 - only such studies need it

    return Terms.of(
        Costs.from_section(study.costs),
        Execution.from_section(study.execution),
        band=study.policy.rebalance_band,
        periods_per_year=study.data.periods_per_year,
    )


def rl_trainer(task: TrainingTask, study: StudyFile, seed: int) -> RLTrainer:
    """Make the trainer of a study whose policies learn by trading."""
    from windtunnel.trainers.rl.stage import make_stage  # noqa: PLC0415 - as above
    from windtunnel.trainers.rl_trainer import RLTrainer  # noqa: PLC0415 - as above

    long_only = study.policy.direction == "long_only"
    stage = make_stage(study.model, study.rl, rl_terms(study), long_only=long_only)
    training = study.training
    budget = training.memory_budget_mib
    return RLTrainer(
        task,
        stage,
        study.rl,
        seeds=training.seeds,
        seed=seed,
        devices=choose(training.device),
        memory=None if budget is None else budget * 2**20,
    )
