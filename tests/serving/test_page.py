from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import threading
import time

import httpx
import pytest
import uvicorn

from windtunnel.events import AlertRaised, AlertResolved, EventBus, PredictionServed, RoutesChanged
from windtunnel.monitoring.monitor import attach
from windtunnel.monitoring.settings import MonitorFile
from windtunnel.serving.app import create_app
from windtunnel.serving.status import SECONDS, Status

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
ALERT = AlertRaised("drift", "page", "rsi_14", HOSTILE, "2026-01-01T00:00:00Z", 1.0, 0.5, "look")


@pytest.fixture(scope="module")
def live(registry_path):
    """A server in this process, so that a test can make things happen; its bus and address."""
    bus = EventBus()
    app = create_app(registry_path, bus=bus)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.1)
        yield bus, client
    server.should_exit = True
    thread.join()


def test_page_runs_its_own_script_and_no_other(live):
    _, client = live
    response = client.get("/")
    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r'(src|href)="?(https?:)?//', response.text), "nothing comes from afar"
    assert client.post("/").status_code == 405


def test_status_tells_what_is_served(live):
    bus, client = live
    for _ in range(3):
        client.post("/v1/predict", json={"features": [[0.0] * 6]})
    client.post("/v1/predict", content=b"{")
    status = client.get("/v1/status").json()
    assert status["model"] == "example"
    assert (status["champion"], status["canary"], status["ready"]) == (1, None, True)
    assert status["watched"] is False
    assert status["served"] >= 3
    assert status["refused"] >= 1
    assert status["shares"] == {"1": 1.0}
    assert 0 < status["latency_seconds"]["p50"] <= status["latency_seconds"]["p99"] < 5
    bus.emit(ALERT)
    assert client.get("/v1/status").json()["alerts"][0]["subject"] == "rsi_14"
    bus.emit(AlertResolved("drift", "page", "rsi_14", "over", "a", "b"))
    status = client.get("/v1/status").json()
    assert status["alerts"] == []
    assert [event["kind"] for event in status["events"][:2]] == ["resolved", "alert"]


@pytest.fixture
def look_at(live, tmp_path):
    """What a browser shows of the page after some seconds."""
    _, client = live

    def look():
        command = [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom",
            str(client.base_url),
        ]  # fmt: skip
        return subprocess.run(command, capture_output=True, timeout=120, check=True).stdout.decode()

    return look


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_page_is_alive_in_a_browser(live, look_at):
    bus, client = live
    client.post("/v1/predict", json={"features": [[0.0] * 6]})
    bus.emit(ALERT)
    dom = look_at()
    assert int(re.search(r'data-shown="(\d+)"', dom)[1]) >= 2, "it looks again and again"
    assert "data-error" not in dom
    for wanted in (
        r'id="state"[^>]*>ready<',
        r'id="champion">version 1<',
        r'id="canary">none<',
        r'id="drift"[^>]*>1 alert<',
        r'id="p50">[\d.]+ [µm]s<',
        r'class="line" d="M[\d .L]+"',
        r"champion, version 1: 100.0 %",
    ):
        assert re.search(wanted, dom), wanted
    assert "<title>owned" not in dom
    assert "&lt;img src=x" in dom, "it is shown as what it is: text"


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_page_takes_the_lack_of_a_monitor_for_no_good_news(live, look_at, tmp_path):
    bus, client = live
    bus.emit(AlertResolved("drift", "page", "rsi_14", "over", "a", "b"))
    dom = look_at()
    assert re.search(r'id="drift"[^>]*>not watched<', dom)
    assert re.search(r'id="alerts"[^>]*>no monitor watches this service<', dom)
    attached = attach(bus, lambda *_: pytest.fail("nothing scores"), MonitorFile(), tmp_path)
    assert client.get("/v1/status").json()["watched"] is True
    assert re.search(r'id="drift"[^>]*>no alert<', look_at())
    attached.close()
    assert client.get("/v1/status").json()["watched"] is False


def test_rates_are_those_of_each_second():
    """Against a list of moments: how many lie in each of the seconds before this one."""
    now = 1000.25
    status = Status(clock=lambda: now)
    moments = [1000.25, 1000.5, 1003.0, 1003.99, 1004.0, 1010.0, 1200.0, 1200.5, 1319.9]
    for moment in moments:
        now = moment
        status(PredictionServed("m", 1, 1, 0.001))
    now = 1320.5
    rates = status.snapshot()["rates"]
    expected = [sum(int(m) == second for m in moments) for second in range(1201, 1320)]
    assert rates == expected
    assert len(rates) == SECONDS - 1


def test_quantiles_and_shares_are_of_the_last_minute():
    now = 0.0
    status = Status(clock=lambda: now)
    for version, seconds in ((1, 9.0), (1, 9.0)):
        status(PredictionServed("m", version, 1, seconds))
    now = 100.0
    for version, seconds in ((1, 0.1), (2, 0.2), (2, 0.3), (2, 0.4)):
        status(PredictionServed("m", version, 1, seconds))
    found = status.snapshot()
    assert found["latency_seconds"]["p50"] == pytest.approx(0.25)
    assert found["shares"] == {"1": 0.25, "2": 0.75}
    assert found["served"] == 6
    now = 200.0
    assert status.snapshot()["latency_seconds"] == {"p50": None, "p95": None, "p99": None}


def test_events_are_bounded():
    status = Status()
    for number in range(200):
        status(RoutesChanged("m", number, None, 0.0, "", number))
    events = status.snapshot()["events"]
    assert len(events) == 50
    assert events[0]["text"] == "version 199 answers"
