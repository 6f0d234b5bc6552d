"""Messages arrive, are tried again, and are buried where they can be found: real HTTP, no mocks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from windtunnel.errors import MonitoringError
from windtunnel.monitoring.alerts.delivery import Delivery, Line
from windtunnel.monitoring.alerts.message import Message, Notice
from windtunnel.monitoring.alerts.rules import SinkSection
from windtunnel.monitoring.alerts.sinks import Apprise, Webhook, make_sink

# Some of the services that apprise loads import what newer versions of Python lack.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

NOW = datetime(2020, 1, 1, tzinfo=UTC)
MESSAGE = Message(
    (
        Notice(
            "drift",
            "warning",
            "m",
            "raised",
            "it drifted",
            NOW,
            NOW,
            2.5,
            float("inf"),
            "study again",
        ),
    )
)


class Server:
    """Answers with the statuses given, then with 200, and keeps what was posted."""

    def __init__(self, *statuses: int) -> None:
        self.got: list[dict[str, Any]] = []
        left = list(statuses)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.got.append(json.loads(body))
                self.send_response(left.pop(0) if left else 200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/hook"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    found = Server(*getattr(request, "param", ()))
    yield found
    found.close()


def deliver(tmp_path: Path, **lines: Line) -> tuple[list[float], Path]:
    waits: list[float] = []
    dead = tmp_path / "dead.jsonl"
    Delivery(lines, dead, sleep=waits.append)(MESSAGE)
    return waits, dead


@pytest.mark.parametrize("server", [(500, 503)], indirect=True)
def test_a_webhook_is_tried_until_it_takes_the_message(server: Server, tmp_path: Path) -> None:
    waits, dead = deliver(tmp_path, desk=Line(Webhook(server.url), backoff=1.0))
    assert waits == [1.0, 2.0]
    assert len(server.got) == 3
    assert server.got[-1]["title"] == "[warning] drift: m"
    assert server.got[-1]["notices"][0]["advice"] == "study again"
    assert not dead.exists()


@pytest.mark.parametrize("server", [(500,) * 8], indirect=True)
def test_what_nobody_takes_is_buried(server: Server, tmp_path: Path) -> None:
    waits, dead = deliver(
        tmp_path,
        desk=Line(Webhook(server.url), attempts=3),
        gone=Line(Webhook("http://127.0.0.1:9/nobody"), attempts=2),
    )
    assert len(server.got) == 3
    assert len(waits) == 3
    (record,) = [json.loads(line) for line in dead.read_text().splitlines()]
    assert set(record["failures"]) == {"desk", "gone"}
    assert "500" in record["failures"]["desk"]
    assert record["body"] == MESSAGE.body
    assert record["notices"][0]["threshold"] == "inf"


def test_one_sink_that_takes_it_is_enough(server: Server, tmp_path: Path) -> None:
    _, dead = deliver(
        tmp_path,
        desk=Line(Webhook(server.url)),
        gone=Line(Webhook("http://127.0.0.1:9/nobody"), attempts=1),
    )
    assert len(server.got) == 1
    assert not dead.exists()


def test_a_sink_that_hangs_holds_up_nobody(server: Server, tmp_path: Path) -> None:
    release, calls = threading.Event(), []

    class Hanging:
        def send(self, message: Message, timeout: float) -> None:
            calls.append(message)
            release.wait()

    lines = {
        "hanging": Line(Hanging(), attempts=1, timeout=-0.9),  # patience of a tenth of a second
        "desk": Line(Webhook(server.url)),
    }
    delivery = Delivery(lines, tmp_path / "dead.jsonl")
    delivery(MESSAGE)
    delivery(MESSAGE)
    assert len(server.got) == 2
    assert len(calls) == 1  # passed over while it hangs
    release.set()
    delivery._hanging["hanging"].join(10)
    delivery(MESSAGE)
    assert len(calls) == 2
    assert not (tmp_path / "dead.jsonl").exists()


def test_an_unknown_sink_is_a_failure_not_an_error(tmp_path: Path) -> None:
    Delivery({}, tmp_path / "dead.jsonl")(MESSAGE, ("nobody",))
    assert "no sink of that name" in (tmp_path / "dead.jsonl").read_text()


def test_apprise_delivers_over_json(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("apprise")
    sink = Apprise(server.url.replace("http://", "json://"))
    waits, dead = deliver(tmp_path, chat=Line(sink))
    assert waits == []
    assert server.got[0]["title"] == "[warning] drift: m"
    assert "What to do: study again" in server.got[0]["message"]
    assert server.got[0]["type"] == "warning"
    assert not dead.exists()


@pytest.mark.parametrize("server", [(500,) * 8], indirect=True)
def test_apprise_says_when_it_could_not(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("apprise")
    sink = Apprise(server.url.replace("http://", "json://") + "?retry=0")
    _, dead = deliver(tmp_path, chat=Line(sink, attempts=2))
    assert "apprise could not deliver" in dead.read_text()


def test_sinks_are_made_from_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    section = SinkSection(name="desk", kind="webhook", url="env:DESK_URL")
    with pytest.raises(MonitoringError, match="DESK_URL"):
        make_sink(section)
    monkeypatch.setenv("DESK_URL", "https://desk.example/hook")
    assert isinstance(make_sink(section), Webhook)
    with pytest.raises(MonitoringError, match="http"):
        make_sink(SinkSection(name="desk", kind="webhook", url="file:///etc/passwd"))
    pytest.importorskip("apprise")
    with pytest.raises(MonitoringError, match="apprise knows no service"):
        make_sink(SinkSection(name="chat", kind="apprise", url="nonsense://x"))
