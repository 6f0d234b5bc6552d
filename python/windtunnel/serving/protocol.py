"""HTTP/1.1 with deadlines for the client.

Uvicorn waits for ever for a request that comes byte by byte, which lets one client hold
any number of connections. A request that arrives whole, as almost all do, sets no timer.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from windtunnel.serving.reply import problem, too_slow


def deadlined(header_seconds: float, body_seconds: float, most: int) -> type[asyncio.Protocol]:
    """A protocol for uvicorn.

    Parameters
    ----------
    header_seconds : float
        Time for the head of a request; the connection is closed after it.
    body_seconds : float
        Time from the head to the end of the body; the client gets 408 after it.
    most : int
        Connections open at once; one more is closed.
    """

    class Deadlined(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None
        _waits_for = "head"  # or "body", or "" while nothing is outstanding

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > most:
                transport.close()
            else:
                self._arm()

        def data_received(self, data: bytes) -> None:
            awaited = self._waits_for
            super().data_received(data)
            if not self._waits_for:
                self._disarm()
            elif self._timer is None or self._waits_for != awaited:
                self._arm()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._waits_for = "head"

        def on_headers_complete(self) -> None:
            self._waits_for = "body"
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._waits_for = ""
            super().on_message_complete()

        def handle_websocket_upgrade(self) -> None:
            self._waits_for = ""
            super().handle_websocket_upgrade()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def _arm(self) -> None:
            self._disarm()
            seconds = body_seconds if self._waits_for == "body" else header_seconds
            self._timer = self.loop.call_later(seconds, self._expire)

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _expire(self) -> None:
            if self.transport.is_closing():
                return
            cycle = self.cycle
            if self._waits_for == "body" and cycle is not None and not cycle.response_started:
                status, headers, body = problem(too_slow(body_seconds), "")
                head = [name + b": " + value + b"\r\n" for name, value in headers if value]
                self.transport.write(b"".join((STATUS_LINE[status], *head, b"\r\n", body)))
            self.transport.close()

    return Deadlined
