"""A canary on trial: its answers and the champion's go to a judge, whose ruling is done."""

from __future__ import annotations

import logging
import random
import threading
from dataclasses import replace

from windtunnel.deployment.state import State
from windtunnel.errors import RegistryError
from windtunnel.events import Event, PredictionFailed, PredictionServed, ShadowAnswered
from windtunnel.monitoring.canary_action import act
from windtunnel.monitoring.canary_judge import CanaryJudge, Ruling, Tally
from windtunnel.monitoring.canary_terms import Terms
from windtunnel.serving.service import Service

log = logging.getLogger(__name__)


class CanaryTrial:
    """Watches whatever canary the service runs; subscribe it to the bus for its `kinds`.

    A trial begins with a canary and lasts while champion, canary and mode stay: another
    weight goes on with the evidence there is.

    Parameters
    ----------
    service : Service
    terms : Terms
        Decisions are compared in shadow mode alone, whatever `compare_decisions` says.
    """

    prompt = True
    kinds = (PredictionServed, PredictionFailed, ShadowAnswered)

    def __init__(self, service: Service, terms: Terms) -> None:
        self.last: Ruling | None = None
        self._service = service
        self._terms = terms
        self._lock = threading.Lock()  # answers may come from several threads
        self._subject: tuple[int, int, str] | None = None
        self._judge: CanaryJudge | None = None

    def __call__(self, event: Event) -> None:
        """Take note of an answer."""
        routes = self._service.routes
        if routes is None or routes.canary is None or routes.share is None:
            return
        with self._lock:
            subject = (routes.champion.version, routes.canary.version, routes.share.mode)
            if subject != self._subject:
                self._subject, self.last = subject, None
                shadow = routes.share.mode == "shadow"
                self._judge = CanaryJudge(replace(self._terms, compare_decisions=shadow))
            judge = self._judge
            assert judge is not None  # noqa: S101 - made with the subject
            if isinstance(event, ShadowAnswered):
                if (event.champion, event.canary) == subject[:2]:
                    _note_shadow(judge, event)
            elif routes.share.mode == "live" and isinstance(
                event, PredictionServed | PredictionFailed
            ):
                side = {subject[0]: "champion", subject[1]: "canary"}.get(event.version)
                if side is None:  # a version that was under way when another took over
                    return
                if isinstance(event, PredictionServed):
                    judge.answered(side, event.seconds)
                else:
                    judge.failed(side)

    def rule(self) -> State | None:
        """Ask the judge, and do what it says.

        Returns
        -------
        State or None
            What serves from now on, when something was decided.
        """
        routes = self._service.routes
        with self._lock:
            if (
                self._judge is None
                or routes is None
                or routes.canary is None
                or routes.share is None
                or routes.state is None
                or self._subject
                != (routes.champion.version, routes.canary.version, routes.share.mode)
            ):
                return None
            judge, subject = self._judge, self._subject
        # Without the lock: answers are counted meanwhile.
        ruling = judge.rule()
        with self._lock:
            if self._subject == subject:
                self.last = ruling
        if ruling.decision == "wait":
            return None
        log.warning("canary %s: %s", ruling.decision, ruling.why, extra=dict(ruling.figures))
        try:
            return act(self._service.registry, routes.state, ruling)
        except RegistryError as error:  # somebody decided meanwhile
            log.warning("the ruling was not carried out: %s", error)
            return None


def _note_shadow(judge: CanaryJudge, event: ShadowAnswered) -> None:
    # None is late: the champion's time is that of a client, the canary's that of a processor.
    judge.counted("champion", Tally(1))
    judge.counted("canary", Tally(1, failed=int(event.failed)))
    if event.rows and not event.failed:
        # Rows of one request are not independent: a request counts as one, and differs with
        # the chance that one of its decisions, drawn at random, does.
        judge.compared(1, int(random.random() < event.differing))  # noqa: S311 - no secret
