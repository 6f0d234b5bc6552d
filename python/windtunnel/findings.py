"""All that is known of a study once its trials are done and the holdout was asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel import events, extend, finals, judgement, portrait
from windtunnel.audits.case import Case
from windtunnel.audits.case import Champion as AuditedChampion
from windtunnel.audits.record import record
from windtunnel.audits.registry import run_audits
from windtunnel.audits.result import AuditResult
from windtunnel.config import StudyFile
from windtunnel.cross_validation import Paths, cross_validate
from windtunnel.data.quality import QualityReport
from windtunnel.errors import HoldoutSealedError
from windtunnel.holdout import open_holdout
from windtunnel.ledger import Ledger, PastTrials
from windtunnel.metrics.financial import returns
from windtunnel.protocols import TrainingTask
from windtunnel.runs import Run
from windtunnel.validation import Course, Pipeline

Float64Array = npt.NDArray[np.float64]

# Columns of the trial table that are no metric of the trial's result.
NOT_METRICS = ("number", "cohort", "state", "reason", "objective", "liquidated")


@dataclass(frozen=True)
class StudyLife:
    """What the project's ledger holds of one study.

    `counted` are the trials that deflate this study's statistics: those on bars that overlap
    with its own, work done twice counted once.
    """

    study: str
    runs: int
    trials: int
    failed: int
    counted: int
    best_sharpe: float | None


@dataclass(frozen=True)
class Findings:
    """The champion, what it is worth, and what was looked at to know it.

    `statistics` are those that the user added, `problems` what went wrong in the user's own
    functions, `life` the project's ledger with a row a study, and `audits` the results of
    audits that were made beforehand.
    """

    run: Run
    course: Course
    quality: QualityReport
    trials: pl.DataFrame
    champion: judgement.Champion
    champion_equity: Float64Array
    metrics: dict[str, float | None]
    benchmark_metrics: dict[str, float]
    stress: finals.Stress
    luck: judgement.Luck
    paths: Paths
    model: finals.FinalModel
    holdout: finals.HoldoutResult | None
    seal: str
    earlier_looks: tuple[str, ...]
    audits: tuple[AuditResult, ...]
    verdict: judgement.Verdict
    created: datetime
    portrait: portrait.Portrait
    deflation: Float64Array
    statistics: dict[str, float | None]
    problems: tuple[str, ...]
    life: tuple[StudyLife, ...]


def find(
    run: Run,
    course: Course,
    quality: QualityReport,
    folds: Pipeline,
    make: Callable[[TrainingTask], Pipeline],
    bus: events.EventBus,
    force_reason: str | None,
) -> Findings:
    """Everything that is computed; nothing but the look at the holdout is written."""
    study = course.study
    tables, curves = zip(*run.cohorts(), strict=True)
    equity = np.concatenate(curves, axis=1)
    trials, problems = with_own_metrics(course, pl.concat(tables), equity)
    champion = judgement.choose_champion(course, trials)
    row = trials.row(by_predicate=pl.col("number") == champion.number, named=True)
    bus.emit(events.StageStarted("stress", f"trial {champion.number}"))
    own = np.ascontiguousarray(equity[:, champion.number])
    stress = finals.stress(folds, champion.params, own)
    start, stop = course.plan.holdout
    stamps = course.panel.timestamps
    # All bars of the study count: a trial on any of them was a trial on these data.
    ledger = Ledger(run.path.parent / "ledger.jsonl")
    ever = ledger.trials_on(course.panel.symbols, stamps[0], stamps[-1]).without_repeats()
    complete = trials.filter(pl.col("objective").is_not_null())["number"].to_numpy()
    finished = np.ascontiguousarray(equity[:, complete])
    column = int(np.searchsorted(complete, champion.number))
    luck = judgement.weigh_luck(
        course,
        finished,
        column,
        stress.benchmark.equity[:, 0],
        trials_in_study=len(trials),
        sharpes_ever=ever.sharpes,
        trials_ever=ever.count,
    )
    statistics, failed = extend.weigh(
        returns(finished, course.execution.initial_cash),
        column,
        course.periods_per_year,
        luck.figures,
    )
    problems += failed
    bus.emit(events.StageStarted("paths"))
    paths = cross_validate(course, make, champion.params)
    luck = luck.with_paths(paths.figures, paths.reason)
    bus.emit(events.StageStarted("refit"))
    final = make(course.final_task)
    model = finals.refit(course, final, champion.params)
    holdout: finals.HoldoutResult | None = None
    earlier: tuple[str, ...] = ()
    try:
        look = open_holdout(
            run.path.parent / "holdout.jsonl",
            run.id.split("~")[0],
            course.panel.symbols,
            stamps[start],
            stamps[stop - 1],
            force_reason=force_reason,
        )
        bus.emit(events.StageStarted("holdout", f"{stop - start} bars, read once"))
        holdout = finals.look(final, model, champion.params)
        seal, earlier = look.seal, look.earlier
    except HoldoutSealedError as error:
        seal = error.problem
        bus.emit(events.Warned(str(error)))
    metrics = {
        name: row[name] for name in trials.columns if name not in {*NOT_METRICS, *study.search}
    }
    benchmark = finals.curve_metrics(course, stress.benchmark)
    own_benchmark, _ = _own_metrics(course, stress.benchmark.equity, benchmark)
    benchmark |= {name: float(values[0]) for name, values in own_benchmark.items()}
    for problem in problems:
        bus.emit(events.Warned(problem))
    audits = _audit(run, study, champion, metrics["sharpe"], stress, bus)
    verdict = judgement.judge(
        luck,
        metrics,
        benchmark,
        holdout.metrics if holdout else None,
        holdout.benchmark_metrics if holdout else None,
        break_even_bps=stress.break_even_bps,
        cost_bps=study.costs.fee_bps + study.costs.half_spread_bps,
        forced_looks=len(earlier),
        failed_audits=tuple(audit.name for audit in audits if audit.passed is False),
    )
    return Findings(
        run,
        course,
        quality,
        trials,
        champion,
        own,
        metrics,
        benchmark,
        stress,
        luck,
        paths,
        model,
        holdout,
        seal,
        earlier,
        audits,
        verdict,
        datetime.now(UTC),
        portrait.portray(
            course, champion.params, stress.scores, own, stress.benchmark.equity[:, 0]
        ),
        portrait.deflation_path(
            luck.figures.get("expected_maximum_sharpe"),
            len(trials),
            earlier=max(0, ever.count - len(trials)),
        ),
        statistics,
        problems,
        _life(ledger, ever),
    )


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


def _own_metrics(
    course: Course, equity: Float64Array, taken: Collection[str]
) -> tuple[dict[str, Float64Array], tuple[str, ...]]:
    return extend.measure(equity, course.execution.initial_cash, course.periods_per_year, taken)


def _life(ledger: Ledger, ever: PastTrials) -> tuple[StudyLife, ...]:
    """The ledger by study, in the order in which studies first came."""
    counted = Counter(cohort.study for cohort, _ in ever.trials)
    rows: dict[str, list[dict[str, str | int | float | None]]] = {}
    for row in ledger.summary():
        rows.setdefault(str(row["study"]), []).append(row)
    found = []
    for study, runs in rows.items():
        sharpes = [float(row["best_sharpe"]) for row in runs if row["best_sharpe"] is not None]
        found.append(
            StudyLife(
                study=study,
                runs=len(runs),
                trials=sum(int(row["trials"] or 0) for row in runs),
                failed=sum(int(row["failed"] or 0) for row in runs),
                counted=counted[study],
                best_sharpe=max(sharpes, default=None),
            )
        )
    return tuple(found)


def _audit(
    run: Run,
    study: StudyFile,
    champion: judgement.Champion,
    sharpe: float | None,
    stress: finals.Stress,
    bus: events.EventBus,
) -> tuple[AuditResult, ...]:
    """Make the audits that the study asks for; what they try counts in the ledger."""
    if not study.audit.make:
        return ()
    bus.emit(events.StageStarted("audit", ", ".join(study.audit.make)))
    subject = AuditedChampion(
        run.id, champion.params, math.nan if sharpe is None else sharpe, stress.rows
    )
    case = Case(study, pl.read_parquet(run.path / "bars.parquet"), champion=subject)
    results = run_audits(case, study.audit.make)
    record(Ledger(run.path.parent / "ledger.jsonl"), case, results)
    return results
