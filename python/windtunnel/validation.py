"""The walk-forward pipeline: configurations in, one honest table of trials out.

A cohort passes through fixed steps, each for all configurations at once: train on every
fold, turn out-of-sample scores into equity, measure. The pipeline is handed a trainer and
knows nothing of how it trains or of who suggested the configurations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel import extend, overfitting
from windtunnel.backtest.costs import Costs
from windtunnel.backtest.engine import BacktestResult, run_exposures, run_policy
from windtunnel.backtest.policy import Policies, target_exposures
from windtunnel.config import StudyFile
from windtunnel.config.model import MODEL_SEARCHABLE
from windtunnel.config.policy import POLICY_SEARCHABLE
from windtunnel.config.rl import RL_SEARCHABLE
from windtunnel.config.study import TRAINING_SEARCHABLE
from windtunnel.course import Course
from windtunnel.metrics.break_even import break_even_cost
from windtunnel.metrics.financial import financial_metrics
from windtunnel.metrics.ml import ml_metrics
from windtunnel.protocols import CohortFit, Trainer

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Params = Mapping[str, Any]
UNDEFINED = {
    "sortino": "no losing bar",
    "calmar": "no fall from a peak, or a growth beyond all numbers",
}
"""Why a configuration that traded may lack a ratio; others need returns that vary."""


def hyper_table(study: StudyFile, params: Sequence[Params]) -> dict[str, npt.NDArray[Any]]:
    """(C,) arrays of what the trainer takes: searched values, else the study's own.

    What shapes the model ('model.width', ...) is there where a configuration has it, and
    `feature_mask` (C, F) where the study searches which features are seen.
    """
    seen = _feature_mask(study, params)
    if study.training.trainer == "rl":
        table = {
            name: _column(params, f"rl.{name}", getattr(study.rl, name)) for name in RL_SEARCHABLE
        }
        leverage = _column(params, "policy.leverage", study.policy.leverage)
        return table | {"leverage": leverage} | seen
    shaping = [f"model.{name}" for name in MODEL_SEARCHABLE]
    return (
        {
            name: _column(params, f"training.{name}", getattr(study.training, name))
            for name in TRAINING_SEARCHABLE
        }
        | {
            name: np.array([point.get(name) for point in params], dtype=object)
            for name in shaping
            if any(name in point for point in params)
        }
        | seen
    )


def _feature_mask(study: StudyFile, params: Sequence[Params]) -> dict[str, npt.NDArray[Any]]:
    """One program takes any mask; a study without switches gets the one that takes none."""
    if not study.features.switches.keys() & study.search.keys():
        return {}
    seen = [study.features.seen(point) for point in params]
    return {"feature_mask": np.array(seen, np.float32)}


def policy_table(study: StudyFile, params: Sequence[Params]) -> Policies:
    """The policy of every configuration; configuration c reads score column c."""
    own = {name: getattr(study.policy, name) for name in POLICY_SEARCHABLE}
    values = {
        name: _column(params, f"policy.{name}", value)
        for name, value in own.items()
        if value is not None
    }
    return Policies(
        column=np.arange(len(params), dtype=np.int64),
        band=np.full(len(params), study.policy.rebalance_band),
        long_only=study.policy.direction == "long_only",
        proportional=study.proportional,
        **values,
    )


def exposures_of(
    course: Course, params: Params, scores: Float32Array, span: tuple[int, int]
) -> Float64Array:
    """Target exposures (T, N) of one configuration's scores (T, N) on the bars of `span`."""
    exposures, _ = target_exposures(
        scores,
        course.panel.listed[slice(*span)],
        **policy_table(course.study, [params]).terms(0),
        volatility=course.volatility_in(*span),
    )
    return exposures


def _column(params: Sequence[Params], name: str, default: float) -> Float64Array:
    return np.array([point.get(name, default) for point in params], dtype=np.float64)


@dataclass(frozen=True)
class Evaluation:
    """A cohort after the pipeline.

    Attributes
    ----------
    fit : CohortFit
        Scores (K*V, N, C) and training losses (C, K).
    backtest : BacktestResult
        Equity (K*V, C) over all validation slices in one run, and what trading cost.
    table : polars.DataFrame
        One row a configuration: state, reason, objective, every metric, and a column for each
        step that the user added.
    problems : tuple of str
        What went wrong in the user's steps, in sentences.
    """

    fit: CohortFit
    backtest: BacktestResult
    table: pl.DataFrame
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pipeline:
    """Train, backtest, measure: the steps that every cohort passes through, in order."""

    course: Course
    trainer: Trainer

    def evaluate(self, params: Sequence[Params]) -> Evaluation:
        """Take C configurations through all steps; failed ones stay in the table as failed."""
        return self.conclude(self.trainer.fit(self.hyper(params)), params)

    def hyper(self, params: Sequence[Params]) -> dict[str, Float64Array]:
        """What the trainer is given for C configurations."""
        return hyper_table(self.course.study, params)

    def conclude(self, fit: CohortFit, params: Sequence[Params]) -> Evaluation:
        """The steps after training: backtest, measure, and what the user added."""
        costs = self.course.costs
        result = self.backtest(fit.scores, params)
        free = None
        if not costs.proportional:
            free = self.backtest(fit.scores, params, costs=costs.of_holding)
        table = self.measure(fit, result, free)
        table, problems = self.take_own_steps(table, fit, result, params)
        return Evaluation(fit, result, table, problems)

    def backtest(
        self,
        scores: Float32Array,
        params: Sequence[Params],
        *,
        costs: Costs | None = None,
        span: tuple[int, int] | None = None,
        want_trades: bool = False,
    ) -> BacktestResult:
        """Equity of every configuration over `span` (the validation slices) in one call."""
        course = self.course
        start, stop = span or course.plan.out_of_sample
        return run_policy(
            course.panel.window(start, stop),
            scores,
            policy_table(course.study, params),
            costs=costs or course.costs,
            execution=course.execution,
            periods_per_year=course.periods_per_year,
            want_trades=want_trades,
            volatility=course.volatility_in(start, stop),
        )

    def measure(
        self, fit: CohortFit, result: BacktestResult, free: BacktestResult | None = None
    ) -> pl.DataFrame:
        """Financial and ML metrics, training loss and objective of every configuration.

        One that traded and has no objective, or lacks a further one, is failed: there is nothing
        to rank it by. Its other metrics stand, since it was tried; those of a training that
        failed are null.

        `free` is `result` had trading cost nothing: where costs are not proportional to the value
        traded, the break-even cost follows from it, and is null without it.
        """
        course = self.course
        financial = financial_metrics(
            result.equity,
            initial=course.execution.initial_cash,
            periods_per_year=course.periods_per_year,
        )
        labels = course.known_labels(*course.plan.out_of_sample)
        learning = ml_metrics(fit.scores, labels, course.labels.kind)
        lanes = range(result.equity.shape[1])
        if course.study.weighs("deflated_sharpe"):
            financial |= {"deflated_sharpe": self._deflated(financial, result)}
        undefined = self._undefined(financial, result)
        reasons = undefined | dict(fit.failures)
        objective = financial[course.study.study.objective]
        # Cash has no Sharpe ratio; to the search it is worth nothing, neither good nor bad.
        if course.study.study.objective != "deflated_sharpe":
            objective = np.where(result.fills == 0, 0.0, objective)
        objective = np.where([lane in undefined for lane in lanes], np.nan, objective)
        columns: dict[str, object] = {
            "state": ["failed" if lane in reasons else "complete" for lane in lanes],
            "reason": [reasons.get(lane, "") for lane in lanes],
            "objective": objective,
            **financial,
            **learning,
            "train_loss": fit.loss.mean(axis=1, dtype=np.float64),
            "turnover": result.turnover,
            "break_even_bps": 1e4 * self._break_even(result, free),
            "costs": result.costs,
            "financing": result.financing,
            "exposure": result.exposure,
            "fills": result.fills,
            "dropped": result.dropped,
            "liquidated": result.liquidated,
        }
        table = pl.DataFrame(columns)
        measured = [name for name in columns if name not in {"state", "reason", "liquidated"}]
        hollow = pl.Series([lane in fit.failures for lane in lanes])
        return table.with_columns(
            pl.when(hollow).then(None).otherwise(pl.col(name).fill_nan(None)).alias(name)
            if table.schema[name].is_float()
            else pl.when(hollow).then(None).otherwise(pl.col(name)).alias(name)
            for name in measured
        )

    def _undefined(
        self, financial: Mapping[str, Float64Array], result: BacktestResult
    ) -> dict[int, str]:
        """Why a configuration that traded lacks an objective, for each that does."""
        study = self.course.study
        found: dict[int, str] = {}
        for name in (*study.tuning.also, study.study.objective):  # the last one has the last word
            if name in financial:
                traded = (result.fills > 0) & np.isnan(financial[name])
                reason = f"{name} is undefined: {UNDEFINED.get(name, 'its returns do not vary')}"
                found |= dict.fromkeys(np.flatnonzero(traded).tolist(), reason)
        return found

    def _break_even(self, result: BacktestResult, free: BacktestResult | None) -> Float64Array:
        """(C,) one-way costs, as fractions of the value traded, at which nothing is left."""
        course, cost = self.course, 0.0
        if free is None:
            if not course.costs.proportional:
                return np.full(len(result.final_equity), np.nan)
            free, cost = result, course.costs.trading_rate
        return break_even_cost(
            free.final_equity, free.turnover, initial=course.execution.initial_cash, cost=cost
        )

    def _deflated(
        self, financial: Mapping[str, Float64Array], result: BacktestResult
    ) -> Float64Array:
        """(C,) deflated Sharpe ratios by the plan; cash has a Sharpe ratio of 0."""
        course = self.course
        idle = result.fills == 0
        return overfitting.dsr_by_plan(
            np.where(idle, 0.0, financial["sharpe"]) / math.sqrt(course.periods_per_year),
            len(result.equity),
            trials=course.study.study.trials,
            skewness=np.where(idle, 0.0, financial["skewness"]),
            kurtosis=np.where(idle, 3.0, financial["kurtosis"]),
        )

    def take_own_steps(
        self, table: pl.DataFrame, fit: CohortFit, result: BacktestResult, params: Sequence[Params]
    ) -> tuple[pl.DataFrame, tuple[str, ...]]:
        """The table with the columns of the user's steps, null for failed configurations."""
        if not extend.registered("step"):
            return table, ()
        course = self.course
        start, stop = course.plan.out_of_sample
        cohort = extend.Cohort(
            params=tuple(params),
            scores=fit.scores,
            labels=course.known_labels(start, stop),
            equity=result.equity,
            closes=course.panel.close[start:stop],
            folds=tuple(
                (fold.validation[0] - start, fold.validation[1] - start)
                for fold in course.plan.folds
            ),
            timestamps=course.panel.timestamps[start:stop],
            symbols=course.panel.symbols,
            initial=course.execution.initial_cash,
            periods_per_year=course.periods_per_year,
        )
        columns, problems = extend.take_steps(cohort, table.columns)
        complete = table["state"].to_numpy() == "complete"
        return table.with_columns(
            pl.Series(name, np.where(complete, values, np.nan)).fill_nan(None)
            for name, values in columns.items()
        ), problems


def buy_and_hold(course: Course, start: int, stop: int) -> BacktestResult:
    """Equal weights in every listed instrument over bars `start` to `stop` - 1, after costs."""
    bars = course.panel.window(start, stop)
    listed = bars.listed
    count = listed.sum(axis=1, keepdims=True)
    exposures = np.where(listed, 1.0 / np.maximum(count, 1), np.nan)
    return run_exposures(
        bars,
        np.ascontiguousarray(exposures[:, :, None]),
        band=0.05,
        costs=course.costs,
        execution=course.execution,
        periods_per_year=course.periods_per_year,
    )
