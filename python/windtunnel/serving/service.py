"""What the service holds: the version that answers, or the reason why none does yet."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from windtunnel.deployment.registry import Registry
from windtunnel.deployment.replay import replay
from windtunnel.errors import BundleError, RegistryError
from windtunnel.events import EventBus, PredictionRefused
from windtunnel.serving.predictor import Predictor
from windtunnel.serving.refusal import Refusal

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Service:
    """One alias of one model.

    `active` is replaced as a whole, by a predictor that has been checked and is warm;
    a request reads it once, so that it is answered by one version from start to end.
    """

    registry: Registry
    name: str | None
    alias: str
    bus: EventBus
    active: Predictor | None = None
    failure: Exception | None = None

    def load(self) -> None:
        """Load what the alias points at, replay it, warm it, and only then let it answer."""
        try:
            self.active = open_predictor(self.registry, self.name, self.alias)
        except Exception as error:  # the process stays, to say that it is not ready
            self.failure = error
            log.exception("cannot serve %s", self.name or "the registry's model")

    def ready(self) -> Predictor:
        """The predictor that answers now; a Refusal with status 503 when there is none."""
        if self.active is not None:
            return self.active
        if self.failure is not None:
            raise Refusal(
                "not_ready",
                None,
                None,
                "the model could not be loaded",
                "See the service's log",
                status=503,
            )
        raise Refusal(
            "not_ready",
            None,
            None,
            "the model is being loaded",
            "Try again in a second",
            status=503,
        )

    def note_refusal(self, refusal: Refusal) -> None:
        """Tell observers of a refusal."""
        name = self.active.bundle.manifest.name if self.active else self.name or ""
        self.bus.emit(PredictionRefused(name, refusal.reason))


def sole_name(registry: Registry, name: str | None) -> str:
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
            "Name one" if names else "Finish a study first, or give the registry's path",
        )
    return names[0]


def open_predictor(registry: Registry, name: str | None, alias: str) -> Predictor:
    """Load, replay and warm the version behind an alias.

    Raises
    ------
    RegistryError
        There is no such model, version or alias.
    BundleError
        The bundle is damaged, or does not give the study's scores and exposures here.
    """
    version = registry.resolve(sole_name(registry, name), alias)
    bundle = registry.load(version)
    certificate = replay(bundle)
    if not certificate.ok:
        raise BundleError(
            f"version {version.version} of {version.name!r}: {certificate.sentence}",
            "Export it again with the versions installed here",
        )
    predictor = Predictor(bundle, version.version)
    predictor.warm()
    log.info("serving %s version %d. %s", version.name, version.version, certificate.sentence)
    return predictor
