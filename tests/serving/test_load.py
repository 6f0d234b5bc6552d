"""Load with everything going on at once: not one wrong answer, not one lost, flat memory.

`WINDTUNNEL_LOAD_SECONDS` sets the length; a minute and more also holds memory to a line.
`WINDTUNNEL_LOAD_RATE` sets the requests a second of all connections together, which otherwise
ask as fast as they are answered; `WINDTUNNEL_LOAD_OUT` names a file for the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import platform
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from windtunnel.deployment.registry import Registry

SECONDS = float(os.environ.get("WINDTUNNEL_LOAD_SECONDS", "6"))
RATE = float(os.environ.get("WINDTUNNEL_LOAD_RATE", "inf"))  # requests a second
OUT = os.environ.get("WINDTUNNEL_LOAD_OUT")
CONNECTIONS = 32
# Seconds after which a client leaves a connection, as one does that knows how long the server
# keeps it; the service keeps a silent one for 75. Any connection lost before it is a fault.
IDLE = 30.0

# One sink hangs for ever, another raises; both watch every prediction.
SERVE = """
import json, sys, time
from windtunnel.deployment import bundle
bundle.LARGEST_BUCKET = 16
from windtunnel.events import EventBus, RoutesChanged, RowsScored, VersionRefused
from windtunnel.monitoring.queued import QueuedObserver
from windtunnel.serving import apart, server
from windtunnel.serving.settings import Settings
def hang(event): time.sleep(3600)
def fail(event): raise RuntimeError("the sink is down")
bus = EventBus()
bus.subscribe(QueuedObserver(hang, capacity=64), RowsScored)
bus.subscribe(fail, RowsScored)
seen = {"RoutesChanged": 0, "VersionRefused": 0}
def count(event): seen[type(event).__name__] += 1
bus.subscribe(count, RoutesChanged, VersionRefused)
apart.verify = apart.examine if sys.argv[3] == "here" else apart.verify
# Deadlines have a test of their own; here a machine that stands still must not run into one.
settings = Settings(
    reload_seconds=0.2, linger_seconds=0.5, header_seconds=300, body_seconds=300, answer_seconds=300
)
server.serve(sys.argv[1], port=int(sys.argv[2]), settings=settings, bus=bus, log_level="critical")
print(json.dumps(seen), flush=True)
"""


@pytest.fixture
def registry(versions, tmp_path):
    registry = Registry(tmp_path / "registry", certify=lambda _: (True, "taken on trust"))
    for path, _ in versions:
        registry.register(path, note="")
    registry.promote("example", 1, why="the first")
    return registry


@contextlib.contextmanager
def serving(registry):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A short run has no time for processes apart; the long one verifies as in production.
    where = "apart" if SECONDS >= 60 else "here"
    command = [sys.executable, "-c", SERVE, registry.location, str(port), where]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(900):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        yield process, port
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@dataclass
class Asked:
    """A request, and what each version must answer."""

    body: bytes
    kind: str
    expected: dict[int, np.ndarray]
    read: Callable[[bytes], np.ndarray]


def read_binary(content):
    return np.frombuffer(content, "<f4")


def read_scores(content):
    return np.array(json.loads(content)["scores"], np.float32)


def read_decisions(content):
    decisions = json.loads(content)["decisions"]
    return np.array([decision["score"] for decision in decisions], np.float32)


class Requests:
    """Draws requests: mostly a few rows, now and then many, and bars."""

    def __init__(self, rows, expected, bars):
        self.rows, self.expected, self.bars = rows, expected, bars

    def draw(self, random_):
        if random_.random() < 0.01:
            return self.bars
        # The native kernel takes up to four rows, the compiled program the rest.
        count = random_.randint(1, 4) if random_.random() < 0.9 else random_.randint(5, 100)
        first = random_.randrange(len(self.rows) - count)
        rows = self.rows[first : first + count]
        expected = {n: scores[first : first + count] for n, scores in self.expected.items()}
        if random_.random() < 0.5:
            return Asked(rows.tobytes(), "application/octet-stream", expected, read_binary)
        body = json.dumps({"features": rows.tolist()}).encode()
        return Asked(body, "application/json", expected, read_scores)


class Client:
    """A connection that asks, checks each answer, and counts; reconnects when told to."""

    def __init__(self, port, requests, seed):
        self.port, self.requests = port, requests
        self.random = random.Random(seed)  # noqa: S311 - a load, not a secret
        self.answers, self.faults, self.seconds = Counter(), [], []
        self.keep, self.left = True, 0

    async def run(self, ends):
        while self.keep and time.monotonic() < ends:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError as error:
                if self.keep:
                    self.faults.append(f"connect: {error}")
                return
            begin = heard = time.monotonic()
            try:
                while self.keep and time.monotonic() < ends:
                    begin = time.monotonic()
                    if begin - heard > IDLE:
                        self.left += 1
                        break
                    if not await self.ask(reader, writer):
                        break
                    heard = time.monotonic()
                    self.seconds.append(heard - begin)
                    await asyncio.sleep(max(0.0, begin + CONNECTIONS / RATE - time.monotonic()))
            except (OSError, asyncio.IncompleteReadError) as error:
                silent, waited = begin - heard, time.monotonic() - begin
                self.faults.append(f"lost: {error!r} {waited:.1f} s after {silent:.1f} s idle")
            finally:
                writer.close()

    async def ask(self, reader, writer, pause=0.0):
        """One request, its body in pieces if there is to be a pause between them; False when
        the connection was to be closed after it.
        """
        asked = self.requests.draw(self.random)
        writer.write(
            b"POST /v1/predict HTTP/1.1\r\nhost: t\r\nx-sticky-key: %d\r\ncontent-type: %b\r\n"
            b"content-length: %d\r\n\r\n"
            % (self.random.randrange(50), asked.kind.encode(), len(asked.body))
        )
        pieces = 8 if pause else 1
        size = -(-len(asked.body) // pieces)
        for start in range(0, len(asked.body), size):
            await asyncio.sleep(pause)
            writer.write(asked.body[start : start + size])
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        content = await reader.readexactly(int(fields["content-length"]))
        if " 200 " not in lines[0]:
            self.faults.append(f"{lines[0]}: {content[:200]!r}")
        else:
            scores = asked.read(content)
            version = int(fields.get("x-model-version") or json.loads(content)["version"])
            wanted = asked.expected[version]
            if scores.shape != wanted.shape or not np.abs(scores - wanted).max() <= 1e-5:
                self.faults.append(f"version {version}: {scores} in place of {wanted}")
            self.answers[version] += 1
        return fields.get("connection") != "close"


async def slow(client, port, ends):
    """A client that takes seconds to send each request, and is answered all the same."""
    while time.monotonic() < ends:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < ends and await client.ask(reader, writer, pause=0.3):
            pass
        writer.close()


async def nuisance(port, ends):
    """Clients that leave in the middle of a request, byte by byte, or send nonsense."""
    while time.monotonic() < ends:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            for byte in b"POST /v1/predict HTTP/1.1\r\ncontent-length: 100\r\n\r\n{":
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /v1/predict HTTP/1.1\r\ncontent-length: 3\r\n\r\n{{{")
            await reader.readuntil(b"\r\n\r\n")
        writer.close()


def move_aliases(registry, ends, moves):
    """Promotions, rollbacks and canaries, as fast as the service can follow."""
    random_ = random.Random(5)  # noqa: S311 - the same
    while time.monotonic() < ends:
        state = registry.state("example")
        others = [n for n in (1, 2, 3) if n != state.champion]
        if state.canary is None:
            number, mode = random_.choice(others), random_.choice(["live", "shadow"])
            registry.start_canary("example", number, weight=0.3, mode=mode, sticky=True, why="try")
        elif random_.random() < 0.4:
            registry.weigh_canary("example", random_.random(), why="more or less")
        elif state.previous is not None and random_.random() < 0.5:
            registry.rollback("example", why="back")
        else:
            registry.promote("example", state.canary.version, why="on")
        moves.append(state.generation)
        time.sleep(0.5 if SECONDS < 60 else 2.0)


def resident(process):
    """Resident memory in MB."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def bars_request(example, maker, versions):
    """The first four bars of the replay window with what they need, and their scores."""
    first, stop = example.first, example.first + 4
    panel = example.panel
    bar, instrument = np.nonzero(panel.listed[first - example.warmup : stop])
    bar += first - example.warmup
    columns = {
        "timestamp": [f"{stamp}Z" for stamp in panel.timestamps[bar]],
        "symbol": [panel.symbols[i] for i in instrument],
    }
    for name in ("open", "high", "low", "close", "volume"):
        columns[name] = getattr(panel, name)[bar, instrument].tolist()
    present = [i for i, symbol in enumerate(panel.symbols) if symbol in columns["symbol"]]
    rows = example.features[first:stop, present].reshape(-1, 6)
    assert not np.isnan(rows).any()
    body = json.dumps({"bars": columns, "since": f"{panel.timestamps[first]}Z"}).encode()
    expected = {
        number: maker.plain_score(params, rows) for number, (_, params) in enumerate(versions, 1)
    }
    return Asked(body, "application/json", expected, read_decisions)


@pytest.fixture
def requests(example, maker, versions):
    rows = example.features[-60:].reshape(-1, 6)
    rows = np.ascontiguousarray(rows[~np.isnan(rows).any(axis=1)])
    expected = {
        number: maker.plain_score(params, rows) for number, (_, params) in enumerate(versions, 1)
    }
    return Requests(rows, expected, bars_request(example, maker, versions))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_nothing_is_wrong_or_lost_while_everything_moves(registry, requests):
    with serving(registry) as (process, port):
        begin = time.monotonic()
        ends = begin + SECONDS
        clients = [Client(port, requests, seed) for seed in range(CONNECTIONS)]
        late = Client(port, requests, CONNECTIONS)
        moves, memory = [], []
        mover = threading.Thread(target=move_aliases, args=(registry, ends, moves))
        mover.start()

        async def watch():
            while time.monotonic() < ends:
                memory.append((time.monotonic() - begin, resident(process)))
                await asyncio.sleep(min(1.0, SECONDS / 20))

        async def load():
            # The clients outlast the end: they see the service drain.
            asked = [client.run(ends + 30) for client in clients]
            tasks = [asyncio.create_task(each) for each in asked]
            await asyncio.gather(watch(), nuisance(port, ends), slow(late, port, ends))
            process.send_signal(signal.SIGTERM)
            for client in clients:
                client.keep = False
            await asyncio.gather(*tasks)

        asyncio.run(load())
        mover.join()
        assert process.wait(40) == 0
        seen = json.loads(process.stdout.read())
    found = figures([*clients, late], late, moves, seen, memory)
    sys.stdout.write(f"{json.dumps({k: v for k, v in found.items() if k != 'memory'})}\n")
    if OUT:
        Path(OUT).write_text(json.dumps(found, indent=1) + "\n")
    assert found["faults"] == []
    assert seen["VersionRefused"] == 0
    assert seen["RoutesChanged"] >= 3
    assert len(moves) >= 4
    assert len(found["answers_of_version"]) >= 2, "more than one version answered"
    assert late.answers.total() >= 1
    assert found["answers"] > 0.5 * SECONDS * min(RATE, 100)
    if SECONDS >= 60:
        growth = found["memory_growth_in_the_last_two_thirds_mb"]
        assert growth < 40, f"grew by {growth:.0f} MB in the last two thirds"


def figures(clients, late, moves, seen, memory):
    """What came of it, for people and for the record."""
    answers = sum((client.answers for client in clients), Counter())
    faults = [fault for client in clients for fault in client.faults]
    quantiles = np.quantile([t for client in clients for t in client.seconds], (0.5, 0.99, 1))
    seconds, resident_mb = np.array(memory).T
    settled = len(memory) // 3
    slope = np.polyfit(seconds[settled:], resident_mb[settled:], 1)[0]
    step = max(1, len(memory) // 60)
    return {
        "seconds": SECONDS,
        "connections": CONNECTIONS,
        "requests_a_second_at_most": None if math.isinf(RATE) else RATE,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "answers": answers.total(),
        "answers_of_version": {str(n): answers[n] for n in sorted(answers)},
        "answers_to_the_slow_client": late.answers.total(),
        "faults": faults[:20],
        "faults_in_all": len(faults),
        "connections_left_for_silence": sum(client.left for client in clients),
        "moves_of_aliases": len(moves),
        "routes_changed": seen["RoutesChanged"],
        "versions_refused": seen["VersionRefused"],
        "milliseconds_p50_p99_max": [round(1e3 * float(t), 2) for t in quantiles],
        "memory_growth_in_the_last_two_thirds_mb": round(
            float(slope * (seconds[-1] - seconds[settled])), 1
        ),
        "memory": [
            {"second": round(float(t)), "resident_mb": round(float(mb), 1)}
            for t, mb in memory[::step]
        ],
    }
