"""The project's life by study: which trials there were, and which count for the bars at hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from windtunnel.ledger import Ledger, PastTrials


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


def life(ledger: Ledger, ever: PastTrials) -> tuple[StudyLife, ...]:
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
