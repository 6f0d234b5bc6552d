"""The champion on many histories: combinatorial purged cross-validation.

A walk forward is one course of history. Here every choice of two of six stretches of the
development bars is tested once, by a model that was trained on the others, and the pieces
are put together to several whole histories. They share their bars and are not independent,
and a model may have learnt from what came later: this measures how much a figure owes to
one order of events, not what would have been earned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from windtunnel import splits
from windtunnel.backtest.engine import run_policy
from windtunnel.course import Course
from windtunnel.errors import SplitError
from windtunnel.metrics.financial import financial_metrics
from windtunnel.protocols import TrainingTask
from windtunnel.validation import Pipeline, hyper_table, policy_table

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Paths:
    """The champion over the reassembled histories.

    Attributes
    ----------
    sharpes : (P,) float64
        Annual Sharpe ratio of each path, after costs; NaN where it never traded.
    splits : int
        Models trained.
    reason : str
        Why there are no paths; empty when there are.
    """

    sharpes: Float64Array
    splits: int
    reason: str = ""

    @property
    def figures(self) -> dict[str, float | None]:
        """Median, worst and best path and the share that loses, for the report."""
        known = self.sharpes[np.isfinite(self.sharpes)]
        if not known.size:
            return dict.fromkeys(("path_median", "path_low", "path_high", "path_losing"))
        return {
            "path_median": float(np.median(known)),
            "path_low": float(known.min()),
            "path_high": float(known.max()),
            "path_losing": float(np.mean(known < 0)),
        }


def cross_validate(
    course: Course, make: Callable[[TrainingTask], Pipeline], params: Mapping[str, float]
) -> Paths:
    """Train one configuration on every split and backtest every path in one call.

    Parameters
    ----------
    make : callable
        Builds the pipeline whose trainer is for the given task.

    Notes
    -----
    The holdout is not touched: labels that reach into it are not trained on. A history too
    short to be cut gives no paths and a reason.
    """
    section = course.study.validation
    try:
        plan = splits.combinatorial_purged(
            course.plan.development, section.path_groups, section.path_tested
        )
    except SplitError as error:
        return Paths(np.empty(0), 0, error.problem)
    usable = np.all(np.isfinite(course.features.values), axis=2)
    usable &= course.labels.end < course.plan.holdout[0]
    train = np.stack(
        [
            splits.purged_rows(split, course.labels.end, usable, section.embargo_bars)
            for split in plan.splits
        ]
    )
    if int(train.sum(axis=(1, 2)).min()) < section.min_train_rows:
        return Paths(np.empty(0), 0, "a split has fewer rows than validation.min_train_rows")
    start, stop = plan.out_of_sample
    # Every model scores all bars; only those that its split tests are put into a path.
    task = replace(course.task, train=train, validation=((start, stop),) * len(plan.splits))
    fit = make(task).trainer.fit(hyper_table(course.study, [params]))
    if fit.failures:
        return Paths(np.empty(0), len(plan.splits), fit.failures[0])
    by_split = fit.scores[:, :, 0].reshape(len(plan.splits), stop - start, -1)
    # Bars that do not divide evenly come before the first group; the plan counts from bar 0.
    by_split = np.pad(by_split, ((0, 0), (start, 0), (0, 0)), constant_values=np.nan)
    scores = np.ascontiguousarray(np.moveaxis(plan.assemble(list(by_split)), 0, -1), np.float32)
    result = run_policy(
        course.panel.window(start, stop),
        scores,
        policy_table(course.study, [params] * scores.shape[-1]),
        costs=course.costs,
        execution=course.execution,
        periods_per_year=course.periods_per_year,
        volatility=course.volatility_in(start, stop),
    )
    metrics = financial_metrics(
        result.equity,
        initial=course.execution.initial_cash,
        periods_per_year=course.periods_per_year,
    )
    return Paths(metrics["sharpe"], len(plan.splits))
