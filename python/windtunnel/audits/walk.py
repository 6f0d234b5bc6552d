"""A study's steps on given bars, each through the subject: features to folds to money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from windtunnel.course import Course, task_of
from windtunnel.protocols import CohortFit
from windtunnel.validation import hyper_table, policy_table

if TYPE_CHECKING:
    import numpy.typing as npt

    from windtunnel.audits.subject import Subject
    from windtunnel.backtest.result import BacktestResult
    from windtunnel.config import StudyFile
    from windtunnel.data.panel import Panel
    from windtunnel.features.compute import FeatureTensor
    from windtunnel.labels import Labels
    from windtunnel.splits import Plan

Params = Mapping[str, Any]
OWN: Params = {}
"""No searched value: every parameter is the study file's own."""


def prepare(subject: Subject, study: StudyFile, panel: Panel, plan: Plan) -> Course:
    """Compute features, labels and folds on a panel that ends where the holdout begins."""
    tensor = subject.features(panel, study.features.use)
    return assemble(subject, study, panel, tensor, subject.labels(panel, study.label), plan)


def assemble(
    subject: Subject,
    study: StudyFile,
    panel: Panel,
    tensor: FeatureTensor,
    labels: Labels,
    plan: Plan,
) -> Course:
    """Join what is known of a panel into a course.

    The champion is never refitted here, so its task is that of the folds.
    """
    usable = np.asarray(np.all(np.isfinite(tensor.values), axis=2))
    embargo = study.validation.embargo_bars
    train = np.stack([subject.train_rows(fold, labels.end, usable, embargo) for fold in plan.folds])
    task = task_of(study, panel, tensor, labels, train, plan.folds)
    volatility = subject.volatility(study, panel)
    return Course(study, panel, tensor, labels, plan, task, task, volatility)


def fit(
    subject: Subject,
    course: Course,
    params: Sequence[Params],
    *,
    seed: int | None = None,
    keep_models: bool = False,
) -> CohortFit:
    """Train configurations on all folds; `seed` is the study's own when absent."""
    study = course.study
    trainer = subject.trainer(course.task, study, study.study.seed if seed is None else seed)
    return trainer.fit(hyper(course, params), keep_models=keep_models)


def hyper(course: Course, params: Sequence[Params]) -> dict[str, npt.NDArray[Any]]:
    """What the trainer is given: no switch of the study takes a feature that an audit added."""
    table = hyper_table(course.study, params)
    if "feature_mask" in table:
        mask = table["feature_mask"]
        added = course.task.features.shape[2] - mask.shape[1]
        table["feature_mask"] = np.pad(mask, ((0, 0), (0, added)), constant_values=1.0)
    return table


def trade(
    subject: Subject, course: Course, scores: npt.NDArray[np.float32], params: Sequence[Params]
) -> BacktestResult:
    """Equity of configurations over the validation slices."""
    span = course.plan.out_of_sample
    return subject.backtest(
        course.panel.window(*span),
        scores,
        policy_table(course.study, params),
        costs=course.costs,
        execution=course.execution,
        periods_per_year=course.periods_per_year,
        volatility=course.volatility_in(*span),
    )


def expose(
    subject: Subject, course: Course, scores: npt.NDArray[np.float32], params: Params
) -> npt.NDArray[np.float64]:
    """Target exposures (T, N) of one configuration over the validation slices."""
    span = course.plan.out_of_sample
    exposures, _ = subject.exposures(
        scores,
        course.panel.listed[slice(*span)],
        **policy_table(course.study, [params]).terms(0),
        volatility=course.volatility_in(*span),
    )
    return exposures
