"""Headers of every answer, and the layer that adds them to the ordinary routes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# An answer is data: nothing is to be guessed from it, loaded for it, framed or kept. TLS ends
# at a proxy, which is where Strict-Transport-Security belongs.
ANSWER_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
]


class HeaderBlock:
    """Headers that many answers share, in both forms in which servers want them.

    Attributes
    ----------
    pairs : tuple of (name, value)
    raw : bytes
        As they go to the wire, each line with its end.
    """

    __slots__ = ("pairs", "raw")

    def __init__(self, *pairs: tuple[bytes, bytes]) -> None:
        self.pairs = pairs
        self.raw = on_the_wire(pairs)


def on_the_wire(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Header lines of HTTP/1.1."""
    return b"".join(b"%b: %b\r\n" % pair for pair in pairs)


PROBLEM_HEADERS = HeaderBlock((b"content-type", b"application/json"), *ANSWER_HEADERS)


class SafeHeaders:
    """Names each request and adds the security headers that its route has not set.

    Parameters
    ----------
    app : ASGI application
    name : callable
        Makes a request id from the one that the client presents, if any.
    closing : callable
        Whether clients are asked to close their connection after this answer.
    """

    def __init__(
        self, app: ASGIApp, name: Callable[[bytes | None], str], closing: Callable[[], bool]
    ) -> None:
        self._app = app
        self._name = name
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; its id is ``scope["state"]["request_id"]``."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request_id = self._name(dict(scope["headers"]).get(b"x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id

        async def with_headers(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                headers += [pair for pair in ANSWER_HEADERS if pair[0] not in present]
                headers.append((b"x-request-id", request_id.encode()))
                if self._closing() and b"connection" not in present:
                    headers.append((b"connection", b"close"))
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, with_headers)
