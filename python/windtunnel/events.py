"""What happened, as small frozen records, and the bus that carries them to observers.

The study emits progress, the service emits predictions; neither knows who listens. An
observer that fails is reported once through `logging` and never disturbs the emitter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True)
class StageStarted(Event):
    """A stage of the study began, for example ``features`` or ``tune``."""

    stage: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TuningStarted(Event):
    """Trials begin; `trials_done` of them were finished by an earlier attempt."""

    trials_done: int
    trials_total: int


@dataclass(frozen=True, slots=True)
class CohortFinished(Event):
    """A cohort was trained, backtested and told to the strategy.

    `trials_here` counts those of this attempt, without what an earlier one left on disk.
    `seconds` is the wall time of the cohort, compile time included; `best` the best
    objective over all cohorts so far (NaN while none succeeded).
    """

    cohort: int
    trials_done: int
    trials_here: int
    trials_total: int
    failed: int
    best: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something a user should know, in plain words."""

    message: str


@dataclass(frozen=True, slots=True)
class StudyFinished(Event):
    """The study ended; `run` is its directory."""

    run: str
    verdict: str


@dataclass(frozen=True, slots=True)
class PredictionServed(Event):
    """The service answered a prediction. `seconds` is the time inside the handler."""

    model: str
    version: int
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PredictionRefused(Event):
    """The service refused a request as unusable."""

    model: str
    reason: str


Observer: TypeAlias = Callable[[Event], None]


@dataclass(slots=True)
class EventBus:
    """Carries events to observers, in the order in which they subscribed."""

    observers: list[Observer] = field(default_factory=list)
    _complained: set[int] = field(default_factory=set)

    def subscribe(self, observer: Observer) -> None:
        """Add an observer; it sees every later event."""
        self.observers.append(observer)

    def emit(self, event: Event) -> None:
        """Hand `event` to every observer; one that raises is logged once and kept."""
        for observer in self.observers:
            try:
                observer(event)
            except Exception:
                if id(observer) not in self._complained:
                    self._complained.add(id(observer))
                    log.exception("observer %r failed on %r", observer, event)
