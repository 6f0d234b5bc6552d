"""Latency of a prediction, in process and over HTTP, against a call that does nothing.

Over HTTP the peer is a route of the same style in the same application that reads the body
and returns a constant. Both are asked in turn, round by round, so that a slow moment of the
machine falls on both.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import statistics
import sys
import threading
import time
from pathlib import Path

import httpx
import jax
import numpy as np
import pytest
import uvicorn
from fastapi import Request, Response

from windtunnel.deployment.registry import Registry
from windtunnel.serving.app import create_app
from windtunnel.serving.endpoint import _compute
from windtunnel.serving.settings import Settings

ROUNDS = 400


def _example_module():
    path = Path(__file__).parent.parent / "tests" / "deployment" / "bundle_example.py"
    spec = importlib.util.spec_from_file_location("bundle_example", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bundle_example"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def example():
    return _example_module().make_example()


@pytest.fixture(scope="module")
def app(example, tmp_path_factory):
    directory = tmp_path_factory.mktemp("bench")
    maker = _example_module()
    maker.publish(
        Registry(directory / "registry"), maker.export_example(example, directory / "bundle")
    )
    app = create_app(directory / "registry")
    app.state.follower.look()

    @app.post("/nothing")
    async def nothing(request: Request) -> Response:
        await request.body()
        return Response(b"{}", media_type="application/json")

    return app


@pytest.fixture(scope="module")
def predictor(app):
    return app.state.service.ready().champion


@pytest.fixture(scope="module")
def client(app):
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", access_log=False))
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.05)
        yield client
    server.should_exit = True
    thread.join()


def answer(predictor, body):
    """The bytes of an answer, without HTTP."""
    return _compute(predictor, body, None, Settings()).content


def bodies(example, rows):
    """Requests that differ from one another, and the scores that they must get."""
    last = example.first + 60
    features = [example.features[last + i % 40].reshape(-1, 6)[:rows] for i in range(40)]
    requests = [json.dumps({"features": row.tolist()}).encode() for row in features]
    expected = [example.scores[last + i % 40][:rows] for i in range(40)]
    return requests, expected


def bars_body(example):
    """The bars that one decision on five instruments needs, as columns."""
    last = example.first + 70
    panel = example.panel
    bar, instrument = np.nonzero(panel.listed[last - example.warmup : last + 1])
    bar += last - example.warmup
    stamps = np.datetime_as_string(panel.timestamps[bar], unit="s")
    columns = {
        "timestamp": [f"{stamp}Z" for stamp in stamps.tolist()],
        "symbol": [panel.symbols[i] for i in instrument],
    }
    for name in ("open", "high", "low", "close", "volume"):
        columns[name] = getattr(panel, name)[bar, instrument].tolist()
    return json.dumps({"bars": columns}).encode(), example.scores[last]


def in_turn(calls):
    """Seconds of each call, asked in turn; medians and 99th percentiles by name."""
    seconds = {name: [] for name in calls}
    for i in range(ROUNDS + 20):
        for name, call in calls.items():
            start = time.perf_counter()
            call(i)
            seconds[name].append(time.perf_counter() - start)
    return {
        name: (statistics.median(all_[20:]), float(np.percentile(all_[20:], 99)))
        for name, all_ in seconds.items()
    }


def show(title, figures, base):
    print(f"\n{title}")
    for name, (median, tail) in figures.items():
        print(
            f"  {name:28s} p50 {median * 1e6:8.1f} us   p99 {tail * 1e6:8.1f} us   "
            f"{median / figures[base][0]:6.2f}x"
        )


def test_predict_in_process(predictor, example, benchmark):
    one, expected = bodies(example, 1)
    bars, on_bars = bars_body(example)
    rows = [example.features[example.first + 60 + i % 40, :1] for i in range(40)]
    for body, scores in zip(one, expected, strict=True):
        got = json.loads(answer(predictor, body))["scores"]
        np.testing.assert_allclose(got, scores, rtol=0, atol=1e-5)
    got = [row["score"] for row in json.loads(answer(predictor, bars))["decisions"]]
    np.testing.assert_allclose(got, on_bars, rtol=0, atol=1e-5)
    empty = jax.jit(lambda x: x[:, 0])
    np.asarray(empty(rows[0]))
    figures = in_turn(
        {
            "empty jitted call": lambda i: np.asarray(empty(rows[i % 40])),
            "score of one row": lambda i: predictor.score(rows[i % 40]),
            "score of one row, exact": lambda i: predictor.bundle.score(rows[i % 40]),
            "JSON features, one row": lambda i: answer(predictor, one[i % 40]),
            "JSON bars, 5 instruments": lambda _: answer(predictor, bars),
        }
    )
    show("prediction in process", figures, "empty jitted call")
    empty_call = figures["empty jitted call"][0]
    benchmark.extra_info |= {
        f"{name}, to an empty jitted call": median / empty_call
        for name, (median, _) in figures.items()
    }
    benchmark(predictor.bundle.score, rows[0])


def test_predict_over_http(client, example, benchmark):
    one, expected = bodies(example, 1)
    many, expected_many = bodies(example, 5)
    bars, on_bars = bars_body(example)

    def ask(path, body):
        response = client.post(path, content=body)
        assert response.status_code == 200
        return response

    for requests, scores in ((one, expected), (many, expected_many)):
        for body, score in zip(requests, scores, strict=True):
            got = ask("/v1/predict", body).json()["scores"]
            np.testing.assert_allclose(got, score, rtol=0, atol=1e-5)
    got = [row["score"] for row in ask("/v1/predict", bars).json()["decisions"]]
    np.testing.assert_allclose(got, on_bars, rtol=0, atol=1e-5)
    figures = in_turn(
        {
            "route that does nothing": lambda i: ask("/nothing", one[i % 40]),
            "features, one row": lambda i: ask("/v1/predict", one[i % 40]),
            "features, five rows": lambda i: ask("/v1/predict", many[i % 40]),
            "nothing, with bars": lambda _: ask("/nothing", bars),
            "bars, 5 instruments": lambda _: ask("/v1/predict", bars),
        }
    )
    show("prediction over HTTP, one connection", figures, "route that does nothing")
    nothing = figures["route that does nothing"][0]
    benchmark.extra_info |= {
        f"{name}, to a route that does nothing": median / nothing
        for name, (median, _) in figures.items()
    }
    benchmark(ask, "/v1/predict", one[0])
