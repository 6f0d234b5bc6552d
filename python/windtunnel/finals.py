"""The champion's last tests: stress on the folds, then one look at the sealed holdout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt

from windtunnel.backtest.engine import BacktestResult
from windtunnel.backtest.trades import TradeLog
from windtunnel.course import Course
from windtunnel.errors import TrainingError
from windtunnel.metrics.break_even import SEARCHED_BPS
from windtunnel.metrics.financial import financial_metrics
from windtunnel.metrics.ml import ml_metrics
from windtunnel.protocols import FittedModel
from windtunnel.validation import Pipeline, buy_and_hold, exposures_of, hyper_table

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

COST_MULTIPLES = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0)


@dataclass(frozen=True)
class StressRow:
    """The champion over the validation slices under other assumptions."""

    name: str
    cost_multiple: float
    delay_bars: int
    sharpe: float
    total_return: float
    max_drawdown: float


@dataclass(frozen=True)
class Stress:
    """What the champion's result depends on.

    `break_even_bps` is the one-way cost of the value traded at which the total return over the
    validation slices falls to zero; NaN when it is below zero even without costs, infinite never:
    the search ends at `SEARCHED_BPS` and then reports that bound. `charged_bps` is what the value
    traded cost there on average, minimum fees, fees a unit and impact included. `learning` holds
    the ML metrics of each fold, `scores` (T, N) float32 the champion's on the validation slices,
    `trades` every fill there and `cash` (T,) float64 the currency at each close.
    """

    rows: tuple[StressRow, ...]
    learning: tuple[dict[str, float], ...]
    break_even_bps: float
    charged_bps: float
    benchmark: BacktestResult
    scores: Float32Array
    trades: TradeLog
    cash: Float64Array


@dataclass(frozen=True)
class FinalModel:
    """The champion refitted on all development bars.

    Attributes
    ----------
    model : FittedModel
        Parameters with leading axes (1, S), and the scaler.
    scores : (H, N) float32
        On the holdout's bars; not yet looked at as money.
    exposures : (H, N) float64
        Target exposures that follow from the scores, from a flat start.
    """

    model: FittedModel
    scores: Float32Array
    exposures: Float64Array


@dataclass(frozen=True)
class HoldoutResult:
    """The one look: champion and buy-and-hold over the holdout."""

    champion: BacktestResult
    benchmark: BacktestResult
    metrics: dict[str, float]
    benchmark_metrics: dict[str, float]


def stress(pipeline: Pipeline, params: Mapping[str, float], recorded: Float64Array) -> Stress:
    """Train the champion again, alone, and put it under other costs and a later fill.

    Parameters
    ----------
    recorded : (T,) float64
        Its equity as the study recorded it in a cohort. The repetition must give the same
        numbers bit for bit; anything else means that the study cannot be reproduced.

    Raises
    ------
    TrainingError
        The repetition differs from the record.
    """
    course = pipeline.course
    scores = pipeline.trainer.fit(hyper_table(course.study, [params])).scores
    repeated = pipeline.backtest(scores, [params], want_trades=True)
    trades = cast("TradeLog", repeated.trades)
    again = repeated.equity[:, 0]
    if not np.array_equal(again, recorded, equal_nan=True):
        worst = float(np.nanmax(np.abs(again - recorded)))
        raise TrainingError(
            "the champion trained alone differs from the champion in its cohort "
            f"(equity by up to {worst:g})",
            "This is a fault in the trainer or another machine; run the study anew",
        )
    delayed = np.full_like(scores, np.nan)
    delayed[1:] = scores[:-1]

    def row(name: str, used: Float32Array, multiple: float, delay: int) -> StressRow:
        metrics = curve_metrics(course, _run(pipeline, used, params, multiple))
        return StressRow(
            name,
            multiple,
            delay,
            metrics["sharpe"],
            metrics["total_return"],
            metrics["max_drawdown"],
        )

    rows = [row(f"costs x {multiple:g}", scores, multiple, 0) for multiple in COST_MULTIPLES]
    rows.append(row("one bar later", delayed, 1.0, 1))
    return Stress(
        tuple(rows),
        tuple(_fold_learning(course, scores)),
        _break_even(pipeline, scores, params),
        _charged(course, trades),
        buy_and_hold(course, *course.plan.out_of_sample),
        np.ascontiguousarray(scores[:, :, 0]),
        trades,
        cast("Float64Array", repeated.cash)[:, 0],
    )


def refit(course: Course, pipeline: Pipeline, params: Mapping[str, float]) -> FinalModel:
    """Train the champion's configuration on all development bars; score the holdout's bars.

    `pipeline.trainer` must be a trainer of `course.final_task`.
    """
    fit = pipeline.trainer.fit(hyper_table(course.study, [params]), keep_models=True)
    if fit.failures or fit.models is None:
        raise TrainingError(
            f"the champion could not be refitted: {fit.failures.get(0, 'no model was kept')}",
            "Narrow the search of learning_rate, or train for fewer steps",
        )
    scores = np.ascontiguousarray(fit.scores[:, :, 0])
    exposures = exposures_of(course, params, scores, course.plan.holdout)
    return FinalModel(fit.models[0], scores, exposures)


def look(pipeline: Pipeline, model: FinalModel, params: Mapping[str, float]) -> HoldoutResult:
    """Turn the holdout into money, once; the caller has recorded the look beforehand."""
    course = pipeline.course
    start, stop = course.plan.holdout
    scores = np.ascontiguousarray(model.scores[:, :, None])
    champion = pipeline.backtest(scores, [params], span=(start, stop))
    benchmark = buy_and_hold(course, start, stop)
    learning = ml_metrics(scores, course.labels.values[start:stop], course.study.label.kind)
    return HoldoutResult(
        champion,
        benchmark,
        curve_metrics(course, champion)
        | {name: float(value[0]) for name, value in learning.items()},
        curve_metrics(course, benchmark),
    )


def curve_metrics(course: Course, result: BacktestResult) -> dict[str, float]:
    """Financial metrics of a single equity curve."""
    metrics = financial_metrics(
        result.equity,
        initial=course.execution.initial_cash,
        periods_per_year=course.periods_per_year,
    )
    return {name: float(value[0]) for name, value in metrics.items()}


def _fold_learning(course: Course, scores: Float32Array) -> list[dict[str, float]]:
    """ML metrics of a single configuration on each validation slice."""
    first, _ = course.plan.out_of_sample
    found = []
    for fold in course.plan.folds:
        start, stop = fold.validation
        part = np.ascontiguousarray(scores[start - first : stop - first])
        metrics = ml_metrics(part, course.known_labels(start, stop), course.labels.kind)
        found.append({name: float(value[0]) for name, value in metrics.items()})
    return found


def _run(
    pipeline: Pipeline, scores: Float32Array, params: Mapping[str, float], multiple: float
) -> BacktestResult:
    costs = pipeline.course.costs
    scaled = replace(
        costs,
        fee=costs.fee * multiple,
        half_spread=costs.half_spread * multiple,
        fee_per_unit=costs.fee_per_unit * multiple,
        minimum_fee=costs.minimum_fee * multiple,
        impact=costs.impact * multiple,
    )
    return pipeline.backtest(scores, [params], costs=scaled)


def _charged(course: Course, trades: TradeLog) -> float:
    """What the value traded cost on average, in basis points; the study's rate without a trade."""
    value = float(np.sum(np.abs(trades.change) * trades.price))
    return 1e4 * (float(trades.cost.sum()) / value if value > 0 else course.costs.trading_rate)


def _break_even(pipeline: Pipeline, scores: Float32Array, params: Mapping[str, float]) -> float:
    """Bisect the one-way cost, in basis points, at which the final equity is the initial cash."""
    costs = pipeline.course.costs
    initial = pipeline.course.execution.initial_cash

    def gain(bps: float) -> float:
        flat = replace(costs.of_holding, fee=bps / 1e4)
        return float(pipeline.backtest(scores, [params], costs=flat).equity[-1, 0]) - initial

    low, high = 0.0, SEARCHED_BPS
    if gain(low) <= 0:
        return float("nan")
    if gain(high) > 0:
        return high
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if gain(middle) > 0 else (low, middle)
    return (low + high) / 2
