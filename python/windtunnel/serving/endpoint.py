"""The prediction endpoint as plain ASGI: what it adds to the model takes microseconds.

A route of FastAPI costs several times what a small model does. This endpoint is called by
the application before its router, and does by hand what the framework would: it reads the
body within its limits, asks the gate, and answers errors in the application's shape.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from starlette.types import Receive, Scope, Send

from windtunnel.data.panel import Float32Array
from windtunnel.events import PredictionServed, RowsScored
from windtunnel.serving import answer
from windtunnel.serving.batching import Batcher
from windtunnel.serving.features import FLOAT32, read_features, read_float32
from windtunnel.serving.gate import Gate
from windtunnel.serving.headers import ANSWER_HEADERS, PROBLEM_HEADERS
from windtunnel.serving.predictor import Predictor, Scored
from windtunnel.serving.refusal import Refusal
from windtunnel.serving.service import Service
from windtunnel.serving.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")

# Longer JSON bodies are answered in a thread, so that they do not hold up short ones.
_LONG_JSON = 16 * 2**10
_LONG_BINARY = 128 * 2**10
_THREADS = 2
STICKY_KEY = b"x-sticky-key"


class Reply(NamedTuple):
    """Status, headers and body of an answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


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
    """

    def __init__(self, service: Service, settings: Settings, gate: Gate) -> None:
        self._service = service
        self._settings = settings
        self._gate = gate
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
            client = scope["client"]
            gate.check(headers, client[0] if client else "", "predict")
            gate.enter()
            try:
                reply = await self._answer(headers, receive, start, request_id)
            finally:
                gate.leave()
        except Refusal as refusal:
            self._service.note_refusal(refusal, request_id)
            reply = problem(refusal, request_id)
        except ClientGone:
            raise
        except Exception:
            log.exception("a prediction failed", extra={"request_id": request_id})
            reply = problem(internal_error(), request_id)
        if self._settings.access_log:
            log.info(
                "answered",
                extra={
                    "request_id": request_id,
                    "status": reply.status,
                    "seconds": round(time.perf_counter() - start, 6),
                },
            )
        if self._service.draining:
            reply.headers.append((b"connection", b"close"))
        return reply

    async def _answer(
        self, headers: dict[bytes, bytes], receive: Receive, start: float, request_id: str
    ) -> Reply:
        predictor = self._service.ready().pick(headers.get(STICKY_KEY))
        body = await self._read(headers, receive)
        binary = headers.get(b"content-type", b"").startswith(FLOAT32.encode())
        try:
            content, scored = await self._predict(predictor, body, binary)
        except (Refusal, ClientGone):
            raise
        except Exception:
            self._service.note_failure(predictor.version)
            raise
        self.tell(predictor, scored, time.perf_counter() - start)
        return Reply(
            200,
            [
                (b"content-type", FLOAT32.encode() if binary else b"application/json"),
                (b"content-length", b"%d" % len(content)),
                (b"x-request-id", request_id.encode()),
                (b"x-model-version", b"%d" % predictor.version),
                *ANSWER_HEADERS,
            ],
            content,
        )

    async def _predict(
        self, predictor: Predictor, body: bytes, binary: bool
    ) -> tuple[bytes, Scored]:
        if len(body) > (_LONG_BINARY if binary else _LONG_JSON):
            return await self._in_thread(predictor, body, binary)
        names = predictor.bundle.manifest.features
        if binary:
            rows = read_float32(body, names)
            scores = await self._score(predictor, rows)
            return scores.tobytes(), Scored(rows, scores)
        request = answer.parse(body)
        if "features" not in request:
            age = self._settings.max_age_seconds
            return answer.answer_bars(predictor, request, max_age_seconds=age)
        rows = read_features(request["features"], names)
        scores = await self._score(predictor, rows)
        return answer.scores_reply(predictor, scores), Scored(rows, scores)

    def tell(self, predictor: Predictor, scored: Scored, seconds: float) -> None:
        """Tell observers of an answer."""
        model, version = predictor.bundle.manifest.name, predictor.version
        emit = self._service.bus.emit
        emit(PredictionServed(model, version, len(scored.scores), seconds))
        emit(
            RowsScored(
                model, version, scored.features, scored.scores, scored.timestamps, scored.symbols
            )
        )

    async def _score(self, predictor: Predictor, rows: Float32Array) -> Float32Array:
        if self._batcher is not None:
            return await self._batcher.score(predictor.bundle, rows)
        return predictor.bundle.score(rows)

    async def _in_thread(
        self, predictor: Predictor, body: bytes, binary: bool
    ) -> tuple[bytes, Scored]:
        work: Callable[[Predictor, bytes, Settings], tuple[bytes, Scored]]
        work = _long_binary if binary else _long_json

        async def limited() -> tuple[bytes, Scored]:
            async with self._threads:
                return await asyncio.to_thread(work, predictor, body, self._settings)

        return await within(
            limited(), self._settings.answer_seconds, "computing the answer", "Send fewer rows"
        )

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        limit = self._settings.max_body_bytes
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > limit:
            raise too_large(limit)
        message = await within(
            receive(), self._settings.body_seconds, "sending the body", "Send it faster", 408
        )
        if message["type"] == "http.disconnect":
            raise ClientGone
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            if len(body) > limit:
                raise too_large(limit)
            return body
        return await within(
            _rest(receive, body, limit),
            self._settings.body_seconds,
            "sending the body",
            "Send it faster",
            408,
        )


async def _rest(receive: Receive, begin: bytes, limit: int) -> bytes:
    parts, size, more = [begin], len(begin), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > limit:
            raise too_large(limit)
        more = message.get("more_body", False)
    return b"".join(parts)


async def within(
    work: Awaitable[T], seconds: float, what: str, remedy: str, status: int = 503
) -> T:
    """Await `work`, for at most `seconds`.

    Raises
    ------
    Refusal
        It took longer.
    """
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise Refusal(
            "timeout",
            None,
            None,
            f"{what} took more than {seconds:g} s",
            remedy,
            status=status,
            headers={"connection": "close"} if status == 408 else {"retry-after": "1"},
        ) from None


def _long_json(predictor: Predictor, body: bytes, settings: Settings) -> tuple[bytes, Scored]:
    request = answer.parse(body)
    if "features" not in request:
        age = settings.max_age_seconds
        return answer.answer_bars(predictor, request, max_age_seconds=age)
    rows = read_features(request["features"], predictor.bundle.manifest.features)
    scores = predictor.bundle.score(rows)
    return answer.scores_reply(predictor, scores), Scored(rows, scores)


def _long_binary(predictor: Predictor, body: bytes, settings: Settings) -> tuple[bytes, Scored]:
    del settings  # no timestamp in it to be stale
    rows = read_float32(body, predictor.bundle.manifest.features)
    scores = predictor.bundle.score(rows)
    return scores.tobytes(), Scored(rows, scores)


def problem(refusal: Refusal, request_id: str) -> Reply:
    """A refusal as an answer."""
    body = refusal.body()
    extra = [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
    if refusal.status in {408, 413}:  # what is still on its way would be read as a request
        extra = [pair for pair in extra if pair[0] != b"connection"]
        extra.append((b"connection", b"close"))
    return Reply(
        refusal.status,
        [
            *PROBLEM_HEADERS,
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request_id.encode()),
            *extra,
        ],
        body,
    )


def internal_error() -> Refusal:
    """What a client is told of a fault that is not its own."""
    return Refusal(
        "internal",
        None,
        None,
        "the service failed on this request",
        "Tell the operator the request id; the service's log has more",
        status=500,
    )


def too_large(limit: int) -> Refusal:
    """What a client is told of a body beyond the limit."""
    return Refusal(
        "too_large",
        "body",
        None,
        f"is larger than {limit} bytes",
        "Send columns instead of objects, float32 instead of JSON, or fewer rows",
        status=413,
    )
