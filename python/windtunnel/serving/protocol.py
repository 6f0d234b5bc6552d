"""HTTP/1.1 with deadlines for the client, and with short predictions answered on the spot.

Uvicorn waits for ever for a request that comes byte by byte, which lets one client hold
any number of connections. A request that arrives whole, as almost all do, sets no timer.

A small model answers in a tenth of the time that it takes to set up a task, a scope and two
channels for it. A short prediction is therefore handed to the endpoint as soon as its last
byte is here, and its answer is written at once; whatever is out of the ordinary about a
request, it goes uvicorn's own way.

When the process had to wait, for the machine or for a long answer, every deadline is past at
once, and what clients have sent in time may not have been read yet. So nothing is closed before
the sockets have been read once more, and a silent connection is kept when it was the machine that
was late: a request that meets a closed connection is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeAlias

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from windtunnel.serving.headers import on_the_wire
from windtunnel.serving.reply import Reply, problem, too_slow

READ_ONCE_MORE = 0.05  # seconds in which the loop reads all sockets before one is closed
_STANDSTILL = 1.0  # seconds that a timer is late when the machine stood still

Pairs: TypeAlias = Iterable[tuple[bytes, bytes]]
AtOnce: TypeAlias = Callable[[Pairs, tuple[str, int] | None, bytes], Reply | None]


def deadlined(
    header_seconds: float,
    body_seconds: float,
    most: int,
    *,
    path: bytes = b"",
    at_once: AtOnce | None = None,
    longest: int = 0,
) -> type[asyncio.Protocol]:
    """A protocol for uvicorn.

    Parameters
    ----------
    header_seconds : float
        Time for the head of a request; the connection is closed after it.
    body_seconds : float
        Time from the head to the end of the body; the client gets 408 after it.
    most : int
        Connections open at once; one more is closed.
    path : bytes
        POST requests to it with a body of up to `longest` bytes are answered by `at_once`.
    at_once : callable, optional
        Takes headers, the client's address and the body, and gives the answer, or None for
        a request that has to go through the application.
    longest : int
    """

    class Deadlined(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None
        _waits_for = "head"  # or "body", or "" while nothing is outstanding
        _parts: list[bytes] | None = None  # of the body of a request to be answered at once
        _ends = False  # the server shuts down: the answer under way is the last one
        _stirred = 0  # how often something came or went
        _idle: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > most:
                transport.close()
            else:
                self._arm()

        def data_received(self, data: bytes) -> None:
            awaited = self._waits_for
            self._stirred += 1
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
            if self.url == path and at_once is not None and self._is_plain():
                self._parts = []
            else:
                super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            if self._parts is None:
                super().on_body(body)
            else:
                self._parts.append(body)

        def on_message_complete(self) -> None:
            self._waits_for = ""
            parts, self._parts = self._parts, None
            if parts is None or at_once is None:
                super().on_message_complete()
                return
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            reply = at_once(self.headers, self.client, body)
            if reply is None:
                super().on_headers_complete()
                if body:
                    super().on_body(body)
                super().on_message_complete()
                if self._ends:
                    super().shutdown()
            else:
                self._write(reply)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._stirred += 1
            if self.timeout_keep_alive_task is not None:  # it was armed by the call above
                self._unset_keepalive_if_required()
                if self._idle is None:
                    self._watch()

        def shutdown(self) -> None:
            if self._parts is None:
                super().shutdown()
            else:
                self._ends = True

        def handle_websocket_upgrade(self) -> None:
            self._waits_for = ""
            self._forget_idling()
            super().handle_websocket_upgrade()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            self._forget_idling()
            self._parts = None
            super().connection_lost(exc)

        def _is_plain(self) -> bool:
            """Whether the request may be answered at once, as far as its head tells."""
            if not self._is_free():
                return False
            length = -1
            for name, value in self.headers:
                if name == b"content-length":
                    length = int(value) if value.isdigit() else -1
                elif name in {b"expect", b"upgrade", b"transfer-encoding"}:
                    return False
            parser = self.parser
            return (
                0 <= length <= longest
                and parser.get_method() == b"POST"
                and parser.get_http_version() == "1.1"
                and parser.should_keep_alive()
                and not self.root_path
            )

        def _is_free(self) -> bool:
            """Whether an answer may be written now: no other is under way, and it is read."""
            cycle = self.cycle
            return (
                (cycle is None or cycle.response_complete)
                and not self.flow.write_paused
                and not self.transport.is_closing()
            )

        def _write(self, reply: Reply) -> None:
            closes = self._ends
            own = reply.own
            if closes:
                own.append((b"connection", b"close"))
            elif len(own) > 2:
                closes = (b"connection", b"close") in own
            self.transport.write(
                b"".join(
                    (
                        STATUS_LINE[reply.status],
                        _default_lines(self.server_state.default_headers),
                        reply.block.raw,
                        on_the_wire(own),
                        b"\r\n",
                        reply.body,
                    )
                )
            )
            self.server_state.total_requests += 1
            if closes:
                self.transport.close()
            elif self._idle is None:
                self._watch()

        def _watch(self) -> None:
            """Look again when the connection may be silent for as long as one is kept.

            One timer a connection, where uvicorn sets and cancels one an answer.
            """
            due = self.loop.time() + self.timeout_keep_alive
            self._idle = self.loop.call_at(due, self._look, self._stirred, due)

        def _look(self, stirred: int, due: float) -> None:
            """Close a connection on which nothing has happened since the last look."""
            if self._is_silent_since(stirred) and self.loop.time() - due < _STANDSTILL:
                self._idle = self.loop.call_later(READ_ONCE_MORE, self._close_silent, stirred)
            else:
                self._watch()

        def _close_silent(self, stirred: int) -> None:
            if self._is_silent_since(stirred):
                self._idle = None
                self.timeout_keep_alive_handler()
            else:
                self._watch()

        def _is_silent_since(self, stirred: int) -> bool:
            return self._stirred == stirred and not self._waits_for and self._is_free()

        def _forget_idling(self) -> None:
            if self._idle is not None:
                self._idle.cancel()
                self._idle = None

        def _arm(self) -> None:
            self._disarm()
            seconds = body_seconds if self._waits_for == "body" else header_seconds
            self._timer = self.loop.call_later(seconds, self._expire_unless_read)

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _expire_unless_read(self) -> None:
            self._timer = self.loop.call_later(READ_ONCE_MORE, self._expire)

        def _expire(self) -> None:
            if self.transport.is_closing():
                return
            cycle = self.cycle
            unanswered = self._parts is not None or (
                cycle is not None and not cycle.response_started
            )
            if self._waits_for == "body" and unanswered:
                reply = problem(too_slow(body_seconds), "")
                own = [pair for pair in reply.own if pair[1]]
                head = (STATUS_LINE[reply.status], reply.block.raw, on_the_wire(own), b"\r\n")
                self.transport.write(b"".join((*head, reply.body)))
            self.transport.close()

    return Deadlined


_lines: tuple[list[tuple[bytes, bytes]], bytes] = ([], b"")


def _default_lines(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """The server's own headers as lines; it makes a new list each second, for the date."""
    global _lines  # noqa: PLW0603 - the last list and its lines, replaced together
    known, lines = _lines
    if known is not pairs:
        lines = on_the_wire(pairs)
        _lines = (pairs, lines)
    return lines
