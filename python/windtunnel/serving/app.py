"""The FastAPI application of the prediction service."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from windtunnel.deployment.registry import Registry, as_record
from windtunnel.events import EventBus, PredictionServed
from windtunnel.monitoring.prometheus import CONTENT_TYPE, PrometheusObserver
from windtunnel.serving import schemas, signals
from windtunnel.serving.answer import answer
from windtunnel.serving.body_limit import BodyLimit
from windtunnel.serving.refusal import Refusal
from windtunnel.serving.service import Service, sole_name

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 8 * 2**20
# Longer bodies are answered in a thread, so that they do not hold up short ones.
_LONG_BODY = 16 * 2**10
_THREADS = 2

_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Problem, "description": description}
    for status, description in (
        (413, "The body is too large"),
        (422, "The request is not usable as it is"),
        (503, "No version is loaded yet"),
    )
}


def create_app(
    registry: str | Path,
    name: str | None = None,
    alias: str = "champion",
    *,
    bus: EventBus | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> FastAPI:
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
        Where `PredictionServed` and `PredictionRefused` go; metrics subscribe to it.
    max_body_bytes : int
        Larger bodies are refused with 413.
    """
    metrics = PrometheusObserver()
    bus = EventBus() if bus is None else bus
    bus.subscribe(metrics)
    service = Service(Registry(registry), name, alias, bus)
    limit = asyncio.Semaphore(_THREADS)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(asyncio.to_thread(service.load))
        yield
        await loading

    app = FastAPI(
        title="Windtunnel",
        version="1",
        description="Scores and target exposures of a tested model, with the study's own kernels.",
        lifespan=lifespan,
    )
    app.state.service = service
    app.openapi = lambda: schemas.describe(app)  # type: ignore[method-assign]
    app.add_middleware(BodyLimit, limit=max_body_bytes, note=service.note_refusal)
    _answer_errors(app, service)

    @app.post(
        schemas.PREDICT,
        response_model=schemas.DecisionsAnswer | schemas.ScoresAnswer,
        responses=_REFUSALS,
    )
    async def predict(request: Request) -> Response:
        """Scores and target exposures for bars, or scores for features."""
        start = time.perf_counter()
        predictor = service.ready()
        body = await request.body()
        if len(body) <= _LONG_BODY:
            reply, rows = answer(predictor, body)
        else:
            async with limit:
                reply, rows = await asyncio.to_thread(answer, predictor, body)
        seconds = time.perf_counter() - start
        model = predictor.bundle.manifest.name
        bus.emit(PredictionServed(model, predictor.version, rows, seconds))
        return Response(reply, media_type="application/json")

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
        predictor = service.ready()
        body = {
            "status": "ready",
            "model": predictor.bundle.manifest.name,
            "version": predictor.version,
        }
        return Response(to_json(body), media_type="application/json")

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def scrape() -> Response:
        """Prometheus metrics."""
        return Response(metrics.exposition(), headers={"content-type": CONTENT_TYPE})

    return app


def serve(
    registry: str | Path,
    name: str | None = None,
    alias: str = "champion",
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
    drain_seconds: int = 30,
    access_log: bool = False,
    log_level: str = "info",
) -> None:
    """Serve the version behind an alias over HTTP; returns after SIGTERM or SIGINT.

    On a signal the port closes at once and requests under way are answered to their end,
    for at most `drain_seconds`.

    Parameters
    ----------
    registry, name, alias, max_body_bytes
        See `create_app`.
    host, port
        Where to listen; port 0 takes a free one.
    access_log : bool
        A line a request; costs about as much as a prediction.

    Raises
    ------
    RegistryError, BundleError
        There is nothing to serve: found before the port opens.
    """
    store = Registry(registry)
    store.resolve(sole_name(store, name), alias)
    config = uvicorn.Config(
        create_app(registry, name, alias, max_body_bytes=max_body_bytes),
        host=host,
        port=port,
        access_log=access_log,
        log_level=log_level,
        server_header=False,
        timeout_graceful_shutdown=drain_seconds,
    )
    with signals.end_quietly():
        uvicorn.Server(config).run()


def _answer_errors(app: FastAPI, service: Service) -> None:
    """Every error leaves in the shape of `schemas.Problem`, none with a stack trace."""

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> Response:
        if request.url.path == schemas.PREDICT:
            service.note_refusal(error)
        return error.response()

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        remedy = "The paths are listed in /openapi.json"
        path = request.url.path
        return Refusal(
            "http", "path", path, str(error.detail), remedy, status=error.status_code
        ).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        remedy = "The parameters are listed in /openapi.json"
        return Refusal("parameter", field, first.get("input"), first["msg"], remedy).response()

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        log.error("a request failed", exc_info=error)
        problem = "the service failed on this request"
        remedy = "See the service's log"
        return Refusal("internal", None, None, problem, remedy, status=500).response()


def _models(service: Service) -> dict[str, object]:
    registry, active = service.registry, service.active
    return {
        "models": [
            {
                "name": name,
                "versions": [as_record(version) for version in registry.versions(name)],
                "aliases": registry.state(name).aliases,
                "serving": active.version
                if active is not None and active.bundle.manifest.name == name
                else None,
            }
            for name in registry.names()
        ]
    }
