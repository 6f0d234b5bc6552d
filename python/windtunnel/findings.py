"""All that is known of a study once its trials are done and the holdout was asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel import events, finals, judgement
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
from windtunnel.ledger import Ledger
from windtunnel.protocols import TrainingTask
from windtunnel.runs import Run
from windtunnel.validation import Course, Pipeline

Float64Array = npt.NDArray[np.float64]

# Columns of the trial table that are no metric of the trial's result.
NOT_METRICS = ("number", "cohort", "state", "reason", "objective", "liquidated")


@dataclass(frozen=True)
class Findings:
    """The champion, what it is worth, and what was looked at to know it."""

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
    trials = pl.read_parquet(run.path / "trials.parquet")
    equity = np.concatenate([curves for _, curves in run.cohorts()], axis=1)
    champion = judgement.choose_champion(course, trials)
    row = trials.row(by_predicate=pl.col("number") == champion.number, named=True)
    bus.emit(events.StageStarted("stress", f"trial {champion.number}"))
    own = np.ascontiguousarray(equity[:, champion.number])
    stress = finals.stress(folds, champion.params, own)
    start, stop = course.plan.holdout
    stamps = course.panel.timestamps
    # All bars of the study count: a trial on any of them was a trial on these data.
    ever = Ledger(run.path.parent / "ledger.jsonl").trials_on(
        course.panel.symbols, stamps[0], stamps[-1]
    )
    ever = ever.without_repeats()
    complete = trials.filter(pl.col("objective").is_not_null())["number"].to_numpy()
    luck = judgement.weigh_luck(
        course,
        np.ascontiguousarray(equity[:, complete]),
        int(np.searchsorted(complete, champion.number)),
        stress.benchmark.equity[:, 0],
        trials_in_study=len(trials),
        sharpes_ever=ever.sharpes,
        trials_ever=ever.count,
    )
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
    benchmark = finals.benchmark_metrics(course, stress.benchmark)
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
    )


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
