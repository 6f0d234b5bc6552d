"""What all trials of a study share: bars, features, labels, folds, and what sizes positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel import labels as labelling
from windtunnel import splits
from windtunnel.backtest.costs import Costs
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.volatility import realised_volatility
from windtunnel.config import StudyFile
from windtunnel.data.panel import Panel
from windtunnel.errors import SplitError
from windtunnel.features import compute as features
from windtunnel.protocols import TrainingTask

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Course:
    """What all trials of a study share: the bars, what is known of them, and the folds.

    Attributes
    ----------
    panel : Panel
        All bars, the holdout's too; only `final_task` and the final evaluation read those.
    features : FeatureTensor
        (T, N, F) float32.
    labels : Labels
        (T, N) float32 with the bar at which each label's window ends.
    plan : splits.Plan
        Folds, development range and holdout.
    task, final_task : TrainingTask
        What the folds train on, and what the champion is refitted on.
    volatility : (T, N) float64 or None
        Yearly, as known at each close, where the study's policies aim at one.
    """

    study: StudyFile
    panel: Panel
    features: features.FeatureTensor
    labels: labelling.Labels
    plan: splits.Plan
    task: TrainingTask
    final_task: TrainingTask
    volatility: Float64Array | None

    @property
    def execution(self) -> Execution:
        """Fill rule and capital."""
        section = self.study.execution
        return Execution.from_section(section)

    @property
    def costs(self) -> Costs:
        """Trading costs as fractions."""
        return Costs.from_section(self.study.costs)

    @property
    def periods_per_year(self) -> float:
        """Bars a year."""
        return self.study.data.periods_per_year

    def volatility_in(self, start: int, stop: int) -> Float64Array | None:
        """Volatility of bars `start` to `stop` - 1, where policies aim at one."""
        return None if self.volatility is None else self.volatility[start:stop]

    def known_labels(self, start: int, stop: int) -> Float32Array:
        """Labels of bars `start` to `stop` - 1 before the holdout.

        One whose window runs into the holdout would tell of it, and is NaN.
        """
        known = self.labels.end[start:stop] < self.plan.holdout[0]
        return np.where(known, self.labels.values[start:stop], np.float32(np.nan))


def prepare(study: StudyFile, panel: Panel) -> Course:
    """Compute features, labels and folds once, for all trials of the study.

    Raises
    ------
    FeatureError, SplitError
        As `features.compute` and `splits.walk_forward`; SplitError also when a fold has
        fewer training rows than `validation.min_train_rows`.
    """
    plan = splits.walk_forward(panel.bars, study.validation)
    tensor = features.compute(panel, study.features.use)
    labels = labelling.make_labels(panel, study.label)
    usable = np.all(np.isfinite(tensor.values), axis=2)

    def task(folds: Sequence[splits.Fold]) -> TrainingTask:
        train = np.stack(
            [
                splits.train_rows(fold, labels.end, usable, study.validation.embargo_bars)
                for fold in folds
            ]
        )
        for fold, rows in zip(folds, train, strict=True):
            _check_rows(study, fold, rows)
        return task_of(study, panel, tensor, labels, train, folds)

    return Course(
        study,
        panel,
        tensor,
        labels,
        plan,
        task(plan.folds),
        task((plan.final,)),
        policy_volatility(study, panel),
    )


def task_of(
    study: StudyFile,
    panel: Panel,
    tensor: features.FeatureTensor,
    labels: labelling.Labels,
    train: npt.NDArray[np.bool_],
    folds: Sequence[splits.Fold],
) -> TrainingTask:
    """What a trainer is given of a study for K folds, whose rows are `train` (K, T, N)."""
    return TrainingTask(
        features=tensor.values,
        labels=labels.values,
        train=train,
        validation=tuple(fold.validation for fold in folds),
        kind=study.label.kind,
        panel=panel,
        returns=labels.returns,
        cost=Costs.from_section(study.costs).trading_rate,
        long_only=study.policy.direction == "long_only",
    )


def policy_volatility(study: StudyFile, panel: Panel) -> Float64Array | None:
    """What sizes positions at each close, (T, N), where the study's policies aim at volatility."""
    if study.policy.volatility_target is None:
        return None
    return realised_volatility(panel, study.policy.volatility_bars, study.data.periods_per_year)


def _check_rows(study: StudyFile, fold: splits.Fold, rows: npt.NDArray[np.bool_]) -> None:
    found, needed = int(rows.sum()), study.validation.min_train_rows
    if found < needed:
        raise SplitError(
            f"fold {fold.index} has {found} labelled training rows in bars {fold.train[0]} to "
            f"{fold.train[1] - 1}, fewer than validation.min_train_rows = {needed}",
            "Give a longer history, a larger train_bars, fewer folds or shorter features",
        )
