"""All trials of a finished search, with their equity and what the user's metrics say of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel import extend
from windtunnel.backtest.result import BacktestResult
from windtunnel.course import Course
from windtunnel.finals import curve_metrics
from windtunnel.runs import Run

Float64Array = npt.NDArray[np.float64]

# Columns of the trial table that are no metric of the trial's result.
NOT_METRICS = ("number", "cohort", "state", "reason", "objective", "liquidated", "steps", "rungs")


@dataclass(frozen=True)
class TrialTable:
    """C trials in the order of their numbers, 0 to C - 1.

    Attributes
    ----------
    course : Course
    trials : polars.DataFrame
        One row a trial, with a column for each metric that the user added.
    equity : (T, C) float64
        Over the validation slices.
    problems : tuple of str
        What went wrong in the user's steps and metrics, in sentences.
    """

    course: Course
    trials: pl.DataFrame
    equity: Float64Array
    problems: tuple[str, ...]

    @classmethod
    def read(cls, run: Run, course: Course) -> TrialTable:
        """Put the committed cohorts of a run together and measure them with the user's metrics."""
        tables, curves = zip(*run.cohorts(), strict=True)
        equity = np.concatenate(curves, axis=1)
        # A step that failed in one cohort left no column there.
        joined = pl.concat(tables, how="diagonal")
        trials, problems = with_own_metrics(course, joined, equity)
        return cls(course, trials, equity, _without_column(joined) + problems)

    def curve(self, number: int) -> Float64Array:
        """(T,) equity of one trial."""
        return np.ascontiguousarray(self.equity[:, number])

    def metrics(self, number: int) -> dict[str, float | None]:
        """Every metric of one trial."""
        row = self.trials.row(by_predicate=pl.col("number") == number, named=True)
        none = {*NOT_METRICS, *self.course.study.search}
        return {name: value for name, value in row.items() if name not in none}

    def metrics_of(self, result: BacktestResult) -> dict[str, float]:
        """The same metrics of a curve that is no trial, as far as equity alone gives them."""
        built_in = curve_metrics(self.course, result)
        own, _ = _own_metrics(self.course, result.equity, built_in)
        return built_in | {name: float(values[0]) for name, values in own.items()}


def with_own_metrics(
    course: Course, trials: pl.DataFrame, equity: Float64Array
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The trial table with a column for each metric that the user added, null for failed trials.

    Returns the table and what went wrong, in sentences.
    """
    complete = trials["state"].to_numpy() == "complete"
    columns, problems = _own_metrics(
        course, np.ascontiguousarray(equity[:, complete]), trials.columns
    )
    added = []
    for name, values in columns.items():
        column = np.full(len(trials), np.nan)
        column[complete] = values
        added.append(pl.Series(name, column).fill_nan(None))
    return trials.with_columns(added), problems


def _without_column(trials: pl.DataFrame) -> tuple[str, ...]:
    """Sentences on steps that left nothing; the run's warnings have said why, when it happened."""
    return tuple(
        f"Step '{each.name}' gave no column: it failed, or was added after the trials were made."
        for each in extend.registered("step")
        if each.name not in trials.columns
    )


def _own_metrics(
    course: Course, equity: Float64Array, taken: Collection[str]
) -> tuple[dict[str, Float64Array], tuple[str, ...]]:
    return extend.measure(equity, course.execution.initial_cash, course.periods_per_year, taken)
