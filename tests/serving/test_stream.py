from __future__ import annotations

import json

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect


def address(client, path="/v1/stream"):
    return f"ws://{client.base_url.host}:{client.base_url.port}{path}"


def ask(stream, **request):
    stream.send(json.dumps(request))
    return json.loads(stream.recv(timeout=30))


def test_one_bar_at_a_time_gives_what_predict_gives_for_the_window(client, days, joined, example):
    bars = days
    warmup = example.warmup
    state = {"IBM": 0}
    with connect(address(client)) as stream:
        answer = ask(stream, bars=joined(bars[:warmup]), state=state)
        assert (answer["needs"], answer["decisions"]) == (1, [])
        assert answer["state"] == state
        for day in range(warmup, warmup + 12):
            answer = ask(stream, bars=bars[day])
            request = {"bars": joined(bars[: day + 1]), "state": state}
            expected = client.post("/v1/predict", json=request).json()
            assert answer["needs"] == 0
            for name in ("decisions", "state", "warnings", "version"):
                assert answer[name] == expected[name]
            state = answer["state"]


def test_bars_that_were_missed_are_decided_on_one_by_one(client, days, joined, example):
    bars, warmup = days, example.warmup
    with connect(address(client)) as stream:
        ask(stream, bars=joined(bars[: warmup + 1]))
        caught_up = ask(stream, bars=joined(bars[warmup + 1 : warmup + 5]))
    assert len({row["timestamp"] for row in caught_up["decisions"]}) == 4
    request = {"bars": joined(bars[: warmup + 5]), "since": bars[warmup]["timestamp"][0]}
    expected = client.post("/v1/predict", json=request).json()
    assert caught_up["state"] == expected["state"]
    assert caught_up["decisions"] == expected["decisions"][-len(caught_up["decisions"]) :]


@pytest.mark.parametrize(
    ("request_", "field", "problem"),
    [
        ({"bars": "repeat"}, "bars.timestamp", "is not after"),
        ({"bars": []}, "bars", "holds no bars"),
        ({"bars": "next", "state": {}}, "state", "first bars alone"),
        ({"bars": "next", "since": 1}, "since", "is not a field"),
        ({}, "bars", "is missing"),
        ([1], "body", "must be a JSON object"),
    ],
)
def test_a_refused_bar_changes_nothing(client, days, joined, example, request_, field, problem):
    bars, warmup = days, example.warmup
    if isinstance(request_, dict) and request_.get("bars") in ("repeat", "next"):
        which = warmup if request_["bars"] == "repeat" else warmup + 1
        request_ = {**request_, "bars": bars[which]}
    with connect(address(client)) as stream:
        ask(stream, bars=joined(bars[: warmup + 1]))
        stream.send(json.dumps(request_))
        refusal = json.loads(stream.recv(timeout=30))
        assert refusal["field"] == field
        assert problem in refusal["problem"]
        answer = ask(stream, bars=bars[warmup + 1])
        expected = client.post("/v1/predict", json={"bars": joined(bars[: warmup + 2])}).json()
        assert answer["decisions"] == expected["decisions"]


def test_a_price_out_of_range_is_taken_back(client, days, joined, example):
    bars, warmup = days, example.warmup
    wrong = {name: list(values) for name, values in bars[warmup + 1].items()}
    for name in ("open", "high", "low", "close"):
        wrong[name][0] = 1e308
    tiny = {name: list(values) for name, values in bars[warmup].items()}
    for name in ("open", "high", "low", "close"):
        tiny[name][0] = 1e-300
    with connect(address(client)) as stream:
        ask(stream, bars=joined(bars[:warmup]))
        ask(stream, bars=tiny)
        assert "far from any" in ask(stream, bars=wrong)["remedy"]
        again = ask(stream, bars=bars[warmup + 1])
    request = {"bars": joined([*bars[:warmup], tiny, bars[warmup + 1]])}
    expected = client.post("/v1/predict", json=request).json()
    assert again.get("decisions") == expected.get("decisions")
    assert again.get("problem") == expected.get("problem")


def test_pages_of_other_sites_are_turned_away(client):
    with pytest.raises(InvalidStatus) as refused, connect(address(client), origin="http://evil"):
        pass
    assert refused.value.response.status_code == 403
    assert b"another site" in refused.value.response.body
