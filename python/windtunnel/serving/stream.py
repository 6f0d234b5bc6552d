"""A WebSocket on which bars come one at a time and decisions go back.

The service keeps the window of bars and the policy's state, so that a client sends each bar
once. An answer is what ``POST /v1/predict`` gives for the bars of the window; a bar that
cannot be used is refused in words and leaves window and state as they were.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import to_json
from starlette.websockets import WebSocket, WebSocketDisconnect

from windtunnel.serving.answer import check_age, decide, decision_rows, read_json, read_state
from windtunnel.serving.gate import Gate
from windtunnel.serving.predictor import Predictor, Scored
from windtunnel.serving.refusal import Refusal
from windtunnel.serving.reply import internal_error
from windtunnel.serving.service import Service
from windtunnel.serving.settings import Settings
from windtunnel.serving.window import Window

log = logging.getLogger(__name__)

_SHAPE = 'Send {"bars": ...}, and with the first bars "state" if a position is held'
_LONG = 16 * 2**10
_TRY_LATER = 1013

Tell = Callable[[Predictor, Scored, float], None]


@dataclass(slots=True)
class Stream:
    """What is remembered of one connection."""

    draw: float = field(default_factory=random.random)
    window: Window = field(default_factory=Window)
    state: Mapping[str, int | str] = field(default_factory=dict)


class StreamEndpoint:
    """Answers ``/v1/stream``.

    Parameters
    ----------
    service, settings, gate
        As for `PredictEndpoint`.
    tell : callable
        Tells observers of an answer.
    """

    def __init__(self, service: Service, settings: Settings, gate: Gate, tell: Tell) -> None:
        self.open = 0
        self._service = service
        self._settings = settings
        self._gate = gate
        self._tell = tell

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
            try:
                self._gate.check(headers, address, "predict")
                self._gate.enter()
                try:
                    predictor = self._service.ready().pick(key, stream.draw)
                    if len(text) <= _LONG:
                        reply = self._answer(stream, predictor, text)
                    else:
                        reply = await asyncio.to_thread(self._answer, stream, predictor, text)
                finally:
                    self._gate.leave()
            except Refusal as refusal:
                self._service.note_refusal(refusal, request_id)
                reply = refusal.body()
            except Exception:
                log.exception("a bar of a stream failed", extra={"request_id": request_id})
                reply = internal_error().body()
            await websocket.send_text(reply.decode())

    def _answer(self, stream: Stream, predictor: Predictor, text: str | bytes) -> bytes:
        from windtunnel.serving.bars import read_bars  # noqa: PLC0415 - loads polars

        start = time.perf_counter()
        request = _parse(text)
        manifest = predictor.bundle.manifest
        state = stream.state
        if "state" in request:
            if len(stream.window):
                raise Refusal(
                    "state", "state", None, "goes with the first bars alone", "Leave it out"
                )
            state = request["state"]
        before = read_state(state or None, predictor)
        bars = read_bars(request["bars"], manifest.symbols)
        check_age(bars.timestamps[-1], self._settings.max_age_seconds, "bars.timestamp")
        begins = not len(stream.window)
        window = stream.window if not begins else Window()
        window.append(bars, manifest.warmup)
        # The first bars are history up to the last one; later, each bar is decided on.
        first = max(len(window) - (1 if begins else bars.bars), manifest.warmup)
        needs = max(0, manifest.warmup + 1 - len(window))
        reply: dict[str, Any] = {**predictor.head, "needs": needs, "decisions": (), "warnings": ()}
        try:
            if not needs:
                decisions = decide(predictor, window.panel(manifest.symbols), first, before)
                state = decisions.state
                reply |= {"decisions": decision_rows(decisions), "warnings": decisions.warnings}
        except Exception:
            window.drop(bars.bars)
            raise
        window.trim()
        stream.window, stream.state = window, state
        content = to_json({**reply, "state": state})
        if not needs:
            self._tell(predictor, decisions.scored, time.perf_counter() - start)
        return content


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
