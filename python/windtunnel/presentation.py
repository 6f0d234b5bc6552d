"""From findings to the values that the report shows."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from windtunnel import conventions, environment, extend
from windtunnel.config import to_toml
from windtunnel.config.study import FloatRange
from windtunnel.config.tuning import MINIMISED
from windtunnel.metrics.financial import financial_metrics
from windtunnel.reports import data as page
from windtunnel.reports import glossary
from windtunnel.reports.details import AuditRow, Details, LedgerRow, RivalRow
from windtunnel.reports.html import write
from windtunnel.reports.own_sections import own_sections

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from windtunnel.findings import Findings

Float64Array = npt.NDArray[np.float64]

OF_PROBABILITIES = frozenset({"log_loss", "brier", "calibration_error"})


def write_report(found: Findings, path: Path) -> None:
    """Write the HTML report of a study to `path`."""
    write(report_data(found), path)


def report_data(found: Findings) -> page.ReportData:
    """Fill the page: nothing is computed here that the findings do not hold."""
    course, study = found.course, found.course.study
    start, stop = course.plan.out_of_sample
    benchmark = found.stress.benchmark.equity[:, 0]
    sections, problems = own_sections(found)
    delayed = next(row for row in found.stress.rows if row.delay_bars)
    return page.ReportData(
        title=study.study.name,
        run_id=found.run.id,
        created=found.created,
        verdict=page.Verdict(
            headline=found.verdict.headline,
            level=found.verdict.level,
            sentences=found.verdict.sentences,
        ),
        initial_cash=study.execution.initial_cash,
        timestamps=course.panel.timestamps[start:stop],
        champion_equity=found.champion_equity,
        buy_and_hold_equity=np.ascontiguousarray(benchmark),
        cash_equity=np.full(stop - start, study.execution.initial_cash),
        folds=tuple(_folds(found)),
        trials=found.trials,
        dimensions=tuple(
            page.Dimension(name=name, log=isinstance(given, FloatRange) and given.log)
            for name, given in study.search.items()
            # A picture has no place for words, nor for what no trial had a value of.
            if found.trials[name].dtype.is_numeric() and found.trials[name].drop_nulls().len()
        ),
        objective=study.study.objective,
        further=tuple(
            page.Further(name=name, minimised=name in MINIMISED) for name in study.tuning.also
        ),
        champion=found.champion.number,
        champion_rule=(
            f"It was chosen by its plateau: averaged over it and its "
            f"{found.champion.neighbours - 1} nearest trials, the objective and the Sharpe, "
            f"Sortino and Calmar ratios together rank highest (mean objective "
            f"{found.champion.plateau:.3f}); a lone peak is more likely luck."
        ),
        champion_metrics=_meaning(found, found.metrics),
        buy_and_hold_metrics=found.benchmark_metrics,
        statistics=found.luck.figures | found.statistics,
        reasons=found.luck.reasons,
        pbo_logits=found.luck.pbo_logits,
        holdout=_holdout(found),
        cost_rows=tuple(
            page.CostRow(
                multiple=row.cost_multiple,
                sharpe=row.sharpe,
                total_return=row.total_return,
                max_drawdown=row.max_drawdown,
            )
            for row in found.stress.rows
            if not row.delay_bars
        ),
        break_even_bps=found.stress.break_even_bps,
        delayed=page.DelayedRow(
            bars=delayed.delay_bars,
            sharpe=delayed.sharpe,
            total_return=delayed.total_return,
            max_drawdown=delayed.max_drawdown,
        ),
        data_source=conventions.source(
            found.run.source,
            bars=course.panel.bars,
            instruments=course.panel.instruments,
            fingerprint=course.panel.fingerprint,
        ),
        instruments=tuple(
            page.InstrumentRow(
                symbol=row["symbol"],
                first=row["first"],
                last=row["last"],
                bars=row["bars"],
                missing=row["missing"],
                zero_volume=row["zero_volume"],
                largest_move=row["largest_move"],
            )
            for row in found.quality.summary.iter_rows(named=True)
        ),
        warnings=found.quality.warnings,
        configuration=to_toml(study),
        commands=(
            found.run.command,
            f"windtunnel verify runs/{found.run.id}",
            *_additions(),
        ),
        versions=environment.versions(),
        compilation=_compilation(found.run.compilation()),
        conventions=page.Conventions(
            periods_per_year=study.data.periods_per_year,
            fill=conventions.fills(study),
            costs=conventions.costs(study),
            sizes=conventions.sizes(study),
            benchmark="buy and hold: equal weights in the listed instruments, rebalanced when a "
            "weight has drifted by more than 5 % of equity, same costs",
        ),
        caveats=conventions.caveats(study),
        optimistic_fill=study.execution.fill == "same_close",
        details=_details(found),
        deflation=found.deflation,
        path_sharpes=found.paths.sharpes,
        audits=tuple(
            AuditRow(
                name=audit.name,
                passed=audit.passed,
                sentence=audit.sentence,
                figures=audit.figures,
            )
            for audit in found.audits
        ),
        ledger=tuple(
            LedgerRow(
                study=row.study,
                runs=row.runs,
                trials=row.trials,
                failed=row.failed,
                counted=row.counted,
                best_sharpe=row.best_sharpe,
            )
            for row in found.life
        ),
        rivals=_rivals(found),
        own_sections=sections,
        own_terms={
            each.name: glossary.own_term(each.name, each.unit, each.meaning)
            for each in extend.registered("step", "metric", "statistic")
        },
        steps=tuple((each.name, each.meaning) for each in extend.registered("step")),
        problems=found.problems + problems,
    )


def _rivals(found: Findings) -> tuple[RivalRow, ...]:
    """The policy, its seeds as a distribution, and what else one could have held."""
    if not found.rivals:
        return ()
    names = ("sharpe", "total_return", "max_drawdown", "turnover")
    figures = {name: found.metrics.get(name) for name in names}
    own = RivalRow(
        name="the champion, its seeds together",
        kind="champion",
        trials=len(found.trials),
        **{name: math.nan if value is None else value for name, value in figures.items()},
    )
    return (own, *(RivalRow(**asdict(rival)) for rival in found.rivals))


def _meaning(found: Findings, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Without metrics of stated probabilities, where a score is a level that is traded."""
    levels = found.course.study.proportional
    return {k: v for k, v in metrics.items() if not (levels and k in OF_PROBABILITIES)}


def _compilation(figures: Mapping[str, float]) -> str:
    """What the search compiled, in a sentence; empty where it is not known."""
    if not figures:
        return ""
    return (
        f"The search compiled {figures['compiled']} programs and read {figures['read']} from the "
        f"cache, in {figures['seconds']:.1f} s."
    )


def _additions() -> list[str]:
    """What a reader has to register beforehand to get the same page, as a comment."""
    names = [f"{each.kind} {each.name}" for each in extend.registered(*extend.KINDS)]
    return [f"# with your own additions (--extend FILE): {', '.join(names)}"] if names else []


def _details(found: Findings) -> Details:
    portrait, course = found.portrait, found.course
    trace = portrait.trace
    start, stop = course.plan.out_of_sample
    month, place = np.unique(
        course.panel.timestamps[start:stop].astype("datetime64[M]"), return_inverse=True
    )
    return Details(
        band=portrait.band,
        window=portrait.window,
        rolling=portrait.rolling,
        rolling_benchmark=portrait.rolling_benchmark,
        months=portrait.months,
        trace=trace,
        symbols=course.panel.symbols,
        periods=month,
        turnover=np.bincount(place, trace.turnover).astype(np.float64),
        gross=np.bincount(place, trace.gross) / np.bincount(place),
        net=np.bincount(place, trace.net) / np.bincount(place),
        gap=portrait.gap,
        calibration=portrait.calibration,
        levels=course.study.proportional,
        decay=portrait.decay,
        horizon=course.labels.horizon,
        trips=portrait.trips,
    )


def _folds(found: Findings) -> list[page.FoldRow]:
    """The champion on each validation slice, out of the one backtest over all of them."""
    course = found.course
    stamps = course.panel.timestamps
    first = course.plan.out_of_sample[0]
    rows = []
    for fold, learning in zip(course.plan.folds, found.stress.learning, strict=True):
        start, stop = fold.validation
        own = _slice(found, found.champion_equity, start - first, stop - first)
        held = _slice(found, found.stress.benchmark.equity[:, 0], start - first, stop - first)
        rows.append(
            page.FoldRow(
                fold=fold.index,
                start=as_datetime(stamps[start]),
                end=as_datetime(stamps[stop - 1]),
                train_rows=int(course.task.train[fold.index].sum()),
                champion_return=own["total_return"],
                champion_sharpe=own["sharpe"],
                champion_drawdown=own["max_drawdown"],
                buy_and_hold_return=held["total_return"],
                ic=learning.get("ic"),
                auc=learning.get("auc"),
            )
        )
    return rows


def _slice(found: Findings, equity: Float64Array, start: int, stop: int) -> dict[str, float | None]:
    """Metrics of a part of an equity curve, from the equity at the close before it.

    None for each of a part that begins ruined: there is nothing to measure returns by.
    """
    initial = equity[start - 1] if start else found.course.execution.initial_cash
    if (equity[:start] <= 0).any():
        return dict.fromkeys(("total_return", "sharpe", "max_drawdown"))
    metrics = financial_metrics(
        np.ascontiguousarray(equity[start:stop, None]),
        initial=float(initial),
        periods_per_year=found.course.periods_per_year,
    )
    return {name: float(values[0]) for name, values in metrics.items()}


def _holdout(found: Findings) -> page.Holdout:
    if found.holdout is None:
        return page.Holdout(seal=found.seal, forced_looks=found.earlier_looks)
    start, stop = found.course.plan.holdout
    return page.Holdout(
        seal=found.seal,
        timestamps=found.course.panel.timestamps[start:stop],
        champion_equity=found.holdout.champion.equity[:, 0],
        buy_and_hold_equity=found.holdout.benchmark.equity[:, 0],
        champion_metrics=_meaning(found, found.holdout.metrics),
        buy_and_hold_metrics=found.holdout.benchmark_metrics,
        forced_looks=found.earlier_looks,
    )


def as_datetime(stamp: np.datetime64) -> datetime:
    """A UTC timestamp of the panel as an aware datetime."""
    naive: datetime = stamp.astype("datetime64[us]").item()
    return naive.replace(tzinfo=UTC)
