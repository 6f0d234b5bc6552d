"""Trials that audits made on the study's own bars, as the project's ledger keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from windtunnel.config import study_digest
from windtunnel.data.align import to_panel
from windtunnel.ledger import Ledger, LedgerCohort
from windtunnel.span import Span

if TYPE_CHECKING:
    from windtunnel.audits.case import Case
    from windtunnel.audits.result import AuditResult


def record(ledger: Ledger, case: Case, results: Iterable[AuditResult]) -> int:
    """Add the trials of audits to the ledger, once, under the run's name with '.audit'.

    Parameters
    ----------
    ledger : Ledger
        Of the workspace.
    case : Case
        What was audited; without a champion no audit makes such trials.
    results : iterable of AuditResult

    Returns
    -------
    int
        Trials added; an audit that is repeated adds none.

    Raises
    ------
    RunError
        The ledger cannot be written.
    """
    if case.champion is None:
        return 0
    panel = to_panel(case.bars)
    first, stop = case.plan.out_of_sample
    added = 0
    for place, result in enumerate(each for each in results if each.trials):
        entry = LedgerCohort(
            run_id=f"{case.champion.run_id}.audit",
            study=case.study.study.name,
            study_digest=study_digest(case.study),
            data_fingerprint=panel.fingerprint,
            span=Span.of(panel.symbols, panel.timestamps[first], panel.timestamps[stop - 1]),
            cohort=place,
            trials=result.trials,
            bars=stop - first,
            periods_per_year=case.study.data.periods_per_year,
        )
        added += len(result.trials) if ledger.append(entry) else 0
    return added
