"""All that is known of a study once its trials are done and the holdout was asked for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from windtunnel import events, finals, judgement
from windtunnel.errors import HoldoutSealedError
from windtunnel.findings.evidence import Evidence, Work, gather, put_to_tests
from windtunnel.findings.life import StudyLife
from windtunnel.findings.trial_table import TrialTable
from windtunnel.holdout import open_holdout

__all__ = ["Evidence", "Findings", "StudyLife", "TrialTable", "Work", "find"]


@dataclass(frozen=True, kw_only=True)
class Findings(Evidence):
    """The evidence, the look at the holdout, and what both allow one to believe.

    Attributes
    ----------
    model : FinalModel
        The champion refitted on all development bars.
    holdout : HoldoutResult or None
        None while the holdout stays sealed.
    seal : str
        When the holdout was read, or why not, in a sentence.
    earlier_looks : tuple of str
        Earlier looks at the same bars, and trials that were judged on them, in words.
    """

    model: finals.FinalModel
    holdout: finals.HoldoutResult | None
    seal: str
    earlier_looks: tuple[str, ...]
    verdict: judgement.Verdict
    created: datetime


def find(work: Work, table: TrialTable, force_reason: str | None) -> Findings:
    """Gather the evidence, look at the holdout, judge; only the look and audits are on record."""
    evidence = put_to_tests(gather(work, table))
    for problem in evidence.problems:
        work.bus.emit(events.Warned(problem))
    work.begin("refit")
    final = work.make(work.course.final_task)
    model = finals.refit(work.course, final, evidence.champion.params)
    holdout: finals.HoldoutResult | None = None
    earlier: tuple[str, ...] = ()
    if evidence.failed_audits:
        seal = f"sealed: not opened, since audits failed ({', '.join(evidence.failed_audits)})"
    else:
        try:
            start, stop = work.course.plan.holdout
            stamps = work.course.panel.timestamps
            bars = (work.course.panel.symbols, stamps[start], stamps[stop - 1])
            look = open_holdout(
                work.run.path.parent / "holdout.jsonl",
                work.run.id.split("~")[0],
                *bars,
                model=_digest(model, evidence.champion),
                tried=work.ledger.trials_on(*bars).by_run,
                force_reason=force_reason,
            )
            work.begin("holdout", f"{stop - start} bars, read once")
            holdout = finals.look(final, model, evidence.champion.params)
            seal, earlier = look.seal, look.earlier
        except HoldoutSealedError as error:
            seal = error.problem
            work.bus.emit(events.Warned(str(error)))
    return Findings(
        **vars(evidence),
        model=model,
        holdout=holdout,
        seal=seal,
        earlier_looks=earlier,
        verdict=_judge(evidence, holdout, len(earlier)),
        created=datetime.now(UTC),
    )


def _digest(model: finals.FinalModel, champion: judgement.Champion) -> str:
    """Of what is judged: the champion's parameters and the model's scores, bit for bit."""
    params = json.dumps(champion.params, sort_keys=True)
    return hashlib.sha256(params.encode() + model.scores.tobytes()).hexdigest()


def _judge(
    evidence: Evidence, holdout: finals.HoldoutResult | None, forced_looks: int
) -> judgement.Verdict:
    return judgement.judge(
        evidence.luck,
        evidence.metrics,
        evidence.benchmark_metrics,
        holdout.metrics if holdout else None,
        holdout.benchmark_metrics if holdout else None,
        break_even_bps=evidence.stress.break_even_bps,
        cost_bps=evidence.stress.charged_bps,
        forced_looks=forced_looks,
        failed_audits=evidence.failed_audits,
    )
