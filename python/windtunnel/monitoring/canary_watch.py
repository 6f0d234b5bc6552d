"""Watching a canary from outside the services that run it, by the metrics they export.

One judge then sees the answers of all services together; `windtunnel.serving.trial` judges
inside a single one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from http.client import HTTPException

from windtunnel.deployment.registry import Registry
from windtunnel.deployment.state import State
from windtunnel.errors import RegistryError
from windtunnel.monitoring.canary_action import act
from windtunnel.monitoring.canary_judge import CanaryJudge, Ruling
from windtunnel.monitoring.canary_terms import Terms
from windtunnel.monitoring.scraping import Scraper

log = logging.getLogger(__name__)

# Nobody answers, not by HTTP, not with an exposition, or with that of something else.
_UNREADABLE = (OSError, HTTPException, ValueError, KeyError)


class CanaryWatch:
    """The judge of the canary that one model runs now; another canary gets a new one.

    Parameters
    ----------
    registry : Registry
    name : str
        Model.
    terms : Terms
        Decisions are compared when the canary runs in shadow mode, whatever the terms say.
    sources : mapping
        Name of a service to a function that gives its exposition; what cannot be had, or is no
        exposition, is left out of that look.
    """

    def __init__(
        self,
        registry: Registry,
        name: str,
        terms: Terms,
        sources: Mapping[str, Callable[[], str]],
    ) -> None:
        self.state = registry.state(name)
        self._registry = registry
        self._terms = terms
        self._sources = sources
        self._scraper = Scraper(name, terms.late_seconds)
        self._judge = self._new_judge()

    def look(self) -> Ruling | None:
        """Take in what has been answered, rule, and act on the ruling.

        Returns
        -------
        Ruling or None
            None while there is no canary, or the registry cannot be reached; things then stay
            as they are until the next look.
        """
        try:
            state = self._registry.state(self.state.name, self.state)
            if _trial(state) != _trial(self.state):
                self.state = state
                self._judge = self._new_judge()
            self.state = state
            if self._judge is None:
                return None
            self._scrape(self._judge)
            ruling = self._judge.rule()
            self.state = act(self._registry, state, ruling)
        except RegistryError as error:
            log.warning("the canary of %s is not judged now: %s", self.state.name, error)
            return None
        if self.state is not state:
            self._judge = None
            log.info("canary of %s: %s. %s", self.state.name, ruling.decision, ruling.why)
        return ruling

    def _new_judge(self) -> CanaryJudge | None:
        if self.state.canary is None:
            return None
        shadow = self.state.canary.mode == "shadow"
        return CanaryJudge(replace(self._terms, compare_decisions=shadow))

    def _scrape(self, judge: CanaryJudge) -> None:
        for source, read in self._sources.items():
            try:
                since = self._scraper.since(source, read(), self.state)
            except _UNREADABLE as error:
                log.warning("metrics of %s cannot be read: %r", source, error)
                continue
            for side, tally in since.tallies.items():
                judge.counted(side, tally)
            judge.compared(since.compared, since.differing)


def _trial(state: State) -> tuple[str, str] | None:
    """What makes two trials one: weight and sticky keys may change, canary and mode not."""
    return None if state.canary is None else (state.canary.salt, state.canary.mode)


def watch(
    watching: CanaryWatch, *, pause: Callable[[], None], tell: Callable[[Ruling], None]
) -> Ruling | None:
    """Look until the canary is decided.

    Parameters
    ----------
    pause : callable
        Waits until the next look.
    tell : callable
        Is told each ruling.

    Returns
    -------
    Ruling or None
        The one that ended the canary; None when there is none, or somebody else ended it.
    """
    while watching.state.canary is not None:
        ruling = watching.look()
        if ruling is not None:
            tell(ruling)
        if watching.state.canary is None:
            return ruling
        pause()
    return None
