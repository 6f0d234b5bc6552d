"""What sets two experiments apart, field by field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from windtunnel.memory_bank.entry import ExperimentEntry
    from windtunnel.memory_bank.front_matter import Scalar

PLAIN = ("study", "question", "headline", "study_digest", "data_fingerprint", "command")
TABLES = ("figures", "holdout", "champion", "versions", "artifacts")


@dataclass(frozen=True)
class Difference:
    """One field that differs. A field that an entry lacks is None there."""

    table: str
    name: str
    first: Scalar
    second: Scalar

    @property
    def change(self) -> float | None:
        """Second less first, where both are numbers."""
        numbers = (self.first, self.second)
        if any(isinstance(each, bool | str) or each is None for each in numbers):
            return None
        return float(self.second) - float(self.first)  # type: ignore[arg-type]


def differences(first: ExperimentEntry, second: ExperimentEntry) -> list[Difference]:
    """All that differs between two experiments but the moment, in the order of the first's page.

    Fields of the same value are left out; those that only the second has come last in their
    table.
    """
    found = [
        Difference("", name, getattr(first, name), getattr(second, name))
        for name in PLAIN
        if getattr(first, name) != getattr(second, name)
    ]
    for table in TABLES:
        one, other = getattr(first, table), getattr(second, table)
        found += [
            Difference(table, name, one.get(name), other.get(name))
            for name in dict.fromkeys([*one, *other])
            if one.get(name) != other.get(name)
        ]
    return found
