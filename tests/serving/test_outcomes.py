"""Outcomes over HTTP: joined to decisions once, in the order of time, and refused in words."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import anyio
import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.events import EventBus, OutcomesArrived, OutcomesCounted, RowsScored
from windtunnel.monitoring.monitor import attach
from windtunnel.monitoring.settings import MonitorFile
from windtunnel.serving.app import create_app
from windtunnel.serving.outcomes import Decided
from windtunnel.serving.refusal import Refusal
from windtunnel.serving.settings import Settings
from windtunnel.serving.tokens import Token, Tokens

FIELDS = {"accepted", "duplicate", "late", "unknown"}


def counts(**more):
    return dict.fromkeys(FIELDS, 0) | more


@pytest.fixture
def window(example):
    """A request for decisions on the whole replay window, and its moments, oldest first."""
    stamps = example.panel.timestamps
    last = stamps[example.first + 79].item()
    bars = example.bars.filter(
        pl_utc(example).is_between(stamps[example.first - example.warmup].item(), last)
    ).sort("timestamp", "symbol")
    names = ("timestamp", "symbol", "open", "high", "low", "close", "volume")
    columns = {name: bars[name].to_list() for name in names}
    columns["timestamp"] = [stamp.isoformat() for stamp in columns["timestamp"]]
    return {"bars": columns, "since": f"{stamps[example.first].item().isoformat()}Z"}


def pl_utc(example):
    return example.bars["timestamp"].dt.replace_time_zone(None)


def outcome(decision, value=1.0):
    return {"timestamp": decision["timestamp"], "symbol": decision["symbol"], "outcome": value}


def test_outcomes_find_their_decisions_over_http(client, window):
    answer = client.post("/v1/predict", json=window).json()
    decisions = [each for each in answer["decisions"] if each["score"] is not None]
    bars = sorted({each["timestamp"] for each in decisions})
    by_bar = [[each for each in decisions if each["timestamp"] == bar] for bar in bars]

    def post(*outcomes):
        return client.post("/v1/outcomes", json={"outcomes": outcomes})

    first = post(*map(outcome, by_bar[1]))
    assert first.status_code == 200
    assert first.json() == counts(accepted=len(by_bar[1]))
    assert post(*map(outcome, by_bar[1])).json() == counts(duplicate=len(by_bar[1]))
    conflict = post(outcome(by_bar[2][0]), outcome(by_bar[1][0], 0.0))
    assert conflict.status_code == 409
    assert conflict.json()["field"] == "outcomes[1].outcome"
    assert "told before" in conflict.json()["problem"]
    assert post(outcome(by_bar[0][0])).json() == counts(late=1)
    never = {**outcome(by_bar[0][0]), "timestamp": "1999-01-04T00:00:00Z"}
    # With the outcome that the refused request had: none of it was taken.
    assert post(never, outcome(by_bar[2][0])).json() == counts(unknown=1, accepted=1)
    metrics = client.get("/metrics").text
    assert 'windtunnel_outcomes_total{model="example",outcome="late"} 1.0' in metrics
    total = f'outcome="accepted"}} {len(by_bar[1]) + 1}.0'
    assert total in metrics


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"symbol": "NOBODY"}, "outcomes[0].symbol"),
        ({"outcome": 0.5}, "outcomes[0].outcome"),
        ({"timestamp": "2012-01-03 00:00"}, "outcomes[0].timestamp"),
        ({"timestamp": "yesterday at noon"}, "outcomes[0].timestamp"),
        ({"outcome": "1"}, "body.outcomes.0.outcome"),
        ({"more": 1}, "body.outcomes.0.more"),
    ],
)
def test_outcomes_that_cannot_be_are_refused_with_their_place(client, example, change, field):
    good = {"timestamp": "2012-01-03T00:00:00Z", "symbol": example.panel.symbols[0], "outcome": 1.0}
    refused = client.post("/v1/outcomes", json={"outcomes": [good | change]})
    assert refused.status_code == 422
    assert set(refused.json()) == {"field", "value", "problem", "remedy"}
    assert refused.json()["field"] == field


def test_bodies_that_are_no_outcomes_are_refused(client):
    assert client.post("/v1/outcomes", json={"outcomes": []}).status_code == 422
    json_type = {"content-type": "application/json"}
    assert client.post("/v1/outcomes", content=b"{", headers=json_type).status_code == 422
    assert client.post("/v1/outcomes", content=b"{}").status_code == 422
    assert client.get("/v1/outcomes").status_code == 405
    large = client.post("/v1/outcomes", content=b" " * 300_000)
    assert large.status_code == 413


def test_the_document_tells_of_them(client):
    document = client.get("/openapi.json").json()
    told = document["paths"]["/v1/outcomes"]["post"]
    assert {"200", "401", "409", "413", "422", "429", "503"} <= set(told["responses"])
    assert told["security"] == [{}, {"token": []}]
    assert set(document["components"]["schemas"]["Receipt"]["properties"]) == FIELDS


def test_they_feed_skill_and_calibration_and_ask_for_the_scope(
    registry_path, window, tmp_path, monkeypatch
):
    monkeypatch.setattr("windtunnel.deployment.bundle.LARGEST_BUCKET", 4)
    secret = "s" * 32
    digest = hashlib.sha256(secret.encode()).digest()
    tokens = Tokens((Token("desk", digest, frozenset(("predict",))),))
    bus = EventBus()
    app = create_app(registry_path, bus=bus, settings=Settings(tokens=tokens))
    app.state.follower.look()
    bundle = app.state.service.routes.champion.bundle
    settings = MonitorFile.model_validate({"drift": {"resamples": 100}})
    attached = attach(bus, lambda *_: bundle, settings, tmp_path)

    async def ask(path, body, **headers):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post(path, json=body, headers=headers)

    known = {"authorization": f"Bearer {secret}"}
    answer = anyio.run(lambda: ask("/v1/predict", window, **known)).json()
    decisions = [each for each in answer["decisions"] if each["score"] is not None]
    body = {"outcomes": [outcome(each) for each in decisions]}
    refused = anyio.run(lambda: ask("/v1/outcomes", body))
    assert refused.status_code == 401
    told = anyio.run(lambda: ask("/v1/outcomes", body, **known))
    assert told.json() == counts(accepted=len(body["outcomes"]))
    assert attached.queued.drain(60)
    watch = attached.monitor.watches["example", 1]
    assert attached.close()
    bars = len({each["timestamp"] for each in body["outcomes"]})
    horizon = bundle.manifest.label.horizon
    assert watch.skill.ic().count == -(-bars // horizon)
    # Every outcome was a rise, so the residual's mean is that of 1 - p over the bars used.
    used = sorted({each["timestamp"] for each in body["outcomes"]})[::horizon]
    p = [
        np.mean([(1 + e["score"]) / 2 for e in decisions if e["timestamp"] == bar]) for bar in used
    ]
    (calibration,) = (c for c in watch.skill.conditions(datetime.now(UTC)) if c.signal != "ic")
    assert calibration.value == pytest.approx(1 - np.mean(p), abs=1e-6)


START = datetime(2020, 1, 1)


def scored(bars, symbols=("a", "b")):
    stamps = np.array(
        [START + timedelta(days=bar) for bar in bars for _ in symbols], "datetime64[us]"
    )
    blank = np.zeros((len(stamps), 1), np.float32)
    return RowsScored("m", 1, blank, blank[:, 0], stamps, symbols * len(bars))


def moment(bar):
    return int(np.datetime64(START + timedelta(days=bar), "us").astype(np.int64))


@given(
    decided=st.lists(st.integers(0, 20), max_size=20),
    posts=st.lists(
        st.lists(
            st.tuples(st.integers(0, 25), st.sampled_from("abc"), st.sampled_from([0.0, 1.0]))
        ),
        max_size=8,
    ),
    bars=st.integers(1, 12),
)
def test_each_outcome_is_told_once_and_in_order(decided, posts, bars):
    """Against the rule read out: newest `bars` remembered, first word stands, time goes on."""
    bus = EventBus()
    arrived, counted = [], []
    bus.subscribe(arrived.append, OutcomesArrived)
    bus.subscribe(counted.append, OutcomesCounted)
    remembers = Decided(bus, bars)
    for bar in decided:
        remembers(scored([bar]))
    kept = set(sorted(set(decided))[-bars:])
    told: dict[tuple[int, str], float] = {}
    for post in posts:
        before = dict(told)
        newest = max((bar for bar, _ in told), default=-1)
        for bar, symbol, value in post:
            if bar in kept and symbol in "ab" and (bar > newest or (bar, symbol) in before):
                told.setdefault((bar, symbol), value)
        clash = any(told.get((bar, symbol), value) != value for bar, symbol, value in post)
        request = [(moment(bar), symbol, value) for bar, symbol, value in post]
        if clash:
            told = before
            with pytest.raises(Refusal, match="told before"):
                remembers.join("m", request)
            continue
        receipt = remembers.join("m", request)
        assert receipt.accepted == len(told) - len(before)
        assert sum(receipt.model_dump().values()) == len(post)
    heard = [
        (int(stamp.astype(np.int64)), symbol, value)
        for event in arrived
        for stamp, symbol, value in zip(
            event.timestamps, event.symbols, event.outcomes, strict=True
        )
    ]
    assert heard == sorted(heard)
    assert {(moment(bar), symbol): value for (bar, symbol), value in told.items()} == {
        (stamp, symbol): value for stamp, symbol, value in heard
    }
    assert len(heard) == len(told)
    assert sum(event.accepted for event in counted) == len(told)


def test_rows_without_bars_are_not_remembered():
    remembers = Decided(EventBus())
    blank = np.zeros((2, 1), np.float32)
    remembers(RowsScored("m", 1, blank, blank[:, 0]))
    assert remembers.join("m", [(moment(0), "a", 1.0)]).unknown == 1


def test_a_body_under_another_content_type_is_refused_by_its_header(client):
    for kind in ("application/x-www-form-urlencoded", "text/plain"):
        response = client.post("/v1/outcomes", content=b"{}", headers={"content-type": kind})
        assert response.status_code == 422
        problem = response.json()
        assert (problem["field"], problem["value"]) == ("content-type", kind)
        assert "content-type: application/json" in problem["remedy"]
    wrong = client.post("/v1/outcomes", json=[1]).json()
    assert wrong["field"] == "body", "what is JSON, but of another shape, is to blame itself"
