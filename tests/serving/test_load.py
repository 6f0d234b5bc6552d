"""Load with everything going on at once: not one wrong answer, not one lost, flat memory.

`WINDTUNNEL_LOAD_SECONDS` sets the length; a minute and more also holds memory to a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
import pytest

from windtunnel.deployment.registry import Registry

SECONDS = float(os.environ.get("WINDTUNNEL_LOAD_SECONDS", "6"))
CONNECTIONS = 32

# One sink hangs for ever, another raises; both watch every prediction.
SERVE = """
import sys, time
from windtunnel.deployment import bundle
bundle.LARGEST_BUCKET = 16
from windtunnel.events import EventBus, RowsScored
from windtunnel.monitoring.queued import QueuedObserver
from windtunnel.serving import apart, server
from windtunnel.serving.settings import Settings
def hang(event): time.sleep(3600)
def fail(event): raise RuntimeError("the sink is down")
bus = EventBus()
bus.subscribe(QueuedObserver(hang, capacity=64), RowsScored)
bus.subscribe(fail, RowsScored)
apart.verify = apart.examine if sys.argv[3] == "here" else apart.verify
settings = Settings(reload_seconds=0.2, linger_seconds=0.5, body_seconds=5)
server.serve(sys.argv[1], port=int(sys.argv[2]), settings=settings, bus=bus, log_level="critical")
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
    process = subprocess.Popen(command)
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
        process.wait()


class Client:
    """A connection that asks, checks each answer, and counts; reconnects when told to."""

    def __init__(self, port, rows, expected, seed):
        self.port, self.rows, self.expected = port, rows, expected
        self.random = random.Random(seed)  # noqa: S311 - a load, not a secret
        self.answers, self.faults = Counter(), []
        self.keep = True

    async def run(self, ends):
        while self.keep and time.monotonic() < ends:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError as error:
                if self.keep:
                    self.faults.append(f"connect: {error}")
                return
            try:
                while self.keep and time.monotonic() < ends:
                    if not await self.ask(reader, writer):
                        break
            except (OSError, asyncio.IncompleteReadError) as error:
                self.faults.append(f"lost: {error!r}")
            finally:
                writer.close()

    async def ask(self, reader, writer):
        """One request; False when the connection was to be closed after it."""
        first = self.random.randrange(len(self.rows) - 4)
        rows = self.rows[first : first + self.random.randint(1, 4)]
        binary = self.random.random() < 0.5
        body = rows.tobytes() if binary else json.dumps({"features": rows.tolist()}).encode()
        kind = "application/octet-stream" if binary else "application/json"
        writer.write(
            b"POST /v1/predict HTTP/1.1\r\nhost: t\r\nx-sticky-key: %d\r\ncontent-type: %b\r\n"
            b"content-length: %d\r\n\r\n%b"
            % (self.random.randrange(50), kind.encode(), len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        content = await reader.readexactly(int(fields["content-length"]))
        if " 200 " not in lines[0]:
            self.faults.append(f"{lines[0]}: {content[:200]!r}")
        else:
            version = int(fields["x-model-version"])
            scores = np.frombuffer(content, "<f4") if binary else json.loads(content)["scores"]
            wanted = self.expected[version][first : first + len(rows)]
            if len(scores) != len(rows) or np.abs(np.array(scores) - wanted).max() > 1e-5:
                self.faults.append(f"version {version}: {scores} in place of {wanted}")
            self.answers[version] += 1
        return fields.get("connection") != "close"


async def nuisance(port, ends):
    """A client that sends a byte now and then, and one that sends nonsense."""
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


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_nothing_is_wrong_or_lost_while_everything_moves(registry, versions, example, maker):
    rows = example.features[-60:].reshape(-1, 6)
    rows = np.ascontiguousarray(rows[~np.isnan(rows).any(axis=1)])
    expected = {
        number: maker.plain_score(params, rows) for number, (_, params) in enumerate(versions, 1)
    }
    with serving(registry) as (process, port):
        ends = time.monotonic() + SECONDS
        clients = [Client(port, rows, expected, seed) for seed in range(CONNECTIONS)]
        moves, memory = [], []
        mover = threading.Thread(target=move_aliases, args=(registry, ends, moves))
        mover.start()

        async def watch():
            while time.monotonic() < ends:
                memory.append(resident(process))
                await asyncio.sleep(min(1.0, SECONDS / 20))

        async def load():
            # The clients outlast the end: they see the service drain.
            asked = [client.run(ends + 5) for client in clients]
            tasks = [asyncio.create_task(each) for each in asked]
            await asyncio.gather(watch(), nuisance(port, ends))
            process.send_signal(signal.SIGTERM)
            for client in clients:
                client.keep = False
            await asyncio.gather(*tasks)

        asyncio.run(load())
        mover.join()
        assert process.wait(40) == 0
    faults = [fault for client in clients for fault in client.faults]
    answers = sum((client.answers for client in clients), Counter())
    sys.stdout.write(
        f"{sum(answers.values())} answers {dict(answers)}, {len(moves)} moves of aliases; memory "
        f"in MB {memory[0]:.0f} at first, {max(memory):.0f} at most, {memory[-1]:.0f} at last\n"
    )
    assert faults == [], f"{len(faults)} of them"
    assert len(moves) >= 4
    assert len(answers) >= 2, "more than one version answered"
    assert sum(answers.values()) > 50 * SECONDS
    if SECONDS >= 60:
        settled = memory[len(memory) // 3 :]
        slope = np.polyfit(np.arange(len(settled)), settled, 1)[0] * len(settled)
        assert slope < 40, f"grew by {slope:.0f} MB in the last two thirds"
