"""The prediction endpoint as plain ASGI: what it adds to the model takes microseconds.

A route of FastAPI costs several times what a small model does. This endpoint is called by
the application before its router, and does by hand what the framework would: it reads the
body within its limit, asks the gate, and answers errors in the application's shape. A server
that has a short request whole may ask for its answer `at_once`, without a task of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from starlette.types import Receive, Scope, Send

from windtunnel.data.panel import Float32Array
from windtunnel.serving import answer
from windtunnel.serving.answer import Answer
from windtunnel.serving.arrow import ARROW, read_arrow
from windtunnel.serving.batching import Batcher
from windtunnel.serving.features import FLOAT32, read_features, read_float32
from windtunnel.serving.gate import Gate
from windtunnel.serving.headers import ANSWER_HEADERS, HeaderBlock
from windtunnel.serving.long_answers import LongAnswers
from windtunnel.serving.predictor import Predictor, Scored
from windtunnel.serving.refusal import Refusal
from windtunnel.serving.reply import Reply, internal_error, problem, too_large
from windtunnel.serving.routing import Routes
from windtunnel.serving.service import Service
from windtunnel.serving.settings import Settings
from windtunnel.serving.shadow import Shadows
from windtunnel.serving.telling import Teller

log = logging.getLogger(__name__)

# Longer bodies are answered in a thread, so that they do not hold up short ones.
_LONG_JSON = 16 * 2**10
_LONG_BINARY = 128 * 2**10
AT_ONCE = 64 * 2**10  # bytes; what is longer is never answered at once
_BINARY = FLOAT32.encode()
STICKY_KEY = b"x-sticky-key"

Headers = Mapping[bytes, bytes]
Reader: TypeAlias = Callable[[bytes, Sequence[str]], Float32Array]
# Bodies that are no JSON by their content type; all of them are answered with float32.
_READERS: dict[bytes, Reader] = {_BINARY: read_float32, ARROW.encode(): read_arrow}


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
    teller : Teller
    long_answers : LongAnswers
    """

    def __init__(
        self,
        service: Service,
        settings: Settings,
        gate: Gate,
        shadows: Shadows,
        teller: Teller,
        long_answers: LongAnswers,
    ) -> None:
        self._service = service
        self._settings = settings
        self._gate = gate
        self._shadows = shadows
        self._note = teller.note
        self._limit = settings.max_body_bytes
        self._batcher = Batcher() if settings.micro_batching else None
        self._long = long_answers
        self._blocks: dict[tuple[int, bool], HeaderBlock] = {}
        # Rates are kept by address, which behind a proxy is in a header that the server reads.
        self._by_address = settings.requests_per_second is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            reply = await self.respond(scope, receive)
        except ClientGone:
            return
        start = {"type": "http.response.start", "status": reply.status, "headers": reply.headers}
        await send(start)
        await send({"type": "http.response.body", "body": reply.body})

    async def respond(self, scope: Scope, receive: Receive) -> Reply:
        """The answer, errors included; raises nothing but `ClientGone`."""
        start = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        gate = self._gate
        request_id = gate.name(headers.get(b"x-request-id"))
        predictor = None
        try:
            if gate.asks:
                client = scope["client"]
                gate.check(headers, client[0] if client else "", "predict")
            gate.enter()
            try:
                routes, predictor = self._pick(headers)
                body = await self._read(headers, receive)
                reader = _reader(headers)
                try:
                    given, begin = await self._compute(predictor, body, reader), start
                except Exception as error:  # noqa: BLE001 - raised again unless a canary's
                    champion, begin = routes.stand_in(predictor, error), time.perf_counter()
                    given = await self._compute(champion, body, reader)
                    self._service.note_stand_in(predictor.version, error, request_id)
                    predictor = champion
                reply = self._reply(routes, predictor, given, headers, begin, request_id)
            finally:
                gate.under_way -= 1
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - it is logged, and told to the client
            reply = self._problem(error, predictor, request_id)
        return self._close(reply, start, request_id)

    def at_once(
        self,
        pairs: Iterable[tuple[bytes, bytes]],
        client: tuple[str, int] | None,
        body: bytes,
    ) -> Reply | None:
        """The answer to a request that is here as a whole, errors included.

        None when the answer has to wait for something, or the request is one that the server
        has to prepare: nothing has been done with it then.

        Parameters
        ----------
        pairs : iterable of (name, value)
            Headers, their names in lower case.
        client : (address, port), optional
        body : bytes
            Of at most `AT_ONCE` bytes.
        """
        headers = dict(pairs)
        reader = _reader(headers)
        if (
            self._batcher is not None
            or _is_long(body, reader)
            or (self._by_address and b"x-forwarded-for" in headers)
        ):
            return None
        start = time.perf_counter()
        gate = self._gate
        request_id = gate.name(headers.get(b"x-request-id"))
        predictor = None
        try:
            if gate.asks:
                gate.check(headers, client[0] if client else "", "predict")
            gate.enter()
            try:
                routes, predictor = self._pick(headers)
                try:
                    given, begin = _compute(predictor, body, reader, self._settings), start
                except Exception as error:  # noqa: BLE001 - raised again unless a canary's
                    champion, begin = routes.stand_in(predictor, error), time.perf_counter()
                    given = _compute(champion, body, reader, self._settings)
                    self._service.note_stand_in(predictor.version, error, request_id)
                    predictor = champion
                reply = self._reply(routes, predictor, given, headers, begin, request_id)
            finally:
                gate.under_way -= 1
        except Exception as error:  # noqa: BLE001 - it is logged, and told to the client
            reply = self._problem(error, predictor, request_id)
        return self._close(reply, start, request_id)

    def _pick(self, headers: Headers) -> tuple[Routes, Predictor]:
        routes = self._service.routes or self._service.ready()
        if routes.canary is None:
            return routes, routes.champion
        return routes, routes.pick(headers.get(STICKY_KEY))

    async def _compute(self, predictor: Predictor, body: bytes, reader: Reader | None) -> Answer:
        batcher = self._batcher
        if _is_long(body, reader):
            return await self._long.compute(
                predictor.version, _compute, predictor, body, reader, self._settings
            )
        if batcher is None:
            return _compute(predictor, body, reader, self._settings)
        if reader is not None:
            rows = reader(body, predictor.row_names)
            scores = await batcher.score(predictor, rows)
            return Answer(scores.tobytes(), Scored(rows, scores), binary=True)
        request = answer.parse(body)
        if "features" not in request:
            age = self._settings.max_age_seconds
            return answer.answer_bars(predictor, request, max_age_seconds=age)
        rows = read_features(request["features"], predictor.row_names)
        scores = await batcher.score(predictor, rows)
        return Answer(answer.scores_reply(predictor, scores), Scored(rows, scores))

    def _reply(
        self,
        routes: Routes,
        predictor: Predictor,
        given: Answer,
        headers: Headers,
        start: float,
        request_id: str,
    ) -> Reply:
        seconds = time.perf_counter() - start
        self._note(predictor, given.scored, seconds)
        if routes.canary is not None:
            shadow = routes.shadow(headers.get(STICKY_KEY))
            if shadow is not None:
                self._shadows.submit(predictor, shadow, given, seconds)
        key = (predictor.version, given.binary)
        block = self._blocks.get(key)
        if block is None:
            kind = _BINARY if given.binary else b"application/json"
            version = (b"x-model-version", b"%d" % predictor.version)
            block = HeaderBlock((b"content-type", kind), version, *ANSWER_HEADERS)
            self._blocks[key] = block
        content = given.content
        length = (b"content-length", b"%d" % len(content))
        return Reply(200, block, [length, (b"x-request-id", request_id.encode())], content)

    def _problem(self, error: Exception, predictor: Predictor | None, request_id: str) -> Reply:
        if isinstance(error, Refusal):
            self._service.note_refusal(error, request_id)
            return problem(error, request_id)
        if predictor is not None:
            self._service.note_failure(predictor.version)
        log.error("a prediction failed", exc_info=error, extra={"request_id": request_id})
        return problem(internal_error(), request_id)

    def _close(self, reply: Reply, start: float, request_id: str) -> Reply:
        """The last things about an answer, good or bad."""
        if self._settings.access_log:
            seconds = round(time.perf_counter() - start, 6)
            extra = {"request_id": request_id, "status": reply.status, "seconds": seconds}
            log.info("answered", extra=extra)
        if self._service.draining:
            reply.own.append((b"connection", b"close"))
        return reply

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
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


def _reader(headers: Headers) -> Reader | None:
    """What reads the rows of a body; None for JSON, which is what it is without a type."""
    kind = headers.get(b"content-type", b"")
    found = _READERS.get(kind)
    if found is None and kind:
        return _READERS.get(kind.partition(b";")[0].strip().lower())
    return found


def _is_long(body: bytes, reader: Reader | None) -> bool:
    return len(body) > (_LONG_JSON if reader is None else _LONG_BINARY)


def _compute(
    predictor: Predictor, body: bytes, reader: Reader | None, settings: Settings
) -> Answer:
    if reader is not None:
        rows = reader(body, predictor.row_names)
        scores = predictor.score(rows)
        return Answer(scores.tobytes(), Scored(rows, scores), binary=True)
    request = answer.parse(body)
    if "features" not in request:
        age = settings.max_age_seconds
        return answer.answer_bars(predictor, request, max_age_seconds=age)
    rows = read_features(request["features"], predictor.row_names)
    scores = predictor.score(rows)
    return Answer(answer.scores_reply(predictor, scores), Scored(rows, scores))
