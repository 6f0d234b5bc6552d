"""Keeps what the service answers with what the registry says, and never with less.

A change is taken up by verifying the new version in a process of its own, loading and
warming it beside the one that serves, and replacing one reference. Whatever fails on the
way leaves the service as it was.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from windtunnel.deployment.reader import Version
from windtunnel.deployment.state import State
from windtunnel.events import RoutesChanged, VersionRefused
from windtunnel.serving import apart
from windtunnel.serving.predictor import Predictor
from windtunnel.serving.routing import Routes
from windtunnel.serving.service import Service, open_predictor
from windtunnel.serving.start import uncollected

log = logging.getLogger(__name__)

_RETRY_SECONDS = 60.0  # a version that was refused is tried again, in case its disk was


class Follower:
    """Takes up changes of the registry for a service.

    Safe to call from several threads; one look is at work at a time.

    Parameters
    ----------
    service : Service
    verify : callable
        Called with path, model and version before a new version is loaded into a service
        that already answers; raises what is wrong with it.
    """

    def __init__(self, service: Service, verify: Callable[..., None] = apart.require) -> None:
        self._service = service
        self._verify = verify
        self._lock = threading.Lock()
        self._nudged = threading.Event()
        self._seen: State | None = None
        self._open: dict[str, Predictor] = {}
        self._refused: dict[str, tuple[float, Exception]] = {}  # until when, and why
        # What is told as the service's failure: that of the last look goes with the next one,
        # that of a version with the next attempt at it.
        self._outage: Exception | None = None
        self._unfit: Exception | None = None

    def run(self, seconds: float, ended: threading.Event) -> None:
        """Look every `seconds`, and when nudged, until `ended`; 0 waits for nudges alone."""
        if not ended.is_set():
            with uncollected():  # what a service begins with stays
                self.look()
        while not ended.is_set():
            self._nudged.wait(seconds or None)
            self._nudged.clear()
            if not ended.is_set():
                self.look()

    def nudge(self) -> None:
        """Look now rather than in a while."""
        self._nudged.set()

    def look(self, *, again: bool = False) -> bool:
        """Compare with the registry, and take up what has changed.

        Parameters
        ----------
        again : bool
            Also try versions anew that were refused a moment ago.

        Returns
        -------
        bool
            Whether the routes were replaced.
        """
        with self._lock:
            before, self._outage, changed = self._outage, None, False
            try:
                changed = self._look(again=again)
            except Exception as error:  # the service stays as it is
                self._outage = error
                if before is None or again:
                    log.exception("cannot take up what the registry says")
            if before is not None and self._outage is None:
                log.info("the registry can be followed again")
            self._service.failure = self._outage or self._unfit
            return changed

    def _look(self, *, again: bool) -> bool:
        service = self._service
        name = service.settle()
        state = service.registry.state(name, self._seen)
        if again:
            self._refused.clear()
        if state is self._seen and not (again or self._due()):
            return False
        self._unfit = None
        routes = self._routes(name, state)
        self._seen = state
        if routes is None:
            return False
        before, service.routes = service.routes, routes
        self._forget(state, routes)
        if before is None or _roles(before) != _roles(routes):
            share = routes.share
            service.bus.emit(
                RoutesChanged(
                    name,
                    routes.champion.version,
                    None if routes.canary is None else routes.canary.version,
                    0.0 if share is None else share.weight,
                    "" if share is None else share.mode,
                    state.generation,
                )
            )
        return True

    def _routes(self, name: str, state: State) -> Routes | None:
        service = self._service
        version = service.registry.resolve(name, service.alias)
        champion = self._predictor(version)
        if champion is None:
            # The old champion stays, and with it the share that it was compared under.
            return None
        if service.alias != "champion" or state.canary is None:
            return Routes(champion, state=state)
        canary = self._predictor(service.registry.resolve(name, state.canary.version))
        return Routes(champion, canary, None if canary is None else state.canary, state)

    def _predictor(self, version: Version) -> Predictor | None:
        """The version, loaded and warm; None when it is unfit, which is told once."""
        found = self._open.get(version.digest)
        if found is not None:
            return found
        until, why = self._refused.get(version.digest, (0.0, None))
        if until > time.monotonic():
            self._unfit = why
            return None
        service = self._service
        begin = time.perf_counter()
        try:
            if service.routes is not None:
                path = service.registry.local(version)
                self._verify(path, version.name, version.version)
            predictor = open_predictor(
                service.registry, version.name, version.version, exact=service.exact
            )
        except Exception as error:  # whatever it is: the version is not fit to serve
            log.exception("version %d of %s is not taken up", version.version, version.name)
            self._refused[version.digest] = time.monotonic() + _RETRY_SECONDS, error
            self._unfit = error
            service.bus.emit(VersionRefused(version.name, version.version, str(error)[:300]))
            return None
        seconds = time.perf_counter() - begin
        log.info("version %d of %s is ready after %.1f s", version.version, version.name, seconds)
        self._open[version.digest] = predictor
        return predictor

    def _due(self) -> bool:
        now = time.monotonic()
        return any(until <= now for until, _ in self._refused.values())

    def _forget(self, state: State, routes: Routes) -> None:
        """Keep what serves and the previous champion, so that a rollback takes no time."""
        kept = {routes.champion.version, state.previous, state.champion}
        if routes.canary is not None:
            kept.add(routes.canary.version)
        self._open = {d: p for d, p in self._open.items() if p.version in kept}
        now = time.monotonic()
        self._refused = {d: entry for d, entry in self._refused.items() if entry[0] > now}


def _roles(routes: Routes) -> tuple[object, ...]:
    canary = None if routes.canary is None else routes.canary.version
    return routes.champion.version, canary, routes.share
