"""Which requests are answered on the spot, which go through the application, and in what order."""

from __future__ import annotations

import asyncio
import itertools
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn import Config
from uvicorn.server import ServerState

from windtunnel.serving.headers import HeaderBlock
from windtunnel.serving.protocol import deadlined
from windtunnel.serving.reply import Reply

BLOCK = HeaderBlock((b"content-type", b"text/plain"))
KEEP_ALIVE = 0.1
STANDS = []  # what happens while everything stands still


async def application(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if body.startswith(b"slow"):
        await asyncio.sleep(0.02)
    content = b"app:" + body
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def at_once(pairs, client, body):
    headers = dict(pairs)
    assert client[0] == "127.0.0.1"
    if body.startswith(b"later"):
        return None
    if body.startswith(b"stand still"):
        STANDS.pop()()
    content = b"direct:" + body
    own = [(b"content-length", b"%d" % len(content)), (b"x-given", headers.get(b"x-given", b""))]
    if body.startswith(b"last"):
        own.append((b"connection", b"close"))
    return Reply(200, BLOCK, own, content)


class Server:
    """The protocol on a socket of its own, in this event loop."""

    def __init__(self, body_seconds=5.0):
        self.protocols = []
        self.state = ServerState()
        config = Config(application, timeout_keep_alive=KEEP_ALIVE, access_log=False)
        config.load()
        protocol = deadlined(5.0, body_seconds, 100, path=b"/hot", at_once=at_once, longest=100)

        def make():
            self.protocols.append(protocol(config=config, server_state=self.state, app_state={}))
            return self.protocols[-1]

        self._make = make

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._make, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        return self

    async def __aexit__(self, *_):
        self.writer.close()
        self._server.close()
        while self.state.connections:
            await asyncio.sleep(0.001)

    async def send(self, *pieces):
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def answer(self):
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:-2])
        return lines[0], headers, await self.reader.readexactly(int(headers["content-length"]))


def request(body, *more, path=b"/hot", method=b"POST", version=b"1.1"):
    lines = [
        b"%b %b HTTP/%b" % (method, path, version),
        b"host: t",
        b"content-length: %d" % len(body),
    ]
    return b"\r\n".join([*lines, *more, b"", body])


CHUNKED = b"POST /hot HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
# What is sent, and the answer that it must get.
KINDS = {
    "short": (request(b"a"), b"direct:a"),
    "empty": (request(b""), b"direct:"),
    "as long as may be": (request(b"x" * 100), b"direct:" + b"x" * 100),
    "longer": (request(b"x" * 101), b"app:" + b"x" * 101),
    "not ready at once": (request(b"later"), b"app:later"),
    "another path": (request(b"a", path=b"/cold"), b"app:a"),
    "a query": (request(b"a", path=b"/hot?x"), b"app:a"),
    "another method": (request(b"a", method=b"PUT"), b"app:a"),
    "of unannounced length": (CHUNKED, b"app:ab"),
    "slow elsewhere": (request(b"slow", path=b"/cold"), b"app:slow"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_answered_on_the_spot(kind):
    sent, expected = KINDS[kind]

    async def ask():
        async with Server() as server:
            for _ in range(2):
                await server.send(sent)
                status, _, body = await server.answer()
                assert (status, body) == ("HTTP/1.1 200 OK", expected)
            assert server.state.total_requests == 2

    asyncio.run(ask())


@given(
    st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6),
    st.lists(st.integers(0, 1200), max_size=5),
)
def test_answers_come_in_the_order_of_the_requests_however_they_are_cut(kinds, cuts):
    stream = b"".join(KINDS[kind][0] for kind in kinds)
    at = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]

    async def ask():
        async with Server() as server:
            pairs = itertools.pairwise(at)
            await server.send(*(stream[first:last] for first, last in pairs))
            return [(await server.answer())[2] for _ in kinds]

    # One that comes behind another under way waits with the application's.
    got = [body.partition(b":")[2] for body in asyncio.run(ask())]
    assert got == [KINDS[kind][1].partition(b":")[2] for kind in kinds]


def test_an_answer_on_the_spot_has_the_servers_headers_and_its_own():
    async def ask():
        async with Server() as server:
            server.state.default_headers = [(b"date", b"today")]
            await server.send(request(b"a", b"X-Given: 7"))
            first = (await server.answer())[1]
            server.state.default_headers = [(b"date", b"tomorrow")]
            await server.send(request(b"a", b"X-Given: 8"))
            return first, (await server.answer())[1]

    first, second = asyncio.run(ask())
    wanted = {"date": "today", "content-type": "text/plain", "content-length": "8", "x-given": "7"}
    assert first == wanted
    assert second == wanted | {"date": "tomorrow", "x-given": "8"}


@pytest.mark.parametrize(
    ("sent", "expected", "closes"),
    [
        (request(b"a", b"connection: close"), b"app:a", True),
        (request(b"a", version=b"1.0"), b"app:a", True),
        (request(b"last"), b"direct:last", True),
        (request(b"a") + request(b"last") + request(b"b"), b"direct:a", True),
    ],
)
def test_the_connection_closes_when_one_side_asks_for_it(sent, expected, closes):
    async def ask():
        async with Server() as server:
            await server.send(sent)
            body = (await server.answer())[2]
            rest = await asyncio.wait_for(server.reader.read(), 5)
            return body, rest

    body, rest = asyncio.run(ask())
    assert body == expected
    assert closes
    assert b"direct:b" not in rest


def test_a_body_that_waits_to_be_asked_for_is_asked_for():
    async def ask():
        async with Server() as server:
            whole = request(b"a", b"expect: 100-continue")
            await server.send(whole[:-1])
            assert await server.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            await server.send(b"a")
            return (await server.answer())[2]

    assert asyncio.run(ask()) == b"app:a"


def test_a_body_that_never_ends_is_answered_with_408():
    async def ask():
        async with Server(body_seconds=0.05) as server:
            await server.send(request(b"abc")[:-1])
            return await asyncio.wait_for(server.reader.read(), 5)

    reply = asyncio.run(ask())
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in reply
    assert b"did not arrive within 0.05 s" in reply


def test_an_idle_connection_is_closed_and_a_busy_one_is_not():
    async def ask():
        async with Server() as server:
            begin = time.monotonic()
            while time.monotonic() - begin < 4 * KEEP_ALIVE:
                await server.send(request(b"a"))
                await server.answer()
                await asyncio.sleep(KEEP_ALIVE / 4)
            whole = request(b"ab")
            await server.send(whole[:-1])
            await asyncio.sleep(3 * KEEP_ALIVE)  # a body is under way
            await server.send(whole[-1:])
            assert (await server.answer())[2] == b"direct:ab"
            return await asyncio.wait_for(server.reader.read(), 5)

    assert asyncio.run(ask()) == b""


def test_answers_of_the_application_keep_a_connection_as_others_do():
    async def ask():
        async with Server() as server:
            await server.send(request(b"a"))
            await server.answer()
            begin = time.monotonic()
            while time.monotonic() - begin < 4 * KEEP_ALIVE:
                await server.send(request(b"a", path=b"/cold"))
                await server.answer()
                await asyncio.sleep(KEEP_ALIVE / 4)
            return await asyncio.wait_for(server.reader.read(), 5)

    assert asyncio.run(ask()) == b""


@pytest.fixture
def on_uvloop():
    """Runs on the loop of production, which runs what is due right after it has read sockets."""
    uvloop = pytest.importorskip("uvloop")

    def run(coroutine):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(coroutine)

    return run


async def stand_still(server, seconds, sent=b""):
    """Let all stand still while the loop reads another connection; `sent` comes meanwhile."""

    def stand():
        os.write(server.writer.get_extra_info("socket").fileno(), sent)
        time.sleep(seconds)

    STANDS.append(stand)
    port = server.writer.get_extra_info("peername")[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(b"stand still"))
    await reader.readuntil(b"still")
    writer.close()


@pytest.mark.parametrize("path", [b"/hot", b"/cold"])
def test_a_request_that_came_during_a_standstill_is_answered(on_uvloop, path):
    async def ask():
        async with Server() as server:
            await server.send(request(b"a", path=path))
            await server.answer()
            await asyncio.sleep(0.6 * KEEP_ALIVE)
            await stand_still(server, 0.6 * KEEP_ALIVE, request(b"b", path=path))
            return await server.answer()

    assert on_uvloop(ask())[2][-2:] == b":b"


def test_a_body_that_came_during_a_standstill_is_in_time(on_uvloop):
    async def ask():
        async with Server(body_seconds=0.1) as server:
            whole = request(b"ab")
            await server.send(whole[:-1])
            await asyncio.sleep(0.02)
            await stand_still(server, 0.2, whole[-1:])
            return await server.answer()

    assert on_uvloop(ask())[2] == b"direct:ab"


def test_a_machine_that_stood_still_holds_no_silence_against_a_client(on_uvloop):
    async def ask():
        async with Server() as server:
            await server.send(request(b"a"))
            await server.answer()
            await asyncio.sleep(0.6 * KEEP_ALIVE)
            await stand_still(server, 1.2)
            await asyncio.sleep(0.75 * KEEP_ALIVE)  # once it runs again, the client comes to it
            await server.send(request(b"b"))
            return await server.answer()

    assert on_uvloop(ask())[2] == b"direct:b"


@pytest.mark.parametrize("body", [b"ab", b"later"])
def test_the_end_waits_for_a_request_under_way(body):
    async def ask():
        async with Server() as server:
            whole = request(body)
            await server.send(whole[:-1])
            while not server.protocols[0].headers:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
            server.protocols[0].shutdown()
            await server.send(whole[-1:])
            _, headers, got = await server.answer()
            assert headers["connection"] == "close"
            assert await asyncio.wait_for(server.reader.read(), 5) == b""
            return got

    assert asyncio.run(ask()) in {b"direct:ab", b"app:later"}


def test_the_end_does_not_wait_for_an_idle_connection():
    async def ask():
        async with Server() as server:
            await server.send(request(b"a"))
            await server.answer()
            server.protocols[0].shutdown()
            return await asyncio.wait_for(server.reader.read(), 5)

    assert asyncio.run(ask()) == b""
