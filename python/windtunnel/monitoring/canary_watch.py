"""Watching a canary until it is decided: inside a service by its events, or from outside.

Both keep a judge for the canary that runs now and begin a new one when another starts. The
counts of several services can be judged together from outside, by scraping their metrics; a
watch inside each of several services needs `Terms.judges` set to their number.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from windtunnel.deployment.registry import Registry
from windtunnel.deployment.state import State
from windtunnel.errors import RegistryError
from windtunnel.events import AnswersCompared, Event, PredictionFailed, PredictionServed
from windtunnel.monitoring.canary_action import act
from windtunnel.monitoring.canary_judge import SIDES, CanaryJudge, Ruling, Tally, Terms
from windtunnel.monitoring.scraping import Scraper

log = logging.getLogger(__name__)


class CanaryWatch:
    """An observer that judges the canary of one model and acts on the registry.

    Call it with events from any thread, and `look` from time to time: it polls the registry,
    rules and acts. Between looks an event costs a few additions.

    Parameters
    ----------
    registry : Registry
    name : str
        Model.
    terms : Terms
        Decisions are compared when the canary runs in shadow mode, whatever the terms say.
    """

    kinds = (PredictionServed, PredictionFailed, AnswersCompared)

    def __init__(self, registry: Registry, name: str, terms: Terms | None = None) -> None:
        self._registry = registry
        self._name = name
        self._terms = terms or Terms()
        self._lock = threading.Lock()
        self._state = registry.state(name)
        self._judge = _judge(self._state, self._terms, None)

    @property
    def state(self) -> State:
        """The registry's state as of the last look."""
        return self._state

    def __call__(self, event: Event) -> None:
        """Take note of one event; those of other models and versions are passed over."""
        with self._lock:
            side = None if self._judge is None else self._side(event)
            if self._judge is None or getattr(event, "model", None) != self._name:
                return
            if isinstance(event, PredictionServed) and side:
                self._judge.answered(side, event.seconds)
            elif isinstance(event, PredictionFailed) and side:
                self._judge.failed(side)
            elif isinstance(event, AnswersCompared) and self._pair(event):
                self._judge.compared(1, int(event.differs))

    def counted(self, side: str, tally: Tally) -> None:
        """Answers counted elsewhere."""
        with self._lock:
            if self._judge is not None:
                self._judge.counted(side, tally)

    def compared(self, requests: int, differing: int) -> None:
        """Comparisons counted elsewhere."""
        with self._lock:
            if self._judge is not None:
                self._judge.compared(requests, differing)

    def look(self) -> Ruling | None:
        """Rule on the canary and act on the ruling; None while there is no canary.

        A registry that cannot be reached, or has moved on, leaves things as they are until
        the next look.
        """
        try:
            state = self._registry.state(self._name, self._state)
            with self._lock:
                if state.generation != self._state.generation:
                    self._judge = _judge(state, self._terms, self._judge, self._state)
                    self._state = state
                if self._judge is None:
                    return None
                ruling = self._judge.rule()
            after = act(self._registry, state, ruling)
        except RegistryError as error:
            log.warning("the canary of %s is not judged now: %s", self._name, error)
            return None
        if after is not state:
            log.info("canary of %s: %s. %s", self._name, ruling.decision, ruling.why)
            with self._lock:
                self._judge, self._state = None, after
        return ruling

    def _side(self, event: Event) -> str | None:
        version = getattr(event, "version", None)
        versions = (self._state.champion, self._state.canary and self._state.canary.version)
        return dict(zip(versions, SIDES, strict=True)).get(version)

    def _pair(self, event: AnswersCompared) -> bool:
        canary = self._state.canary
        return (event.champion, event.canary) == (
            self._state.champion,
            None if canary is None else canary.version,
        )


def _judge(
    state: State, terms: Terms, running: CanaryJudge | None, before: State | None = None
) -> CanaryJudge | None:
    """The judge of the canary of `state`: the running one while the trial is the same."""
    canary = state.canary
    if canary is None:
        return None
    same = (
        before is not None
        and before.canary is not None
        and (before.canary.salt, before.canary.mode) == (canary.salt, canary.mode)
    )
    if running is not None and same:
        return running  # only its weight has changed
    return CanaryJudge(replace(terms, compare_decisions=canary.mode == "shadow"))


def watch(
    registry: Registry,
    name: str,
    terms: Terms,
    sources: Mapping[str, Callable[[], str]],
    *,
    pause: Callable[[], None],
    tell: Callable[[Ruling], None],
) -> Ruling | None:
    """Judge the canary from the metrics of services until it is decided.

    Parameters
    ----------
    sources : mapping
        Name of a service to a function that gives its exposition; one that raises OSError is
        left out of that look.
    pause : callable
        Waits until the next look.
    tell : callable
        Is told each ruling.

    Returns
    -------
    Ruling or None
        The last one; None when there is no canary, or somebody else ended it.
    """
    watching = CanaryWatch(registry, name, terms)
    scraper = Scraper(name, terms.late_seconds)
    while watching.state.canary is not None:
        for source, read in sources.items():
            try:
                exposition = read()
            except OSError as error:
                log.warning("metrics of %s cannot be read: %s", source, error)
                continue
            for what, counts in scraper.since(source, exposition, watching.state).items():
                if what == "compared":
                    watching.compared(*counts[:2])
                else:
                    watching.counted(what, Tally(*counts))
        ruling = watching.look()
        if ruling is not None:
            tell(ruling)
            if watching.state.canary is None:
                return ruling
        pause()
    return None
