"""What happened, as small frozen records, and the bus that carries them to observers.

The study emits progress, the service emits predictions; neither knows who listens. An
observer that fails is reported once through `logging` and never disturbs the emitter. One
that may be slow or hang belongs behind `windtunnel.monitoring.queued.QueuedObserver`. One with
an attribute `prompt` that is true promises to take a few microseconds and to wait for nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

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
    objective over all cohorts so far (NaN while none succeeded); `survivors` how many of the
    cohort were left after each rung; `asking_seconds` the part of `seconds` in which the
    sampler chose.
    """

    cohort: int
    trials_done: int
    trials_here: int
    trials_total: int
    failed: int
    best: float
    seconds: float
    pruned: int = 0
    survivors: tuple[int, ...] = ()
    asking_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ProgramsCompiled(Event):
    """What the search of this attempt compiled in this process, small programs included.

    `read` programs came from the persistent cache; `seconds` is what both took.
    """

    compiled: int
    read: int
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


@dataclass(frozen=True, slots=True)
class PredictionFailed(Event):
    """A version failed on a request through no fault of the client."""

    model: str
    version: int


@dataclass(frozen=True, slots=True)
class VersionRefused(Event):
    """A version did not come into service: damaged, or it does not replay."""

    model: str
    version: int
    why: str


@dataclass(frozen=True, slots=True)
class RoutesChanged(Event):
    """The service answers with other versions, or in other shares, from now on.

    `canary` is None, `weight` 0 and `mode` empty while nothing is tried.
    """

    model: str
    champion: int
    canary: int | None
    weight: float
    mode: str
    generation: int


@dataclass(frozen=True, slots=True)
class ShadowAnswered(Event):
    """A canary in shadow mode answered what the champion had answered.

    Attributes
    ----------
    rows : int
        Decisions that were compared.
    differing : float
        Share of them in which the two differ; NaN when the canary failed.
    champion_seconds, canary_seconds : float
        Time spent on the answer; the canary's is of its thread alone.
    failed : bool
        The canary gave no answer.
    """

    model: str
    champion: int
    canary: int
    rows: int
    differing: float
    champion_seconds: float
    canary_seconds: float
    failed: bool


@dataclass(frozen=True, slots=True, eq=False)
class RowsScored(Event):
    """Rows went through a model; what drift detectors and the judge of a canary look at.

    The arrays are shared with the answer under way: an observer must not write to them.

    Attributes
    ----------
    features : (R, F) float32
        Raw features in the order of the bundle's manifest.
    scores : (R,) float32
        NaN where the model had no opinion.
    timestamps : (R,) datetime64[us], optional
        The bar of each row; None when features were sent without bars.
    symbols : tuple of R str, optional
        The instrument of each row.
    """

    model: str
    version: int
    features: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    timestamps: npt.NDArray[np.datetime64] | None = None
    symbols: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class OutcomesArrived(Event):
    """What became of R decisions: 0 or 1 for a direction, the scaled return else."""

    model: str
    timestamps: npt.NDArray[np.datetime64]
    symbols: tuple[str, ...]
    outcomes: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OutcomesCounted(Event):
    """What became of the outcomes that a client posted, see `serving.outcomes.Receipt`."""

    model: str
    accepted: int
    duplicate: int
    late: int
    unknown: int


@dataclass(frozen=True, slots=True)
class AccountMarked(Event):
    """An account's simple returns over the bar `at`, live and as the backtest gives them."""

    model: str
    version: int
    at: datetime
    live: float
    backtest: float


@dataclass(frozen=True, slots=True)
class OrderFilled(Event):
    """A fill: `side` is 1 or -1, `expected_price` what the backtest's rule gives before costs."""

    model: str
    version: int
    at: datetime
    symbol: str
    side: int
    price: float
    expected_price: float


@dataclass(frozen=True, slots=True)
class AliasMoved(Event):
    """An alias of the registry points elsewhere: a promotion, a canary, a rollback.

    Attributes
    ----------
    version, previous : int or None
        What the alias stands for from now on, and what it stood for; None is nothing.
    why, who : str
        The reason in a sentence, and the person or rule behind it.
    rolled_back : bool
        Whether `previous` was withdrawn, rather than `version` promoted.
    digest : str
        SHA-256 of the manifest of `version`; empty when the alias was taken away.
    run : str
        The study run behind `version`.
    figures : mapping
        What the move was decided by; undefined figures are None.
    """

    model: str
    alias: str
    version: int | None
    previous: int | None
    why: str
    who: str = ""
    rolled_back: bool = False
    digest: str = ""
    run: str = ""
    figures: Mapping[str, float | int | str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlertRaised(Event):
    """An alert rule fired. `since` is ISO 8601 in UTC; `advice` says what to do about it."""

    rule: str
    severity: str
    subject: str
    what: str
    since: str
    value: float
    threshold: float
    advice: str
    picture: str = ""


@dataclass(frozen=True, slots=True)
class AlertResolved(Event):
    """What an alert complained of has ended."""

    rule: str
    severity: str
    subject: str
    what: str
    since: str
    until: str


@dataclass(frozen=True, slots=True)
class RetrainDecided(Event):
    """A re-study was asked for: it begins, or is refused by budget, frequency or a lock."""

    model: str
    begins: bool
    why: str


Observer: TypeAlias = Callable[[Event], None]
E = TypeVar("E", bound=Event)


class Listeners(NamedTuple):
    """The observers of a kind of event, in the order in which they subscribed."""

    prompt: tuple[Callable[[Any], None], ...]
    others: tuple[Callable[[Any], None], ...]
    all: tuple[Callable[[Any], None], ...]


class EventBus:
    """Carries events to observers, in the order in which they subscribed.

    Safe to use from several threads. Emitting costs a dictionary look-up and the calls. Each
    of the `observers` it is made with sees every kind of event.
    """

    __slots__ = ("_failures", "_lock", "_routes", "_subscriptions")

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._subscriptions: tuple[tuple[Callable[[Any], None], tuple[type[Event], ...]], ...] = ()
        self._routes: dict[type[Event], Listeners] = {}
        self._failures: dict[int, int] = {}
        self._lock = threading.Lock()
        for observer in observers:
            self.subscribe(observer)

    def subscribe(self, observer: Callable[[E], None], *kinds: type[E]) -> Callable[[], None]:
        """Add an observer of the kinds named and their subclasses, of all when none is.

        What is returned takes the subscription back; calling it twice does no harm.
        """
        entry = (observer, kinds or (Event,))
        with self._lock:
            self._subscriptions = (*self._subscriptions, entry)
            self._routes = {}

        def unsubscribe() -> None:
            with self._lock:
                kept = tuple(each for each in self._subscriptions if each is not entry)
                self._subscriptions = kept
                self._routes = {}

        return unsubscribe

    def emit(self, event: Event) -> None:
        """Hand `event` to its observers; whatever one of them raises stays here.

        A failing observer is logged once, counted, and called again with the next event.
        `KeyboardInterrupt` passes: it is the user's, not the observer's.
        """
        self.hand(event, self.listeners(type(event)).all)

    def hand(self, event: Event, observers: Iterable[Callable[[Any], None]]) -> None:
        """Hand `event` to some of its observers, as `emit` does to all."""
        for observer in observers:
            try:
                observer(event)
            except (Exception, SystemExit):  # noqa: BLE001 - whatever an observer does
                self._note_failure(observer, event)

    def listeners(self, kind: type[Event]) -> Listeners:
        """Who listens to events of `kind`; one that nobody wants need not be made."""
        return self._routes.get(kind) or self._route(kind)

    def observers(self) -> list[Callable[[Any], None]]:
        """Everybody who listens, in the order in which they subscribed."""
        return [observer for observer, _ in self._subscriptions]

    def failures(self, observer: Callable[[Any], None]) -> int:
        """How often `observer` has raised."""
        return self._failures.get(id(observer), 0)

    def _route(self, kind: type[Event]) -> Listeners:
        with self._lock:
            every = tuple(each for each, kinds in self._subscriptions if issubclass(kind, kinds))
            prompt = tuple(each for each in every if getattr(each, "prompt", False))
            others = tuple(each for each in every if not getattr(each, "prompt", False))
            found = self._routes[kind] = Listeners(prompt, others, every)
        return found

    def _note_failure(self, observer: Callable[[Any], None], event: Event) -> None:
        with self._lock:
            before = self._failures.get(id(observer), 0)
            self._failures[id(observer)] = before + 1
        if before == 0:
            log.exception("observer %r failed on %s", observer, type(event).__name__)
