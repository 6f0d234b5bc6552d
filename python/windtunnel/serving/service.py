"""What the service holds: the versions that answer, or the reason why none does yet."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from windtunnel.deployment.reader import RegistryReader
from windtunnel.deployment.registry import Registry
from windtunnel.deployment.replay import replay
from windtunnel.errors import BundleError, RegistryError
from windtunnel.events import EventBus, PredictionFailed, PredictionRefused
from windtunnel.serving.predictor import Predictor
from windtunnel.serving.refusal import Refusal
from windtunnel.serving.routing import Routes

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Service:
    """One model of a registry, in service.

    Attributes
    ----------
    name : str or None
        The model; None until `settle` has found the registry's only one.
    routes : Routes or None
        Replaced as a whole, by versions that have been checked and are warm.
    failure : Exception or None
        Why the registry cannot be followed, or a version it names not be loaded; what served
        before goes on serving.
    draining : bool
        The process is about to end: not ready, and clients are asked to go elsewhere.
    exact : bool
        See `windtunnel.serving.predictor.Predictor`.
    """

    registry: Registry
    name: str | None
    alias: str
    bus: EventBus
    routes: Routes | None = None
    failure: Exception | None = None
    draining: bool = False
    exact: bool = False

    def settle(self) -> str:
        """Name of the model; without one given, the only one there is, from then on for good.

        Another study may register a model of its own beside it.

        Raises
        ------
        RegistryError
            No name is given, and the registry holds no model or several.
        """
        if self.name is None:
            self.name = sole_name(self.registry, None)
        return self.name

    def ready(self, *, for_long: bool = False) -> Routes:
        """The routes in force; a Refusal with status 503 when there are none.

        With `for_long`, also when the process is about to end.
        """
        if self.routes is not None and not (for_long and self.draining):
            return self.routes
        problem = "the model is being loaded"
        remedy = "Try again in a second"
        if self.draining:
            problem, remedy = "the service is shutting down", "Ask another instance"
        elif self.failure is not None:
            problem, remedy = "the model could not be loaded", "See the service's log"
        raise Refusal(
            "not_ready", None, None, problem, remedy, status=503, headers={"retry-after": "1"}
        )

    @property
    def model(self) -> str:
        """Name of the model in service, as far as it is known."""
        return self.name or ""

    def note_refusal(self, refusal: Refusal, request_id: str = "") -> None:
        """Tell observers and the log of a refusal."""
        self.bus.emit(PredictionRefused(self.model, refusal.reason))
        log.info(
            "refused",
            extra={
                "request_id": request_id,
                "status": refusal.status,
                "reason": refusal.reason,
                "field": refusal.field,
                "problem": refusal.problem,
            },
        )

    def note_failure(self, version: int) -> None:
        """Tell observers that a version failed on a request."""
        self.bus.emit(PredictionFailed(self.model, version))

    def note_stand_in(self, canary: int, error: Exception, request_id: str = "") -> None:
        """Tell observers and the log of a request that a canary left to the champion."""
        self.note_failure(canary)
        crash = None if isinstance(error, Refusal) else error
        extra = {"request_id": request_id, "version": canary, "problem": str(error)[:300]}
        log.warning("the champion answered for the canary", exc_info=crash, extra=extra)


def sole_name(registry: RegistryReader, name: str | None) -> str:
    """`name`, or the one model there is.

    Raises
    ------
    RegistryError
        No name is given and the registry holds none or several.
    """
    if name is not None:
        return name
    names = registry.names()
    if len(names) != 1:
        found = f"holds {', '.join(names)}" if names else "is empty or does not exist"
        raise RegistryError(
            f"registry {registry.location!r} {found}; one model is served at a time",
            "Name one of them" if names else "Finish a study first, or give the registry's path",
        )
    return names[0]


def open_predictor(
    registry: RegistryReader, name: str | None, which: str | int, *, exact: bool = False
) -> Predictor:
    """Load, replay and warm the version behind an alias or a number.

    Raises
    ------
    RegistryError
        There is no such model, version or alias.
    BundleError
        The bundle is damaged, or does not give the study's scores and exposures here.
    """
    version = registry.resolve(sole_name(registry, name), which)
    bundle = registry.load(version)
    certificate = replay(bundle)
    if not certificate.ok:
        raise BundleError(
            f"version {version.version} of {version.name!r}: {certificate.sentence}",
            "Export it again with the versions installed here",
        )
    predictor = Predictor(bundle, version.version, exact)
    predictor.warm()
    log.info("serving %s version %d. %s", version.name, version.version, certificate.sentence)
    return predictor
