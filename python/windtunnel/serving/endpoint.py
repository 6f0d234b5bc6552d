"""The prediction endpoint as plain ASGI: what it adds to the model takes microseconds.

A route of FastAPI costs several times what a small model does. This endpoint is called by
the application before its router, and does by hand what the framework would: it reads the
body within its limit, asks the gate, and answers errors in the application's shape.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from windtunnel.events import PredictionServed, RowsScored
from windtunnel.serving import answer
from windtunnel.serving.answer import Answer
from windtunnel.serving.batching import Batcher
from windtunnel.serving.features import FLOAT32, read_features, read_float32
from windtunnel.serving.gate import Gate
from windtunnel.serving.headers import ANSWER_HEADERS
from windtunnel.serving.predictor import Predictor, Scored
from windtunnel.serving.refusal import Refusal
from windtunnel.serving.reply import Reply, internal_error, problem, too_large
from windtunnel.serving.service import Service
from windtunnel.serving.settings import Settings
from windtunnel.serving.shadow import Shadows

log = logging.getLogger(__name__)

# Longer bodies are answered in a thread, so that they do not hold up short ones.
_LONG_JSON = 16 * 2**10
_LONG_BINARY = 128 * 2**10
_THREADS = 2
_BINARY = FLOAT32.encode()
STICKY_KEY = b"x-sticky-key"


class ClientGone(Exception):  # noqa: N818 - nobody is left to be told of an error
    """The client closed the connection before its request was whole."""


class PredictEndpoint:
    """Answers ``POST /v1/predict``.

    Parameters
    ----------
    service : Service
        Says which version answers, and carries events.
    settings : Settings
    gate : Gate
    shadows : Shadows
    """

    def __init__(self, service: Service, settings: Settings, gate: Gate, shadows: Shadows) -> None:
        self._service = service
        self._settings = settings
        self._gate = gate
        self._shadows = shadows
        self._limit = settings.max_body_bytes
        self._batcher = Batcher() if settings.micro_batching else None
        self._threads = asyncio.Semaphore(_THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            status, headers, body = await self.respond(scope, receive)
        except ClientGone:
            return
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def respond(self, scope: Scope, receive: Receive) -> Reply:
        """The answer, errors included; raises nothing but `ClientGone`."""
        start = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        gate = self._gate
        request_id = gate.name(headers.get(b"x-request-id"))
        try:
            if gate.asks:
                client = scope["client"]
                gate.check(headers, client[0] if client else "", "predict")
            gate.enter()
            try:
                reply = await self._answer(headers, receive, start, request_id)
            finally:
                gate.under_way -= 1
        except Refusal as refusal:
            self._service.note_refusal(refusal, request_id)
            reply = problem(refusal, request_id)
        except ClientGone:
            raise
        except Exception:
            log.exception("a prediction failed", extra={"request_id": request_id})
            reply = problem(internal_error(), request_id)
        if self._settings.access_log:
            seconds = round(time.perf_counter() - start, 6)
            extra = {"request_id": request_id, "status": reply.status, "seconds": seconds}
            log.info("answered", extra=extra)
        if self._service.draining:
            reply.headers.append((b"connection", b"close"))
        return reply

    async def _answer(
        self, headers: dict[bytes, bytes], receive: Receive, start: float, request_id: str
    ) -> Reply:
        routes = self._service.routes or self._service.ready()
        predictor = routes.champion
        if routes.canary is not None:
            predictor = routes.pick(headers.get(STICKY_KEY))
        body = await self._read(headers, receive)
        kind = headers.get(b"content-type")
        binary = kind is not None and kind.startswith(_BINARY)
        try:
            if binary and self._batcher is None and len(body) <= _LONG_BINARY:
                rows = read_float32(body, predictor.row_names)
                scores = predictor.score(rows)
                given = Answer(scores.tobytes(), Scored(rows, scores))
            else:
                given = await self._predict(predictor, body, binary)
        except Refusal:
            raise
        except Exception:
            self._service.note_failure(predictor.version)
            raise
        seconds = time.perf_counter() - start
        self.tell(predictor, given.scored, seconds)
        if routes.canary is not None:
            shadow = routes.shadow(headers.get(STICKY_KEY))
            if shadow is not None:
                self._shadows.submit(predictor, shadow, given, seconds)
        content = given.content
        return Reply(
            200,
            [
                (b"content-type", _BINARY if binary else b"application/json"),
                (b"content-length", b"%d" % len(content)),
                (b"x-request-id", request_id.encode()),
                (b"x-model-version", b"%d" % predictor.version),
                *ANSWER_HEADERS,
            ],
            content,
        )

    async def _predict(self, predictor: Predictor, body: bytes, binary: bool) -> Answer:
        if len(body) > (_LONG_BINARY if binary else _LONG_JSON):
            return await self._in_thread(predictor, body, binary)
        batcher = self._batcher
        if binary:
            rows = read_float32(body, predictor.row_names)
            scores = predictor.score(rows) if not batcher else await batcher.score(predictor, rows)
            return Answer(scores.tobytes(), Scored(rows, scores))
        request = answer.parse(body)
        if "features" not in request:
            age = self._settings.max_age_seconds
            return answer.answer_bars(predictor, request, max_age_seconds=age)
        rows = read_features(request["features"], predictor.row_names)
        scores = predictor.score(rows) if not batcher else await batcher.score(predictor, rows)
        return Answer(answer.scores_reply(predictor, scores), Scored(rows, scores))

    def tell(self, predictor: Predictor, scored: Scored, seconds: float) -> None:
        """Tell observers of an answer."""
        model, version = predictor.name, predictor.version
        emit = self._service.bus.emit
        emit(PredictionServed(model, version, len(scored.scores), seconds))
        emit(
            RowsScored(
                model, version, scored.features, scored.scores, scored.timestamps, scored.symbols
            )
        )

    async def _in_thread(self, predictor: Predictor, body: bytes, binary: bool) -> Answer:
        work: Callable[[Predictor, bytes, Settings], Answer]
        work = _long_binary if binary else _long_json
        seconds = self._settings.answer_seconds
        try:
            async with asyncio.timeout(seconds), self._threads:
                return await asyncio.to_thread(work, predictor, body, self._settings)
        except TimeoutError:
            raise Refusal(
                "timeout",
                None,
                None,
                f"computing the answer took more than {seconds:g} s",
                "Send fewer rows, or try again when less is under way",
                status=503,
                headers={"retry-after": "1"},
            ) from None

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        limit = self._limit
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > limit:
            raise too_large(limit)
        parts: list[bytes] = []
        body, more, size = b"", True, 0
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(body)
            if size > limit:
                raise too_large(limit)
            if more or parts:
                parts.append(body)
        return b"".join(parts) if parts else body


def _long_json(predictor: Predictor, body: bytes, settings: Settings) -> Answer:
    request = answer.parse(body)
    if "features" not in request:
        age = settings.max_age_seconds
        return answer.answer_bars(predictor, request, max_age_seconds=age)
    rows = read_features(request["features"], predictor.row_names)
    scores = predictor.score(rows)
    return Answer(answer.scores_reply(predictor, scores), Scored(rows, scores))


def _long_binary(predictor: Predictor, body: bytes, settings: Settings) -> Answer:
    del settings  # no timestamp in it to be stale
    rows = read_float32(body, predictor.row_names)
    scores = predictor.score(rows)
    return Answer(scores.tobytes(), Scored(rows, scores))
