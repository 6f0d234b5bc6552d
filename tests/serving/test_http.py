from __future__ import annotations

import concurrent.futures
import json
import math

import numpy as np
import pytest
from pydantic import TypeAdapter

from windtunnel.backtest.policy import target_exposures
from windtunnel.serving.schemas import BarsRequest, DecisionsAnswer, FeaturesRequest, ScoresAnswer

TOLERANCE = 1e-5  # stated for scores: float32, another batch shape
REQUEST = TypeAdapter(BarsRequest | FeaturesRequest)


def as_rows(columns):
    return [dict(zip(columns, bar, strict=True)) for bar in zip(*columns.values(), strict=True)]


def window_bars(example, *, context=0):
    """The bars of the replay window and `context` before it, as columns."""
    panel, columns = example.panel, {}
    start, last = example.first - context, example.first + 80
    bar, instrument = np.nonzero(panel.listed[start:last])
    stamps = np.datetime_as_string(panel.timestamps[start:last], unit="s")
    columns["timestamp"] = [f"{stamp}Z" for stamp in stamps[bar].tolist()]
    columns["symbol"] = [panel.symbols[i] for i in instrument]
    for name in ("open", "high", "low", "close", "volume"):
        columns[name] = getattr(panel, name)[start:last][bar, instrument].tolist()
    return columns, f"{stamps[context]}Z"


def table(decisions, example, field):
    """(bars, instruments) of a field of the answer; null becomes NaN."""
    values = [math.nan if row[field] is None else row[field] for row in decisions]
    return np.array(values, np.float64).reshape(-1, example.panel.instruments)


@pytest.mark.parametrize("form", ["columns", "rows"])
def test_served_decisions_are_those_of_the_study(client, example, form):
    columns, since = window_bars(example, context=example.warmup)
    bars = columns if form == "columns" else as_rows(columns)
    body = json.dumps({"bars": bars, "since": since})
    REQUEST.validate_json(body)
    response = client.post("/v1/predict", content=body)
    assert response.status_code == 200, response.text
    answer = response.json()
    DecisionsAnswer.model_validate(answer)
    assert (answer["model"], answer["version"], answer["trial"]) == ("example", 1, 41)
    decisions = answer["decisions"]
    assert len(decisions) == 80 * 5
    assert [row["symbol"] for row in decisions[:5]] == list(example.panel.symbols)
    assert decisions[0]["timestamp"] == since
    scores = table(decisions, example, "score")
    studied = example.scores[example.first : example.first + 80]
    np.testing.assert_array_equal(np.isnan(scores), np.isnan(studied))
    np.testing.assert_allclose(scores, studied, rtol=0, atol=TOLERANCE)
    exposures = table(decisions, example, "exposure")
    np.testing.assert_array_equal(exposures, example.exposures)
    assert len(np.unique(exposures[~np.isnan(exposures)])) >= 4, "both signs, and two shares"
    assert "no score on 20 of" in answer["warnings"][0]  # listed within the window


def test_day_by_day_with_state_equals_the_whole_window(client, example):
    columns, _ = window_bars(example, context=example.warmup)
    rows = as_rows(columns)
    days = sorted(set(columns["timestamp"]))
    state, exposures = None, []
    for day in days[example.warmup : example.warmup + 15]:
        i = days.index(day)
        bars = [row for row in rows if days[i - example.warmup] <= row["timestamp"] <= day]
        body = {"bars": bars} if state is None else {"bars": bars, "state": state}
        answer = client.post("/v1/predict", json=body).json()
        state = answer["state"]
        held = {row["symbol"]: row["exposure"] for row in answer["decisions"]}
        exposures.append([held.get(symbol) for symbol in example.panel.symbols])
        assert {row["timestamp"] for row in answer["decisions"]} == {day}
    served = np.array(exposures, np.float64)
    np.testing.assert_array_equal(served, example.exposures[:15])
    assert np.nanmax(np.abs(served)) > 0


def test_state_decides_between_the_thresholds(client, example, maker):
    policy = {name: getattr(maker.POLICY, name) for name in ("enter", "exit", "leverage")}
    size = np.abs(example.scores[example.first :])
    between = (size > policy["exit"]) & (size < policy["enter"])
    t = example.first + int(np.argmax(between.any(axis=1)))
    columns, _ = window_bars(example, context=example.warmup)
    day = f"{np.datetime_as_string(example.panel.timestamps[t], unit='s')}Z"
    rows = [row for row in as_rows(columns) if row["timestamp"] <= day]
    symbols, last = example.panel.symbols, example.scores[t : t + 1]
    signs = np.sign(np.nan_to_num(last[0])).astype(np.int8)
    answers = []
    for state in (np.zeros(5, np.int8), signs, -signs):
        body = {"bars": rows, "state": dict(zip(symbols, state.tolist(), strict=True))}
        answer = client.post("/v1/predict", json=body).json()
        expected, after = target_exposures(
            last, example.panel.listed[t : t + 1], state=state, long_only=False, **policy
        )
        served = dict.fromkeys(symbols) | {
            row["symbol"]: row["exposure"] for row in answer["decisions"]
        }
        np.testing.assert_array_equal(np.array([*served.values()], float), expected[0])
        assert answer["state"] == dict(zip(symbols, after.tolist(), strict=True))
        answers.append(answer["state"])
    assert answers[0] != answers[1], "a held signal stays where a new one would not open"


def test_features_give_scores_alone(client, example):
    rows = example.features[-40:].reshape(-1, 6)
    expected = example.scores[-40:].ravel()
    body = json.dumps({"features": rows.tolist()})
    REQUEST.validate_json(body)
    answer = client.post("/v1/predict", content=body).json()
    ScoresAnswer.model_validate(answer)
    np.testing.assert_allclose(answer["scores"], expected, rtol=0, atol=TOLERANCE)
    assert set(answer) == {"model", "version", "trial", "scores", "warnings"}


def test_instruments_left_out_are_named(client, columns):
    keep = [i for i, symbol in enumerate(columns["symbol"]) if symbol != "IBM"]
    fewer = {name: [values[i] for i in keep] for name, values in columns.items()}
    answer = client.post("/v1/predict", json={"bars": fewer, "state": {"IBM": -1}}).json()
    assert "4 of the model's 5 instruments; without IBM" in answer["warnings"][0]
    assert answer["state"]["IBM"] == -1, "what is not decided on is kept"
    assert {row["symbol"] for row in answer["decisions"]} == {"AAPL", "FB", "GOOG", "MSFT"}


def test_order_zone_and_precision_of_timestamps_do_not_matter(client, columns):
    expected = client.post("/v1/predict", json={"bars": columns}).json()
    order = sorted(range(len(columns["symbol"])), key=lambda i: columns["symbol"][i])
    by_symbol = {name: [values[i] for i in order] for name, values in columns.items()}
    by_symbol["timestamp"] = [
        stamp.replace("T00:00:00+00:00", "T05:30:00.000000+05:30")
        for stamp in by_symbol["timestamp"]
    ]
    assert by_symbol["timestamp"][0].endswith("+05:30")
    answer = client.post("/v1/predict", json={"bars": by_symbol}).json()
    assert answer == expected


def test_many_clients_at_once_get_their_own_answers(client, example):
    rows = example.features[-40:].reshape(-1, 6)
    expected = example.scores[-40:].ravel()

    def ask(i):
        reply = client.post("/v1/predict", json={"features": rows[i : i + 1 + i % 7].tolist()})
        return np.abs(np.array(reply.json()["scores"]) - expected[i : i + 1 + i % 7]).max()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert max(pool.map(ask, range(150))) < TOLERANCE


def test_health_models_and_openapi(client):
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready", "model": "example", "version": 1}
    (model,) = client.get("/v1/models").json()["models"]
    assert model["name"] == "example"
    assert model["aliases"] == {"champion": 1}
    assert model["serving"] == 1
    assert "replay within" in model["versions"][0]["certificate"]
    assert "path" not in model["versions"][0]
    document = client.get("/openapi.json").json()
    body = document["paths"]["/v1/predict"]["post"]["requestBody"]
    named = [item["$ref"] for item in body["content"]["application/json"]["schema"]["anyOf"]]
    assert named == ["#/components/schemas/BarsRequest", "#/components/schemas/FeaturesRequest"]
    text = json.dumps(document)
    for name in ("BarsRequest", "FeaturesRequest", "Bar", "BarColumns", "Problem", "Decision"):
        assert name in document["components"]["schemas"]
    assert "#/$defs/" not in text


def test_metrics_count_what_was_served_and_refused(client):
    def count(line):
        lines = client.get("/metrics").text.splitlines()
        return next((float(x.rsplit(" ", 1)[1]) for x in lines if x.startswith(line)), 0.0)

    served = 'windtunnel_predictions_total{model="example",version="1"}'
    rows = 'windtunnel_prediction_rows_total{model="example",version="1"}'
    refused = 'windtunnel_refusals_total{model="example",reason="json"}'
    before = count(served), count(rows), count(refused)
    client.post("/v1/predict", json={"features": [[0.0] * 6] * 3})
    client.post("/v1/predict", content=b"{")
    assert (count(served), count(rows), count(refused)) == (
        before[0] + 1,
        before[1] + 3,
        before[2] + 1,
    )


@pytest.mark.parametrize("announced", [True, False])
def test_body_beyond_the_limit_is_refused(client, announced):
    def refusals():
        lines = client.get("/metrics").text.splitlines()
        name = 'windtunnel_refusals_total{model="example",reason="too_large"}'
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    before = refusals()
    body = b" " * 200_001
    content = body if announced else iter([body[:100_000], body[100_000:]])
    response = client.post("/v1/predict", content=content)
    assert response.status_code == 413
    assert response.json()["problem"] == "is larger than 200000 bytes"
    assert refusals() == before + 1
    assert client.post("/v1/predict", content=b" " * 200_000).status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/predict", 405),
        ("GET", "/../../etc/passwd", 404),
        ("POST", "/healthz", 405),
    ],
)
def test_unknown_paths_answer_in_the_same_shape(client, method, path, status):
    response = client.request(method, path)
    assert response.status_code == status
    assert set(response.json()) == {"field", "value", "problem", "remedy"}
