"""Rows of the trial table as the strategy, the pruner and the ledger want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from windtunnel.config import StudyFile, study_digest
from windtunnel.config.search import Choice, Dimension, FloatRange, Value
from windtunnel.config.tuning import MINIMISED
from windtunnel.course import Course
from windtunnel.ledger import LedgerCohort, LedgerTrial
from windtunnel.runs import Run
from windtunnel.span import Span
from windtunnel.tuning.pruners import Reports
from windtunnel.tuning.strategy import Direction, Outcome, Suggestion

# Attributes that a trial shows in Optuna's dashboard.
SHOWN = ("sharpe", "total_return", "max_drawdown", "turnover", "fills", "train_loss")


def directions_of(study: StudyFile) -> tuple[Direction, ...]:
    """Of every objective, the study's own first."""
    further: list[Direction] = [
        "minimize" if name in MINIMISED else "maximize" for name in study.tuning.also
    ]
    return ("maximize", *further)


def named_rows(asked: Sequence[Suggestion], cohort: int, study: StudyFile) -> pl.DataFrame:
    """Number, cohort and parameters of suggestions; null where one lacks a dimension."""
    return pl.DataFrame(
        {
            "number": [each.number for each in asked],
            "cohort": [cohort] * len(asked),
            **{name: [each.params.get(name) for each in asked] for name in study.search},
        },
        schema_overrides={name: _dtype(kind) for name, kind in study.search.items()},
    )


def outcomes(table: pl.DataFrame, study: StudyFile) -> list[Outcome]:
    """What the strategy and the dashboards are told of a cohort."""
    return [
        Outcome(
            number=row["number"],
            params=_params(row, study),
            value=_value(row),
            state=row["state"],
            attributes={name: row[name] for name in SHOWN if row[name] is not None}
            | ({"reason": row["reason"]} if row["reason"] else {}),
            reports={seen["step"]: seen["value"] for seen in row["rungs"]},
            # A configuration that never traded has no ratio, nor any risk; one that traded and
            # lacks one has failed.
            further=tuple(0.0 if row[name] is None else row[name] for name in study.tuning.also),
        )
        for row in table.iter_rows(named=True)
    ]


def past_of(done: Sequence[pl.DataFrame]) -> list[tuple[bool, Reports]]:
    """Trials of earlier cohorts as a pruner sees them."""
    return [
        (state == "complete", {seen["step"]: seen["value"] for seen in rungs})
        for table in done
        for state, rungs in zip(table["state"].to_list(), table["rungs"].to_list(), strict=True)
    ]


def ledger_entry(run: Run, course: Course, index: int, table: pl.DataFrame) -> LedgerCohort:
    """A cohort as the project's ledger keeps it."""
    study, panel = course.study, course.panel
    first, stop = course.plan.out_of_sample
    return LedgerCohort(
        run_id=run.id,
        study=study.study.name,
        study_digest=study_digest(study),
        data_fingerprint=panel.fingerprint,
        span=Span.of(panel.symbols, panel.timestamps[first], panel.timestamps[stop - 1]),
        cohort=index,
        trials=tuple(
            LedgerTrial(
                number=row["number"],
                params=_params(row, study),
                state=row["state"],
                sharpe=row["sharpe"],
            )
            for row in table.iter_rows(named=True)
        ),
        bars=stop - first,
        periods_per_year=course.periods_per_year,
    )


def _params(row: Mapping[str, Any], study: StudyFile) -> dict[str, Value]:
    return {name: row[name] for name in study.search if row[name] is not None}


def _value(row: Mapping[str, Any]) -> float | None:
    """The objective; of a pruned trial, the last that it showed."""
    if row["state"] == "pruned" and row["rungs"]:
        return float(row["rungs"][-1]["value"])
    return None if row["objective"] is None else float(row["objective"])


def _dtype(dimension: Dimension) -> type[pl.DataType]:
    if isinstance(dimension, FloatRange):
        return pl.Float64
    if not isinstance(dimension, Choice):
        return pl.Int64
    first = dimension.choices[0]
    if isinstance(first, bool):
        return pl.Boolean
    if isinstance(first, str):
        return pl.String
    return pl.Float64 if isinstance(first, float) else pl.Int64
