"""What is known of a study before its holdout is asked for.

The order matters. Audits come before luck is weighed, since what they try counts as trials;
and all of this comes before the holdout, so that a study that refutes itself spends no look.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel import events, extend, finals, judgement, portrait
from windtunnel.audits.case import Case
from windtunnel.audits.case import Champion as AuditedChampion
from windtunnel.audits.record import record
from windtunnel.audits.registry import run_audits
from windtunnel.audits.result import AuditResult
from windtunnel.course import Course
from windtunnel.cross_validation import Paths, cross_validate
from windtunnel.data.quality import QualityReport
from windtunnel.findings.life import StudyLife, life
from windtunnel.findings.rivals import Rival, rivals
from windtunnel.findings.trial_table import TrialTable
from windtunnel.ledger import Ledger, PastTrials
from windtunnel.metrics.financial import returns
from windtunnel.protocols import TrainingTask
from windtunnel.runs import Run
from windtunnel.span import Span
from windtunnel.validation import Pipeline

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Work:
    """A study whose trials are done, and what its end is carried out with.

    `folds` is the pipeline that the trials went through; `make` builds one for another task;
    `supervised` has the trials of the supervised study that a policy is set beside.
    """

    run: Run
    course: Course
    quality: QualityReport
    folds: Pipeline
    make: Callable[[TrainingTask], Pipeline]
    bus: events.EventBus
    supervised: TrialTable | None = None

    @property
    def ledger(self) -> Ledger:
        """The project's ledger."""
        return Ledger(self.run.path.parent / "ledger.jsonl")

    def begin(self, stage: str, detail: str = "") -> None:
        """Tell that a stage begins."""
        self.bus.emit(events.StageStarted(stage, detail))


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The champion, and what it is worth as far as the development bars tell.

    Attributes
    ----------
    trials : polars.DataFrame
        One row a trial.
    champion_equity : (T,) float64
    metrics, benchmark_metrics : dict
        Of the champion and of buy and hold over the validation slices.
    audits : tuple of AuditResult
        Attempts to refute the study that it asked for, and the user's own tests.
    deflation : (C,) float64
        The best Sharpe ratio that luck would show after each trial.
    statistics : dict
        Those that the user added.
    problems : tuple of str
        What went wrong in the user's own functions, in sentences.
    life : tuple of StudyLife
        The project's ledger, one for each study.
    rivals : tuple of Rival
        What stands beside a policy that learnt to trade; empty for other champions.
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
    audits: tuple[AuditResult, ...]
    luck: judgement.Luck
    paths: Paths
    portrait: portrait.Portrait
    deflation: Float64Array
    statistics: dict[str, float | None]
    problems: tuple[str, ...]
    life: tuple[StudyLife, ...]
    rivals: tuple[Rival, ...] = ()

    @property
    def failed_audits(self) -> tuple[str, ...]:
        """Names of the audits that refuted the study."""
        return tuple(audit.name for audit in self.audits if audit.passed is False)


def gather(work: Work, table: TrialTable) -> Evidence:
    """Choose the champion and find out what it is worth without the holdout."""
    course = work.course
    champion = judgement.choose_champion(course, table.trials)
    own = table.curve(champion.number)
    work.begin("stress", f"trial {champion.number}")
    stress = finals.stress(work.folds, champion.params, own)
    held = stress.benchmark.equity[:, 0]
    metrics = table.metrics(champion.number)
    audits = _audit(work, champion, metrics["sharpe"], stress)
    ledger = work.ledger
    ever = _past_trials(ledger, course)
    luck, statistics, failed = _luck(table, champion.number, held, ever)
    work.begin("paths")
    paths = cross_validate(course, work.make, champion.params)
    return Evidence(
        run=work.run,
        course=course,
        quality=work.quality,
        trials=table.trials,
        champion=champion,
        champion_equity=own,
        metrics=metrics,
        benchmark_metrics=table.metrics_of(stress.benchmark),
        stress=stress,
        audits=audits,
        luck=luck.with_paths(paths.figures, paths.reason),
        paths=paths,
        portrait=portrait.portray(course, stress.scores, own, held, stress.trades, stress.cash),
        deflation=portrait.deflation_path(
            luck.figures.get("expected_maximum_sharpe"),
            len(table.trials),
            earlier=max(0, ever.count - len(table.trials)),
        ),
        statistics=statistics,
        problems=table.problems + failed,
        life=life(ledger, ever),
        rivals=rivals(work.folds, champion.params, stress.benchmark, work.supervised),
    )


def put_to_tests(evidence: Evidence) -> Evidence:
    """The evidence with the outcomes of the user's own tests among the audits."""
    outcomes, failed = extend.put_to_tests(evidence)
    tests = tuple(AuditResult(name, passed, sentence) for name, passed, sentence in outcomes)
    return replace(evidence, audits=evidence.audits + tests, problems=evidence.problems + failed)


def _past_trials(ledger: Ledger, course: Course) -> PastTrials:
    """All trials ever made on bars of this study, the holdout's too: they were on these data."""
    stamps = course.panel.timestamps
    return ledger.trials_on(course.panel.symbols, stamps[0], stamps[-1]).without_repeats()


def _luck(
    table: TrialTable, number: int, held: Float64Array, ever: PastTrials
) -> tuple[judgement.Luck, dict[str, float | None], tuple[str, ...]]:
    """What luck could have done, the user's statistics, and what went wrong in these."""
    course, judged = table.course, judgement.chosen_from(table.trials)
    equity = np.ascontiguousarray(table.equity[:, judged])
    column = int(np.searchsorted(judged, number))
    first, stop = course.plan.out_of_sample
    stamps = course.panel.timestamps
    span = Span.of(course.panel.symbols, stamps[first], stamps[stop - 1])
    luck = judgement.weigh_luck(
        course,
        equity,
        column,
        held,
        trials_in_study=len(table.trials),
        sharpes_ever=ever.sharpes / math.sqrt(span.bars_a_year(stop - first)),
        trials_ever=ever.count,
    )
    statistics, problems = extend.weigh(
        returns(equity, course.execution.initial_cash),
        column,
        course.periods_per_year,
        luck.figures,
    )
    return luck, statistics, problems


def _audit(
    work: Work, champion: judgement.Champion, sharpe: float | None, stress: finals.Stress
) -> tuple[AuditResult, ...]:
    """Make the audits that the study asks for; what they try counts in the ledger."""
    study = work.course.study
    if not study.audit.make:
        return ()
    work.begin("audit", ", ".join(study.audit.make))
    subject = AuditedChampion(
        work.run.id, champion.params, math.nan if sharpe is None else sharpe, stress.rows
    )
    case = Case(study, pl.read_parquet(work.run.path / "bars.parquet"), champion=subject)
    results = run_audits(case, study.audit.make)
    record(work.ledger, case, results)
    return results
