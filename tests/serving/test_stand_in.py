"""What a canary does not answer the champion does, and a stream lives through any promotion."""

from __future__ import annotations

import copy
import json
import threading
import time
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
import uvicorn
from websockets.sync.client import connect

from windtunnel.deployment.state import Canary
from windtunnel.events import PredictionFailed, ShadowAnswered
from windtunnel.serving.app import create_app
from windtunnel.serving.handover import hand_over
from windtunnel.serving.predictor import Predictor
from windtunnel.serving.refusal import Refusal
from windtunnel.serving.routing import Routes
from windtunnel.serving.settings import Settings

ROWS = np.zeros((1, 6), "<f4")
LONG = " " * 17_000  # more than is computed on the event loop


class Crashing(Predictor):
    """A version whose program fails."""

    def score(self, rows):
        raise RuntimeError("no answer")

    def decide(self, panel, first, state):
        raise RuntimeError("no answer")


class Hanging(Predictor):
    """A version whose program does not end until it is let go."""

    free = threading.Event()

    def decide(self, panel, first, state):
        self.free.wait(60)
        return super().decide(panel, first, state)


@pytest.fixture(scope="module")
def app(registry_path):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("windtunnel.deployment.bundle.LARGEST_BUCKET", 8)
        app = create_app(registry_path, settings=Settings(reload_seconds=0))
        assert app.state.follower.look()
        yield app


@pytest.fixture
def service(app):
    """The service; what it serves is put back afterwards."""
    service = app.state.service
    before = service.routes
    yield service
    service.routes = before


@pytest.fixture
def events(service):
    found = []
    leave = service.bus.subscribe(found.append, PredictionFailed, ShadowAnswered)
    yield found
    leave()


@pytest.fixture(scope="module")
def address(app):
    """Where a real server listens, in a thread of this process, so that tests reach its parts."""
    config = uvicorn.Config(
        app, port=0, log_level="critical", ws="websockets-sansio", ws_per_message_deflate=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()
    yield f"{host}:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def client(address):
    with httpx.Client(base_url=f"http://{address}", timeout=60) as client:
        yield client


def variant(service, version=2, kind=Predictor, **changes):
    """The champion's bundle under another manifest."""
    bundle = copy.copy(service.routes.champion.bundle)
    bundle.manifest = bundle.manifest.model_copy(update=changes)
    return kind(bundle, version)


def other_policy(service, **changes):
    policy = service.routes.champion.bundle.manifest.policy
    return {"policy": policy.model_copy(update=changes)}


def try_out(service, canary, mode="live"):
    service.routes = Routes(service.routes.champion, canary, Canary(canary.version, 1.0, mode))


def failures(events):
    return [event.version for event in events if isinstance(event, PredictionFailed)]


CANARIES = {
    "other features": {"features": ("a", "b", "c", "d", "e")},
    "a longer warm-up": {"warmup": 10_000},
    "other instruments": {"symbols": ("SPY",)},
    "a program that fails": {"kind": Crashing},
}


@pytest.mark.parametrize("what", CANARIES)
def test_a_good_request_is_answered_whatever_the_canary_is(service, events, client, columns, what):
    short = {name: values[-5 * 40 :] for name, values in columns.items()}
    requests = {
        "rows": {"content": json.dumps({"features": ROWS.tolist()})},
        "bars": {"content": json.dumps({"bars": short})},
        "long": {"content": json.dumps({"bars": short}) + LONG},
        "float32": {
            "content": ROWS.tobytes(),
            "headers": {"content-type": "application/octet-stream"},
        },
    }
    expected = {kind: client.post("/v1/predict", **each) for kind, each in requests.items()}
    try_out(service, variant(service, **CANARIES[what]))
    seen = []
    for kind, each in requests.items():
        answer = client.post("/v1/predict", **each)
        assert answer.status_code == 200
        if answer.headers["x-model-version"] == "1":
            assert answer.content == expected[kind].content
            seen.append(kind)
    only_bars = what in {"a longer warm-up", "other instruments"}
    assert seen == (["bars", "long"] if only_bars else [*requests])
    assert failures(events) == [2] * len(seen)


def test_a_server_answers_at_once_in_the_same_way(app, service, events):
    try_out(service, variant(service, kind=Crashing))
    body = json.dumps({"features": ROWS.tolist()}).encode()
    reply = app.predict.at_once([], None, body)
    assert reply.status == 200
    assert json.loads(reply.body)["version"] == 1
    bad = app.predict.at_once([], None, b'{"features": [[1]]}')
    assert bad.status == 422
    assert failures(events) == [2], "a bad request is nobody's failure but the client's"


def test_a_crash_of_both_is_charged_to_the_one_that_was_drawn(service, events, client):
    service.routes = Routes(
        variant(service, 1, Crashing), variant(service, 2, Crashing), Canary(2, 1.0)
    )
    for _ in range(2):
        response = client.post("/v1/predict", json={"features": ROWS.tolist()})
        assert response.status_code == 500
    assert failures(events) == [2, 2]


@pytest.fixture
def begun(address, days, joined, example):
    """An open stream that has been decided on, what to ask of it, and the bars to come."""
    bars, warmup = days, example.warmup

    with connect(f"ws://{address}/v1/stream") as stream:

        def ask(pad="", **request):
            stream.send(json.dumps(request) + pad)
            return json.loads(stream.recv(timeout=60))

        answer = ask(bars=joined(bars[: warmup + 1]), state={"AAPL": -1, "IBM": 1})
        yield ask, answer, bars[warmup + 1 :]


def test_signals_that_both_can_hold_are_handed_over(service, begun, client, days, joined, example):
    ask, before, _ = begun
    bars = days[: example.warmup + 2]
    expected = client.post("/v1/predict", json={"bars": joined(bars), "state": before["state"]})
    service.routes = Routes(variant(service, 2))
    answer = ask(bars=bars[-1])
    assert answer["version"] == 2
    for name in ("decisions", "state", "warnings"):
        assert answer[name] == expected.json()[name]


def test_a_stream_goes_on_under_a_champion_that_holds_no_shorts(service, begun):
    ask, answer, bars = begun
    assert -1 in answer["state"].values()
    service.routes = Routes(variant(service, 2, **other_policy(service, long_only=True)))
    answer = ask(bars=bars[0])
    assert answer["version"] == 2
    assert "cannot hold the signals" in answer["warnings"][0]
    assert set(answer["state"].values()) <= {0, 1}
    answer = ask(bars=bars[1])
    assert not any("took over" in warning for warning in answer["warnings"]), "it is told once"


def test_a_crash_on_a_stream_is_a_failure_of_the_version(service, events, begun):
    ask, _, bars = begun
    champion = service.routes.champion
    service.routes = Routes(variant(service, 1, Crashing))
    assert "failed on this request" in ask(bars=bars[0])["problem"]
    assert failures(events) == [1]
    service.routes = Routes(champion, variant(service, 2, Crashing), Canary(2, 1.0))
    assert ask(bars=bars[0])["version"] == 1, "the champion stands in for the canary"
    assert failures(events) == [1, 2]


def test_an_answer_that_takes_too_long_is_a_failure_and_leaves_the_stream_whole(
    app, service, events, begun, client, columns, monkeypatch
):
    ask, _, bars = begun
    champion = service.routes.champion
    service.routes = Routes(variant(service, 3, Hanging))
    Hanging.free.clear()
    monkeypatch.setattr(app.predict._long, "_seconds", 0.3)
    try:
        assert "took more than 0.3 s" in ask(LONG, bars=bars[0])["problem"]
        late = client.post("/v1/predict", content=json.dumps({"bars": columns}) + LONG)
        assert late.status_code == 503
    finally:
        Hanging.free.set()
        monkeypatch.undo()
    assert failures(events) == [3, 3]
    service.routes = Routes(champion)
    answer = ask(bars=bars[0])
    assert len({row["timestamp"] for row in answer["decisions"]}) == 1, "the bar was not kept"


def test_a_stream_is_compared_with_a_shadow(service, events, begun, client):
    ask, _, bars = begun
    inverted = variant(service, 2, **other_policy(service, long_only=True))
    try_out(service, variant(service, 4), "shadow")
    for bar in bars[:3]:
        assert ask(bars=bar)["version"] == 1
    try_out(service, inverted, "shadow")
    for bar in bars[3:6]:
        assert ask(bars=bar)["version"] == 1
    deadline = time.monotonic() + 60
    while len(shown := [each for each in events if isinstance(each, ShadowAnswered)]) < 6:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert [each.canary for each in shown] == [4, 4, 4, 2, 2, 2]
    assert not any(each.failed for each in shown)
    assert [each.differing for each in shown[:3]] == [0.0] * 3
    assert max(each.differing for each in shown[3:]) > 0
    counted = client.get("/metrics").text
    assert 'windtunnel_observer_events_total{observer="shadow",outcome="delivered"} 6.0' in counted
    assert 'windtunnel_observer_events_total{observer="shadow",outcome="dropped"} 0.0' in counted


def test_what_a_model_remembers_means_nothing_to_another(service):
    champion = service.routes.champion
    remembered = {"model": "example-0123456789ab", "at": "2012-01-01T00:00:00Z", "values": "AAAA"}
    state, (warning,) = hand_over(remembered, champion)
    assert state == {}
    assert "begins anew" in warning
    remembers = SimpleNamespace(version=2, remembers=True, bundle=champion.bundle)
    state, (warning,) = hand_over({"AAPL": 1}, remembers)
    assert state == {}
    assert "begins anew" in warning
    assert hand_over({}, remembers) == ({}, ())
    state, (warning,) = hand_over({"AAPL": 1, "SPY": -1}, champion)
    assert state == {"AAPL": 1}
    assert "SPY: -1" in warning


def test_no_canary_stands_in_for_the_champion(service):
    champion, canary = service.routes.champion, variant(service)
    routes = Routes(champion, canary, Canary(2, 1.0))
    refusal = Refusal("shape", None, None, "p", "r")
    assert routes.stand_in(canary, refusal) is champion
    for picked, error in (
        (champion, refusal),
        (canary, Refusal("timeout", None, None, "p", "r", status=503)),
    ):
        with pytest.raises(Refusal) as raised:
            routes.stand_in(picked, error)
        assert raised.value is error
