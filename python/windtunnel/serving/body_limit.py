"""A limit on the size of request bodies, as a plain ASGI layer."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from windtunnel.serving.reply import too_large


class BodyLimit:
    """Refuses bodies of more than `limit` bytes with 413.

    An announced length is refused before a byte of the body is read; a body of unannounced
    length as soon as it has grown too long, by a `Refusal` out of `receive`.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body counted, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > self._limit:
            response = too_large(self._limit).response()
            await response(scope, receive, send)
            return
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._limit:
                raise too_large(self._limit)
            return message

        await self._app(scope, limited, send)
