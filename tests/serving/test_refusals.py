from __future__ import annotations

import json
import math
import re

import pytest
from pydantic import TypeAdapter, ValidationError

from windtunnel.serving.schemas import BarsRequest, FeaturesRequest, Problem

REQUEST = TypeAdapter(BarsRequest | FeaturesRequest)


def change(column, row, value):
    def edit(body):
        body["bars"][column][row] = value

    return edit


def put(name, value):
    def edit(body):
        body[name] = value

    return edit


def drop(name):
    def edit(body):
        del body["bars"][name]

    return edit


def keep_days(days):
    def edit(body):
        kept = sorted(set(body["bars"]["timestamp"]))[-days:]
        rows = [i for i, day in enumerate(body["bars"]["timestamp"]) if day in kept]
        body["bars"] = {n: [v[i] for i in rows] for n, v in body["bars"].items()}

    return edit


def repeat_last(body):
    for values in body["bars"].values():
        values.append(values[-1])


def swap_days(body):
    stamps = body["bars"]["timestamp"]
    stamps[0], stamps[-1] = stamps[-1], stamps[0]
    body["bars"]["symbol"][0] = body["bars"]["symbol"][-1]


def second_bar(column, value):
    """In rows in place of columns: the second bar gets another value, or loses the column."""

    def edit(body):
        columns = body["bars"]
        body["bars"] = [dict(zip(columns, b, strict=True)) for b in zip(*columns.values())]  # noqa: B905
        if value is None:
            del body["bars"][1][column]
        else:
            body["bars"][1][column] = value

    return edit


def features(value):
    def edit(body):
        body.clear()
        body["features"] = value

    return edit


COLUMNS = ("timestamp", "symbol", "open", "high", "low", "close", "volume")
ROW = [0.0] * 6

# What is changed, the field named, a part of the problem, whether the schema shows it too.
TABLE = {
    "nan": (change("close", 7, math.nan), "bars.close[7]", "is not a finite number", True),
    "infinity": (change("high", 7, math.inf), "bars.high[7]", "is not a finite number", True),
    "huge integer": (change("volume", 1, 10**400), "bars.volume[1]", "is not a finite", True),
    "null": (change("open", 2, None), "bars.open[2]", "must be a number", True),
    "text number": (change("open", 2, "12.5"), "bars.open[2]", "must be a number", True),
    "boolean": (change("open", 2, True), "bars.open[2]", "must be a number", True),
    "missing column": (drop("volume"), "bars.volume", "is missing", True),
    "unknown column": (lambda b: b["bars"].update(vwap=[]), "bars.vwap", "is not a column", True),
    "uneven columns": (lambda b: b["bars"]["low"].pop(), "bars.low", "bars.timestamp has", False),
    "column no array": (lambda b: b["bars"].update(low=3), "bars.low", "must be an array", True),
    "no bars": (put("bars", []), "bars", "holds no bars", True),
    "no bars in columns": (put("bars", {n: [] for n in COLUMNS}), "bars", "holds no bars", True),
    "bars of text": (put("bars", "AAPL"), "bars", "must be an array of bars", True),
    "bar of text": (put("bars", ["AAPL"]), "bars[0]", "must be an object", True),
    "row without column": (second_bar("low", None), "bars[1].low", "is missing", True),
    "row with nan": (second_bar("low", math.nan), "bars[1].low", "is not a finite number", True),
    "row with more": (second_bar("x", 1), "bars[1].x", "is not a column of bars", True),
    "too few bars": (keep_days(20), "bars", "19 timestamps lie before.*need 20", False),
    "unknown instrument": (change("symbol", 3, "TSLA"), "bars.symbol[3]", "not an instr", False),
    "symbol no text": (change("symbol", 3, 5), "bars.symbol[3]", "is not an instrument", True),
    "symbol in list": (change("symbol", 3, ["IBM"]), "bars.symbol[3]", "is not an instr", True),
    "unsorted": (swap_days, "bars.timestamp", "comes after a later bar", False),
    "duplicate": (repeat_last, "bars.timestamp", "is a second bar of MSFT", False),
    "naive time": (change("timestamp", 0, "2012-05-18T00:00:00"), "bars.timestamp[0]",
                   "has no time zone", False),
    "date alone": (change("timestamp", 0, "2012-05-18"), "bars.timestamp[0]", "no time zone",
                   False),
    "no time": (change("timestamp", 0, "yesterday"), "bars.timestamp[0]", "is not an ISO", True),
    "time as number": (change("timestamp", 0, 1337299200), "bars.timestamp[0]", "in a string",
                       True),
    "time in list": (change("timestamp", 0, []), "bars.timestamp[0]", "in a string", True),
    "low above high": (change("low", 4, 1e6), "bars.low[4]", "is above high", False),
    "close above high": (change("close", 4, 1e6), "bars.close[4]", "is above high", False),
    "open below low": (change("open", 4, 1e-6), "bars.open[4]", "is below low", False),
    "price of zero": (change("close", 4, 0), "bars.close[4]", "must be above zero", True),
    "price below zero": (change("low", 4, -1.5), "bars.low[4]", "must be above zero", True),
    "volume below zero": (change("volume", 4, -1), "bars.volume[4]", "not be negative", True),
    "since before": (put("since", "2001-01-01T00:00:00Z"), "since", "lies outside the bars", False),
    "since after": (put("since", "2031-01-01T00:00:00Z"), "since", "lies outside the bars", False),
    "since naive": (put("since", "2012-07-01T00:00:00"), "since", "has no time zone", False),
    "since no time": (put("since", 7), "since", "must be a timestamp", True),
    "since too early": (put("since", "2012-05-30T00:00:00Z"), "bars", "the features need", False),
    "state of two": (put("state", {"IBM": 2}), "state.IBM", "must be one of -1, 0, 1", True),
    "state as real": (put("state", {"IBM": 1.0}), "state.IBM", "must be one of", True),
    "state as truth": (put("state", {"IBM": True}), "state.IBM", "must be one of", True),
    "state unknown": (put("state", {"TSLA": 1}), "state.TSLA", "is not an instrument", False),
    "state in list": (put("state", [1]), "state", "must be an object", True),
    "unknown field": (put("until", "now"), "until", "is not a field of a request", True),
    "bars and features": (put("features", [ROW]), "body", "both bars and features", True),
    "neither": (lambda b: b.pop("bars"), "body", "neither bars nor features", True),
    "features short": (features([ROW, ROW[:5]]), "features[1]", "5 numbers, the model takes 6",
                       False),
    "features long": (features([[*ROW, 0]]), "features[0]", "has 7 numbers", False),
    "features flat": (features(ROW), "features[0]", "must be an array of numbers", True),
    "features none": (features([]), "features", "must be a non-empty array", True),
    "features no array": (features({}), "features", "must be a non-empty array", True),
    "features nan": (features([ROW, [0, 0, 0, math.nan, 0, 0]]), "features[1][3]", "not a finite",
                     True),
    "features text": (features([[*ROW[:5], "a"]]), "features[0][5]", "must be a number", True),
    "features beyond float32": (features([[*ROW[:5], 1e39]]), "features[0][5]",
                                "beyond the range of float32", False),
    "features with since": (lambda b: b.update(b.pop("bars") and {"features": [ROW], "since": ""}),
                            "since", "goes with bars", True),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_unusable_request_is_refused_with_place_and_remedy(client, columns, case):
    edit, field, problem, in_schema = TABLE[case]
    body = {"bars": columns}
    edit(body)
    text = json.dumps(body)
    response = client.post("/v1/predict", content=text)
    assert response.status_code == 422, response.text
    answer = response.json()
    Problem.model_validate(answer)
    assert set(answer) == {"field", "value", "problem", "remedy"}
    assert answer["field"].startswith(field)
    assert re.search(problem, answer["problem"]), answer["problem"]
    assert len(answer["remedy"]) > 10
    try:
        REQUEST.validate_json(text)
    except ValidationError:
        assert in_schema
    else:
        assert not in_schema, "the published schema lets it pass"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"7", b"\xff\xfe", b'{"bars": ' + b"[" * 5000, b'{"a": 1e}']
)
def test_malformed_body_is_refused(client, content):
    response = client.post("/v1/predict", content=content)
    assert response.status_code == 422
    assert response.json()["field"] == "body"


def test_warm_up_refusal_says_how_many_are_needed(client, columns):
    body = {"bars": columns}
    keep_days(20)(body)
    answer = client.post("/v1/predict", json=body).json()
    assert answer["value"] == 20
    assert "Send at least 21 timestamps" in answer["remedy"]
    keep_days(21)(body := {"bars": columns})
    assert client.post("/v1/predict", json=body).status_code == 200


def test_prices_without_defined_features_are_refused(client, columns):
    for name in ("open", "high", "low", "close"):  # the ratio of two days is beyond float64
        columns[name][-1] = 1e308
        columns[name][-6] = 1e-300
    response = client.post("/v1/predict", json={"bars": columns})
    assert response.status_code == 422
    answer = response.json()
    assert answer["field"] == "bars"
    assert "return_1" in answer["problem"]
    assert "far from any that the model was made for" in answer["remedy"]


def test_a_clients_own_value_comes_back_short(client, columns):
    columns["symbol"][0] = "A" * 100_000
    answer = client.post("/v1/predict", json={"bars": columns}).json()
    assert len(answer["value"]) < 100
    columns["symbol"][0] = "IBM\n2026-01-01 ERROR forged"
    answer = client.post("/v1/predict", json={"bars": columns}).json()
    assert answer["field"] == "bars.symbol[0]"
