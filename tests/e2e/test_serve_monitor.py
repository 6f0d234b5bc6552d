"""`windtunnel serve --monitor` as a process: what is served is watched, and somebody is told."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from windtunnel.deployment.registry import Registry

MONITOR = """
[drift]
resamples = 300

[streams]
kind = "off"

[[objective]]
name = "quick"
seconds = 5.0

[[sink]]
name = "desk"
kind = "webhook"
url = "env:DESK_WEBHOOK"

[pictures]
link = "https://desk.example/alerts"
"""
RULES = ("drift", "calibration", "ic")
NAMES = {"drift": "features drift", "calibration": "probabilities are off", "ic": "skill is gone"}


@pytest.fixture
def desk() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Somebody who is told: a server that keeps what is posted to it."""
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", told
    server.shutdown()
    server.server_close()


@pytest.fixture
def workspace(finished: Any, tmp_path: Path) -> Path:
    """The registry of the finished study and a memory bank, in a folder of their own."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    shutil.copytree(finished.workspace / "registry", folder / "registry")
    shutil.copytree(finished.workspace / "memory_bank", folder / "memory_bank")
    rules = "".join(f'\n[[rule]]\nname = "{NAMES[on]}"\non = "{on}"\n' for on in RULES)
    (folder / "monitor.toml").write_text(MONITOR + rules)
    Registry(folder / "registry").promote("small", 1, why="to be watched", force=True)
    return folder


def wait_until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 300
    while not true():
        assert time.monotonic() < end, f"never came about: {what}"
        time.sleep(0.2)


def test_drift_and_lost_calibration_are_told_of(
    finished: Any, workspace: Path, desk: Any, wild_bars: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, told = desk
    monkeypatch.setenv("DESK_WEBHOOK", url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "windtunnel",
            "serve",
            *f"--monitor monitor.toml --port {port}".split(),
        ],
        cwd=workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            watch(client, process, finished, wild_bars, told)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
    finally:
        process.kill()
    standing = json.loads((workspace / "monitoring" / "alerts.json").read_text())["standing"]
    raised = {row["rule"] for row in standing if row["raised"]}
    assert {"features drift", "probabilities are off"} <= raised
    pictures = {path.name for path in (workspace / "monitoring" / "pictures").iterdir()}
    notices = [notice for message in told for notice in message["notices"]]
    for notice in notices:
        base, _, name = notice["picture"].rpartition("/")
        assert base == "https://desk.example/alerts"
        assert name in pictures
        assert notice["what"]
        assert notice["since"]
        assert notice["advice"]
    remembered = [path.read_text() for path in (workspace / "memory_bank").rglob("*.md")]
    assert any("features drift" in text for text in remembered)
    assert not (workspace / "monitoring" / "dead_letters.jsonl").exists()


def watch(client: httpx.Client, process: Any, finished: Any, wild_bars: Any, told: list) -> None:
    """Send a year of bars as they were, months of wild ones, and outcomes that never came."""

    def ready() -> bool:
        assert process.poll() is None, process.communicate()[0]
        try:
            return client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(ready, "the service is ready")
    own = pl.read_parquet(finished.run / "bars.parquet")
    bars = pl.concat([own, wild_bars(own, 120, 10.0, seed=1).select(own.columns)])
    bars = bars.sort("timestamp", "symbol")
    moments = bars["timestamp"].unique().sort()
    # In parts, each with the warm-up before it, as a feed would send them.
    decisions = []
    for first in range(len(moments) - 372, len(moments), 93):
        part = bars.filter(
            pl.col("timestamp").is_between(
                moments[first - 60], moments[min(first + 92, len(moments) - 1)]
            )
        )
        columns = {name: part[name].to_list() for name in own.columns}
        columns["timestamp"] = [stamp.isoformat() for stamp in columns["timestamp"]]
        body = {"bars": columns, "since": moments[first].isoformat()}
        answer = client.post("/v1/predict", json=body)
        assert answer.status_code == 200, answer.text
        decisions += [each for each in answer.json()["decisions"] if each["score"] is not None]
    assert len({each["timestamp"] for each in decisions}) == 372

    def alerts() -> set[str]:
        return {alert["rule"] for alert in client.get("/v1/status").json()["alerts"]}

    wait_until(lambda: "features drift" in alerts(), "drift is an alert")
    assert alerts() == {"features drift"}
    outcomes = [
        {"timestamp": each["timestamp"], "symbol": each["symbol"], "outcome": 1.0}
        for each in decisions
    ]
    receipt = client.post("/v1/outcomes", json={"outcomes": outcomes})
    assert receipt.json()["accepted"] == len(outcomes), receipt.text
    wait_until(lambda: "probabilities are off" in alerts(), "a rise each time is an alert")
    wait_until(lambda: len(told) >= 2, "the desk is told")
    metrics = client.get("/metrics").text
    assert 'windtunnel_alerts_total{rule="features drift",severity="warning"} 1.0' in metrics
    assert 'windtunnel_observer_events_total{observer="monitor",outcome="dropped"} 0.0' in metrics
    assert 'windtunnel_observer_events_total{observer="monitor",outcome="failed"} 0.0' in metrics
    ready_now = client.get("/readyz")
    assert ready_now.status_code == 200
