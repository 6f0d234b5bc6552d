"""The records behind the indexes: one file each, so that two branches never meet in one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from windtunnel.errors import MemoryBankError
from windtunnel.memory_bank import decision, occurrence, rendering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from windtunnel.memory_bank.decision import Decision
    from windtunnel.memory_bank.entry import ExperimentEntry
    from windtunnel.memory_bank.occurrence import Occurrence

Record = TypeVar("Record")


@dataclass(frozen=True)
class Stored(Generic[Record]):
    """A record's file and what it holds, or why it cannot be trusted."""

    path: Path
    record: Record | None
    problem: str = ""


@dataclass(frozen=True)
class Records:
    """All records of a bank, each kind oldest first."""

    experiments: list[Stored[ExperimentEntry]]
    decisions: list[Stored[Decision]]
    occurrences: list[Stored[Occurrence]]

    @classmethod
    def of(cls, bank: Path) -> Records:
        """Read a bank; what cannot be trusted is there too, with the reason."""
        return cls(experiments(bank), decisions(bank), occurrences(bank))

    def __iter__(self) -> Iterator[Stored[Any]]:
        yield from self.experiments
        yield from self.decisions
        yield from self.occurrences


def experiments(bank: Path) -> list[Stored[ExperimentEntry]]:
    """Read all experiments, oldest first; those that cannot be read come first of all."""
    found = [
        _checked(path, rendering.parse, rendering.body)
        for path in sorted((bank / "experiments").glob("[!.]*.md"))
    ]
    for index, stored in enumerate(found):
        entry = stored.record
        if entry is not None and experiment_name(stored.path) != entry.run_id:
            found[index] = Stored(
                stored.path, None, f"is the page of run {entry.run_id}, under another name"
            )
    return sorted(found, key=_age)


def decisions(bank: Path) -> list[Stored[Decision]]:
    """Read all decisions, oldest first."""
    return [
        _checked(path, decision.parse, decision.body)
        for path in sorted((bank / "decisions").glob("[!.]*.md"))
    ]


def occurrences(bank: Path) -> list[Stored[Occurrence]]:
    """Read all promotions, rollbacks, alerts and re-studies, oldest first."""
    found = []
    for kind, folder in occurrence.FOLDERS.items():
        for path in (bank / folder).glob("[!.]*.md"):
            stored = _checked(path, occurrence.parse, occurrence.body)
            if stored.record is not None and stored.record.kind != kind:
                wrong = f"is the page of a {stored.record.kind}, in the folder {folder}"
                stored = Stored(path, None, wrong)
            found.append(stored)
    # Names begin with the moment.
    return sorted(found, key=lambda stored: (stored.path.name, stored.path.parent.name))


def experiment_name(path: Path) -> str:
    """Return the run that a page belongs to: a run done again differently has a second page."""
    return path.stem.partition(".")[0]


def _age(stored: Stored[ExperimentEntry]) -> tuple[str, str, int]:
    """Order pages by time; of a run that has several of the same second, by their number."""
    name, _, number = stored.path.stem.partition(".")
    created = stored.record.created.isoformat() if stored.record else ""
    return created, name, int(number) if number.isdecimal() else 1


def read_text(path: Path) -> str:
    """Read a page.

    Raises
    ------
    MemoryBankError
        It is not UTF-8.
    """
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise MemoryBankError(f"is not UTF-8 text ({error})", "Restore the page") from None


def _checked(
    path: Path, parse: Callable[[str], Record], body: Callable[[Record], str]
) -> Stored[Record]:
    try:
        text = read_text(path)
        record = parse(text)
    except MemoryBankError as error:
        return Stored(path, None, error.problem)
    # A digest can be computed anew by whoever edits a table; the fields still tell.
    if not text.replace("\r\n", "\n").endswith("\n---\n\n" + body(record)):
        return Stored(path, None, "the text does not say what the fields at its head say")
    return Stored(path, record)
