"""A WebSocket on which bars come one at a time and decisions go back.

The service keeps the window of bars and the policy's state, so that a client sends each bar
once. An answer is what ``POST /v1/predict`` gives for the bars of the window; a bar that
cannot be used is refused in words and leaves window and state as they were.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import to_json
from starlette.websockets import WebSocket, WebSocketDisconnect

from windtunnel.serving.answer import (
    Answer,
    check_age,
    decide,
    decision_rows,
    read_json,
    read_state,
)
from windtunnel.serving.gate import Gate
from windtunnel.serving.handover import State, hand_over
from windtunnel.serving.long_answers import LongAnswers
from windtunnel.serving.predictor import Decisions, Predictor
from windtunnel.serving.refusal import Refusal
from windtunnel.serving.reply import internal_error
from windtunnel.serving.routing import Routes
from windtunnel.serving.service import Service
from windtunnel.serving.settings import Settings
from windtunnel.serving.shadow import Shadows
from windtunnel.serving.telling import Teller
from windtunnel.serving.window import Window

log = logging.getLogger(__name__)

_SHAPE = 'Send {"bars": ...}, and with the first bars "state" if a position is held'
_LONG = 16 * 2**10
_TRY_LATER = 1013


@dataclass(slots=True)
class Stream:
    """What is remembered of one connection; `version` is the one that gave the state."""

    draw: float = field(default_factory=random.random)
    window: Window = field(default_factory=Window)
    state: State = field(default_factory=dict)
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """An answer to a message, and what the stream remembers once it is given.

    `answer` is None while bars are lacking, and `content` then says how many.
    """

    content: bytes
    window: Window
    state: State
    answer: Answer | None


class StreamEndpoint:
    """Answers ``/v1/stream``.

    Parameters
    ----------
    service, settings, gate, shadows, teller, long_answers
        As for `PredictEndpoint`.
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
        self.open = 0
        self._service = service
        self._settings = settings
        self._gate = gate
        self._shadows = shadows
        self._teller = teller
        self._long = long_answers

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection to its end."""
        headers = dict(websocket.scope["headers"])
        address = websocket.client.host if websocket.client else ""
        request_id = str(websocket.scope.get("state", {}).get("request_id", ""))
        try:
            _check_origin(headers)
            self._gate.check(headers, address, "predict")
            self._service.ready(for_long=True)
        except Refusal as refusal:
            self._service.note_refusal(refusal, request_id)
            await websocket.send_denial_response(refusal.response())
            return
        await websocket.accept()
        if self.open >= self._settings.max_streams:
            await websocket.close(_TRY_LATER, "as many streams as allowed are open")
            return
        self.open += 1
        try:
            await self._converse(websocket, headers, address, request_id)
        except (WebSocketDisconnect, RuntimeError):  # the latter: closed while we answered
            pass
        finally:
            self.open -= 1

    async def _converse(
        self, websocket: WebSocket, headers: dict[bytes, bytes], address: str, request_id: str
    ) -> None:
        stream, key = Stream(), headers.get(b"x-sticky-key")
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text") or message.get("bytes") or ""
            picked = None
            try:
                self._gate.check(headers, address, "predict")
                self._gate.enter()
                try:
                    routes = self._service.ready()
                    picked = routes.pick(key, stream.draw)
                    reply = await self._respond(stream, routes, picked, text, key, request_id)
                finally:
                    self._gate.leave()
            except Refusal as refusal:
                self._service.note_refusal(refusal, request_id)
                reply = refusal.body()
            except Exception:
                if picked is not None:
                    self._service.note_failure(picked.version)
                log.exception("a bar of a stream failed", extra={"request_id": request_id})
                reply = internal_error().body()
            await websocket.send_text(reply.decode())

    async def _respond(
        self,
        stream: Stream,
        routes: Routes,
        picked: Predictor,
        text: str | bytes,
        key: bytes | None,
        request_id: str,
    ) -> bytes:
        """Answer a message; the stream remembers it only if that comes about."""
        predictor, begin = picked, time.perf_counter()
        try:
            step = await self._compute(stream, predictor, text)
        except Exception as error:  # noqa: BLE001 - raised again unless a canary's
            predictor, begin = routes.stand_in(picked, error), time.perf_counter()
            step = await self._compute(stream, predictor, text)
            self._service.note_stand_in(picked.version, error, request_id)
        stream.window, stream.state, stream.version = step.window, step.state, predictor.version
        given = step.answer
        if given is not None and given.decisions is not None:
            seconds = time.perf_counter() - begin
            self._teller.note(predictor, given.scored, seconds)
            shadow = routes.shadow(key, stream.draw)
            before = len(step.window) - len(given.decisions.timestamps)
            # One that looks further back than this stream yet goes is not to blame for that.
            if shadow is not None and shadow.bundle.manifest.warmup <= before:
                self._shadows.submit(predictor, shadow, given, seconds)
        return step.content

    async def _compute(self, stream: Stream, predictor: Predictor, text: str | bytes) -> Step:
        if len(text) <= _LONG:
            return self._step(stream, predictor, text)
        return await self._long.compute(predictor.version, self._step, stream, predictor, text)

    def _step(self, stream: Stream, predictor: Predictor, text: str | bytes) -> Step:
        """Work on copies: whatever is raised, or comes too late, leaves the stream as it was."""
        from windtunnel.serving.bars import read_bars  # noqa: PLC0415 - loads polars

        request = _parse(text)
        manifest = predictor.bundle.manifest
        window, state = stream.window.copy(), stream.state
        warnings: tuple[str, ...] = ()
        begins = not len(window)
        if "state" in request:
            if not begins:
                raise Refusal(
                    "state", "state", None, "goes with the first bars alone", "Leave it out"
                )
            state = request["state"]
        elif stream.version != predictor.version:
            state, warnings = hand_over(state, predictor)
        before = read_state(state or None, predictor)
        bars = read_bars(request["bars"], manifest.symbols)
        check_age(bars.timestamps[-1], self._settings.max_age_seconds, "bars.timestamp")
        window.append(bars, manifest.warmup)
        # The first bars are history up to the last one; later, each bar is decided on.
        first = max(len(window) - (1 if begins else bars.bars), manifest.warmup)
        needs = max(0, manifest.warmup + 1 - len(window))
        reply: dict[str, Any] = {
            **predictor.head, "needs": needs, "decisions": (), "warnings": warnings, "state": state,
        }  # fmt: skip
        if needs:
            return Step(to_json(reply), window, state, None)
        decisions = decide(predictor, window.panel(manifest.symbols), first, before)
        window.trim()
        reply |= {
            "decisions": decision_rows(decisions),
            "warnings": (*warnings, *decisions.warnings),
            "state": decisions.state,
        }
        content, decided = to_json(reply), len(decisions.timestamps)

        def again(other: Predictor) -> Decisions:
            start, _ = hand_over(state, other)
            panel = window.panel(other.bundle.manifest.symbols)
            return decide(other, panel, panel.bars - decided, read_state(start or None, other))

        answer = Answer(content, decisions.scored, decisions, again)
        return Step(content, window, decisions.state, answer)


def _parse(text: str | bytes) -> dict[str, Any]:
    request = read_json(text, _SHAPE)
    if not isinstance(request, dict):
        raise Refusal("type", "body", request, "must be a JSON object", _SHAPE)
    for name in request:
        if name not in {"bars", "state"}:
            raise Refusal("unknown_field", name[:80], None, "is not a field of a bar", _SHAPE)
    if "bars" not in request:
        raise Refusal("missing_field", "bars", None, "is missing", _SHAPE)
    return request


def _check_origin(headers: dict[bytes, bytes]) -> None:
    """A page of another site must not stream through its reader's browser."""
    origin = headers.get(b"origin")
    if origin is None:
        return
    host = headers.get(b"host", b"").decode("latin-1")
    if urlsplit(origin.decode("latin-1")).netloc != host:
        raise Refusal(
            "forbidden",
            "origin",
            origin.decode("latin-1"),
            "is another site than this service",
            "Connect from a program, or from a page of this service",
            status=403,
        )
