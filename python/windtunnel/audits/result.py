"""What an audit answers: whether the study held, in a sentence, with figures and evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from windtunnel.ledger import LedgerTrial

Cell: TypeAlias = str | int | float | bool | None
Row: TypeAlias = Mapping[str, Cell]


@dataclass(frozen=True)
class AuditResult:
    """The outcome of one audit.

    Attributes
    ----------
    name : str
        The audit's name in the registry.
    passed : bool or None
        Whether the pipeline held. None where the audit measures without judging, or could
        not be made: the sentence says which.
    sentence : str
        The outcome in plain words, with its most important figures.
    figures : mapping of str to number
        Undefined figures are None, never NaN.
    evidence : tuple of rows
        A table with the same columns in each row: what was compared, or what was found.
    trials : tuple of LedgerTrial
        Trials that the audit made on the study's own bars. They count as any other: whoever
        runs the audit adds them to the ledger.
    """

    name: str
    passed: bool | None
    sentence: str
    figures: Mapping[str, float | int | None] = field(default_factory=dict)
    evidence: tuple[Row, ...] = ()
    trials: tuple[LedgerTrial, ...] = ()

    @property
    def word(self) -> str:
        """'passed', 'FAILED' or 'measured', as shown beside the name."""
        if self.passed is None:
            return "measured" if self.figures else "not made"
        return "passed" if self.passed else "FAILED"

    def as_json(self) -> dict[str, Any]:
        """The outcome as JSON values; the ledger's trials are left out."""
        return {
            "name": self.name,
            "passed": self.passed,
            "outcome": self.word,
            "sentence": self.sentence,
            "figures": {name: number(value) for name, value in self.figures.items()},
            "evidence": [
                {name: cell(value) for name, value in row.items()} for row in self.evidence
            ],
        }


def number(value: float | int | None) -> float | int | None:
    """A figure as JSON knows it: None where it is not finite."""
    if value is None or isinstance(value, int):
        return value
    return float(value) if math.isfinite(value) else None


def cell(value: Cell) -> Cell:
    """A cell as JSON knows it."""
    return number(value) if isinstance(value, float) else value


def not_made(name: str, reason: str) -> AuditResult:
    """The outcome of an audit that could not be made."""
    return AuditResult(name, None, f"Not made: {reason}.")
