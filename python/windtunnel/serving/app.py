"""The FastAPI application of the prediction service."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from pydantic_core import to_json
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from windtunnel.deployment.registry import Registry, as_record
from windtunnel.events import EventBus
from windtunnel.monitoring.prometheus import CONTENT_TYPE, PrometheusObserver
from windtunnel.serving import apart, schemas
from windtunnel.serving.admin import admin_router
from windtunnel.serving.body_limit import BodyLimit
from windtunnel.serving.endpoint import PredictEndpoint
from windtunnel.serving.faults import answer_errors
from windtunnel.serving.follow import Follower
from windtunnel.serving.gate import Gate
from windtunnel.serving.headers import SafeHeaders
from windtunnel.serving.long_answers import LongAnswers
from windtunnel.serving.outcomes import Decided, outcomes_router
from windtunnel.serving.page import page
from windtunnel.serving.service import Service
from windtunnel.serving.settings import Settings
from windtunnel.serving.shadow import Shadows
from windtunnel.serving.status import Status
from windtunnel.serving.stream import StreamEndpoint
from windtunnel.serving.telling import Teller
from windtunnel.serving.trial import CanaryTrial

log = logging.getLogger(__name__)


def create_app(
    registry: str | Path,
    name: str | None = None,
    alias: str = "champion",
    *,
    bus: EventBus | None = None,
    settings: Settings | None = None,
) -> Application:
    """Build the service over a registry.

    The model is loaded, replayed and warmed in the background once the application starts;
    until then ``/readyz`` and predictions answer 503.

    Parameters
    ----------
    registry : path
        Directory of the registry.
    name : str, optional
        Model to serve; may be left out when the registry holds one.
    alias : str
        Alias of the version to serve, or its number.
    bus : EventBus, optional
        Where `PredictionServed`, `PredictionRefused` and the other events of
        `windtunnel.events` go; metrics subscribe to it.
    settings : Settings, optional
        Limits, tokens and habits.
    """
    settings = Settings() if settings is None else settings
    bus = EventBus() if bus is None else bus
    metrics = PrometheusObserver(bus=bus)
    bus.subscribe(metrics, *PrometheusObserver.kinds)
    # What admin verbs let in is replayed in a process of its own.
    service = Service(
        Registry(registry, certify=apart.verify, bus=bus), name, alias, bus, exact=settings.exact
    )
    follower = Follower(service)
    gate = Gate(settings)
    shadows = Shadows(bus)
    teller = Teller(bus)
    metrics.watch(teller)
    metrics.watch(shadows)
    long_answers = LongAnswers(service, settings.answer_seconds)
    predict = PredictEndpoint(service, settings, gate, shadows, teller, long_answers)

    status, decided, trial = _listen(bus, service, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        ended = threading.Event()
        threads = [
            threading.Thread(target=follower.run, args=(settings.reload_seconds, ended)),
        ]
        if trial is not None:
            arguments = (trial, follower, teller, settings.judge_seconds, ended)
            threads.append(threading.Thread(target=_judge, args=arguments))
        for thread in threads:
            thread.start()
        yield
        ended.set()
        follower.nudge()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        shadows.close()
        await asyncio.to_thread(teller.close)

    app = Application(
        title="Windtunnel",
        version="1",
        description="Scores and target exposures of a tested model, with the study's own kernels.",
        lifespan=lifespan,
        # Their pages run scripts from elsewhere, which an origin with admin verbs must not.
        docs_url=None,
        redoc_url=None,
    )
    app.predict = predict
    app.state.service = service
    app.state.settings = settings
    app.state.follower = follower
    app.state.trial = trial
    app.openapi = lambda: schemas.describe(app)  # type: ignore[method-assign]
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes)
    app.add_middleware(SafeHeaders, name=gate.name, closing=lambda: service.draining)
    answer_errors(app)
    app.include_router(admin_router(service, follower, gate))
    app.include_router(outcomes_router(service, gate, decided, teller))
    _add_routes(app, service, metrics, predict, teller)
    stream = StreamEndpoint(service, settings, gate, shadows, teller, long_answers)
    app.router.routes.append(WebSocketRoute("/v1/stream", stream.serve))

    @app.get("/v1/status", response_model=schemas.Status)
    async def now() -> Response:
        """What the service is doing: versions, shares, rates, latency, alerts, last events."""
        teller.flush()
        ruling = None if trial is None or trial.last is None else trial.last.why
        busy = {"under_way": gate.under_way, "streams": stream.open}
        standing = {**_standing(service), "ruling": ruling, "watched": _is_watched(bus)}
        body = {**status.snapshot(), **standing, **busy}
        return Response(to_json(body), media_type="application/json")

    return app


def _listen(
    bus: EventBus, service: Service, settings: Settings
) -> tuple[Status, Decided, CanaryTrial | None]:
    """The service's own observers of its events."""
    status, decided = Status(), Decided(bus)
    bus.subscribe(status, *Status.kinds)
    bus.subscribe(decided, *Decided.kinds)
    if settings.judge is None:
        return status, decided, None
    trial = CanaryTrial(service, settings.judge)
    bus.subscribe(trial, *CanaryTrial.kinds)
    return status, decided, trial


def _judge(
    trial: CanaryTrial, follower: Follower, teller: Teller, seconds: float, ended: threading.Event
) -> None:
    """Ask the judge now and then; whatever it changes is taken up at once."""
    while not ended.wait(seconds):
        try:
            teller.flush()
            if trial.rule() is not None:
                follower.nudge()
        except Exception:
            log.exception("the judge of the canary failed")


class Application(FastAPI):
    """An application whose predictions go straight to their endpoint, past every layer."""

    predict: PredictEndpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if (
            scope["type"] == "http"
            and scope["path"] == schemas.PREDICT
            and scope["method"] == "POST"
        ):
            await self.predict(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _add_routes(
    app: FastAPI,
    service: Service,
    metrics: PrometheusObserver,
    predict: PredictEndpoint,
    teller: Teller,
) -> None:
    @app.post(
        schemas.PREDICT,
        response_model=schemas.DecisionsAnswer | schemas.ScoresAnswer,
        responses=schemas.REFUSALS,
    )
    async def predictions(request: Request) -> Response:
        """Scores and target exposures for bars, or scores for features."""
        # Reached where a path prefix of a proxy keeps `Application` from knowing the path.
        reply = await predict.respond(request.scope, request.receive)
        response = Response(reply.body, reply.status)
        response.raw_headers = reply.headers
        return response

    @app.get("/v1/models", response_model=schemas.Models)
    def models() -> Response:
        """Models, versions and aliases of the registry, and the version that serves."""
        return Response(to_json(_models(service)), media_type="application/json")

    @app.get("/healthz", response_model=schemas.Health)
    async def healthz() -> Response:
        """Whether the process answers at all."""
        return Response(b'{"status":"alive"}', media_type="application/json")

    @app.get("/readyz", response_model=schemas.Ready, responses={503: {"model": schemas.Problem}})
    async def readyz() -> Response:
        """Whether predictions are answered: the version is loaded, replayed and warm."""
        predictor = service.ready(for_long=True).champion
        body = {
            "status": "ready",
            "model": predictor.bundle.manifest.name,
            "version": predictor.version,
        }
        return Response(to_json(body), media_type="application/json")

    @app.get("/", include_in_schema=False)
    async def live() -> Response:
        return page()

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def scrape() -> Response:
        """Prometheus metrics."""
        teller.flush()
        return Response(metrics.exposition(), headers={"content-type": CONTENT_TYPE})


def _standing(service: Service) -> dict[str, Any]:
    """Who serves, for the page; why something failed is for the log alone."""
    routes = service.routes
    state = None if routes is None else routes.state
    share = None if routes is None else routes.share
    return {
        "model": service.model,
        "ready": routes is not None,
        "draining": service.draining,
        "failure": service.failure is not None,
        "champion": None if routes is None else routes.champion.version,
        "canary": None if routes is None or routes.canary is None else routes.canary.version,
        "weight": None if share is None else share.weight,
        "mode": None if share is None else share.mode,
        "previous": None if state is None else state.previous,
        "generation": None if state is None else state.generation,
    }


def _is_watched(bus: EventBus) -> bool:
    """Whether a monitor is there to raise alerts, behind a queue or not."""
    observers = (getattr(each, "observer", each) for each in bus.observers())
    return any(getattr(each, "raises_alerts", False) for each in observers)


def _models(service: Service) -> dict[str, Any]:
    registry, routes = service.registry, service.routes
    serving = {} if routes is None else {service.model: routes.champion.version}
    return {
        "models": [
            {
                "name": name,
                "versions": [as_record(version) for version in registry.versions(name)],
                "aliases": registry.state(name).aliases,
                "serving": serving.get(name),
            }
            for name in registry.names()
        ]
    }
