"""The champion once more, with other seeds and from other starts: trials like any other.

Another seed and another start date are further looks at the same bars. They are returned
with the result and belong into the ledger; choosing among them would be overfitting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from windtunnel import splits
from windtunnel.audits import walk
from windtunnel.audits.registry import register
from windtunnel.audits.result import AuditResult, not_made, number
from windtunnel.audits.wording import NO_CHAMPION, spread
from windtunnel.errors import SplitError
from windtunnel.ledger import LedgerTrial
from windtunnel.metrics.financial import financial_metrics

if TYPE_CHECKING:
    from windtunnel.audits.case import Case, Champion
    from windtunnel.course import Course

LATER = (1, 5, 21, 63, 10, 42, 84, 126)
"""Bars by which other histories begin later, the first ones first."""
SEEDS = 2**31
"""How many seeds a study may have; after the last one comes the first."""


@register("seeds", "How far does the champion's figure move with other seeds?")
def seeds(case: Case) -> AuditResult:
    """Train the champion again with the seeds that follow the study's own."""
    if case.champion is None:
        return not_made("seeds", NO_CHAMPION)
    panel = case.subject.panel(case.known)
    course = walk.prepare(case.subject, case.study, panel, case.plan)
    own = case.study.study.seed
    others = {
        seed: _sharpe(case, course, case.champion.params, seed)
        for seed in ((own + after) % SEEDS for after in range(1, case.repeats + 1))
    }
    return _answer("seeds", "study.seed", "seeds", case.champion, others)


@register("starts", "How far does the champion's figure move when the history begins later?")
def starts(case: Case) -> AuditResult:
    """Carry the champion through the study as it would be, had the history begun later.

    Folds are cut anew, so that every training and validation slice moves.
    """
    if case.champion is None:
        return not_made("starts", NO_CHAMPION)
    others = {}
    for later in LATER[: case.repeats]:
        try:
            plan = splits.walk_forward(len(case.stamps) - later, case.study.validation)
        except SplitError:  # the history has no bars to spare
            continue
        panel = case.subject.panel(case.after(later))
        course = walk.prepare(case.subject, case.study, panel, plan)
        others[later] = _sharpe(case, course, case.champion.params, case.study.study.seed)
    if not others:
        return not_made("starts", "the history is too short to begin later")
    return _answer("starts", "data.bars_later", "start dates", case.champion, others)


def _sharpe(case: Case, course: Course, params: Mapping[str, float], seed: int) -> float:
    """Annual Sharpe ratio over the validation slices; NaN where training or trading failed."""
    fit = walk.fit(case.subject, course, [params], seed=seed)
    if fit.failures:
        return math.nan
    metrics = financial_metrics(
        walk.trade(case.subject, course, fit.scores, [params]).equity,
        initial=course.execution.initial_cash,
        periods_per_year=course.periods_per_year,
    )
    return float(metrics["sharpe"][0])


def _answer(
    name: str, varied: str, what: str, champion: Champion, others: Mapping[int, float]
) -> AuditResult:
    values: Sequence[float] = [value for value in others.values() if math.isfinite(value)]
    figures = {
        "sharpe": number(champion.sharpe),
        "others": len(others),
        "lowest": min(values, default=None),
        "highest": max(values, default=None),
        "mean": sum(values) / len(values) if values else None,
    }
    return AuditResult(
        name,
        None,
        spread(champion.sharpe, values, what),
        figures,
        tuple({varied: at, "sharpe": number(value)} for at, value in others.items()),
        tuple(
            LedgerTrial(
                number=place,
                params={**champion.params, varied: float(at)},
                state="complete" if math.isfinite(value) else "failed",
                sharpe=number(value),
            )
            for place, (at, value) in enumerate(others.items())
        ),
    )
