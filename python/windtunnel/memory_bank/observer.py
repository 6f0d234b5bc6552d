"""The memory bank as an observer: events of a model's life become records.

Whoever moves an alias or raises an alert emits an event and need not know the bank::

    bus.subscribe(Remember(MemoryBank("memory_bank")), *Remember.kinds)
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from windtunnel.environment import versions
from windtunnel.events import AlertRaised, AlertResolved, AliasMoved, Event, RetrainDecided
from windtunnel.memory_bank.occurrence import Occurrence

if TYPE_CHECKING:
    from collections.abc import Callable

    from windtunnel.memory_bank.bank import MemoryBank


class Remember:
    """An observer that records aliases moved, alerts and re-studies, and passes over the rest.

    Parameters
    ----------
    bank : MemoryBank
        Created when it is not there.
    clock : callable
        Gives the moment at which an event is recorded.
    """

    kinds: ClassVar[tuple[type[Event], ...]] = (
        AliasMoved,
        AlertRaised,
        AlertResolved,
        RetrainDecided,
    )

    def __init__(
        self, bank: MemoryBank, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.bank = bank
        self._clock = clock

    def __call__(self, event: Event) -> None:
        """Record one event; it is on the disk when this returns.

        Raises
        ------
        MemoryBankError
            The event holds what cannot be kept, or its picture cannot be read.
        """
        occurrence = occurrence_of(event, self._clock())
        if occurrence is not None:
            picture = Path(event.picture) if isinstance(event, AlertRaised) else Path()
            self.bank.record(occurrence, picture=picture if picture.name else None)


def occurrence_of(event: Event, when: datetime) -> Occurrence | None:
    """What the bank keeps of an event; None when it is none of its business."""
    if isinstance(event, AliasMoved):
        return _move(event, when)
    if isinstance(event, AlertRaised | AlertResolved):
        return _alert(event, when)
    if isinstance(event, RetrainDecided):
        return Occurrence(
            kind="retraining",
            happened=when,
            headline=f"{event.model} is studied again"
            if event.begins
            else f"Studying {event.model} again was refused",
            text=event.why,
            ids={"model": event.model},
            versions=dict(versions()),
        )
    return None


def _move(event: AliasMoved, when: datetime) -> Occurrence:
    back = event.rolled_back or event.version is None
    if event.version is None:
        headline = f"{event.model} has no {event.alias} any more"
    elif back:
        headline = f"{event.model} was rolled back to version {event.version} as {event.alias}"
    else:
        headline = f"{event.model} version {event.version} became {event.alias}"
    return Occurrence(
        kind="rollback" if back else "promotion",
        happened=when,
        headline=headline,
        text=event.why,
        ids={
            "model": event.model,
            "alias": event.alias,
            "version": event.version,
            "previous": event.previous,
            "run": event.run or None,
            "who": event.who or None,
        },
        digests={"manifest": event.digest} if event.digest else {},
        figures=dict(event.figures),
        versions=dict(versions()),
    )


def _alert(event: AlertRaised | AlertResolved, when: datetime) -> Occurrence:
    if isinstance(event, AlertRaised):
        headline = f"{event.severity.capitalize()}: {event.what}"
        text = f"Since {event.since}.\n{event.advice}"
        figures = {"value": event.value, "threshold": event.threshold}
    else:
        headline, figures = f"Resolved: {event.what}", {}
        text = f"It lasted from {event.since} to {event.until}."
    return Occurrence(
        kind="alert",
        happened=when,
        headline=headline,
        text=text,
        ids={"rule": event.rule, "severity": event.severity, "subject": event.subject},
        figures=dict(figures),
        versions=dict(versions()),
    )
