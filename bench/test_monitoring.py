"""What watching costs a prediction: the bus, the metrics and the queues, against its p50."""

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
import numpy as np
import pytest
import uvicorn

from windtunnel.deployment.registry import Registry
from windtunnel.events import EventBus, PredictionServed, RowsScored
from windtunnel.monitoring.burn_rate import Objective
from windtunnel.monitoring.prometheus import PrometheusObserver
from windtunnel.monitoring.queued import QueuedObserver
from windtunnel.serving.answer import parse, scores_reply
from windtunnel.serving.app import create_app
from windtunnel.serving.service import open_predictor

CALLS = 3000


def _example_module():
    path = Path(__file__).parent.parent / "tests" / "deployment" / "bundle_example.py"
    spec = importlib.util.spec_from_file_location("bundle_example", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bundle_example"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bench")
    module = _example_module()
    bundle = module.export_example(module.make_example(), directory / "bundle")
    registry = Registry(directory / "registry")
    version = registry.register(bundle, note="bench")
    registry.promote("example", version, why="bench", force=True)
    return registry


@pytest.fixture(scope="module")
def predictor(registry):
    return open_predictor(registry, None, "champion")


def _http_p50_ns(registry, bodies):
    """Median of a prediction over a kept-alive connection to a real server."""
    app = create_app(registry.location)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", access_log=False))
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    took = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.05)
        for k in range(600):
            start = time.perf_counter_ns()
            assert client.post("/v1/predict", content=bodies[k % 64]).status_code == 200
            took.append(time.perf_counter_ns() - start)
    server.should_exit = True
    thread.join()
    return statistics.median(took[100:])


def _answer(predictor, body):
    """Score one row of features, from bytes to bytes."""
    rows = np.array(parse(body)["features"], np.float32)
    return scores_reply(predictor, predictor.bundle.score(rows))


def _watched(bus, rows):
    start = time.perf_counter_ns()
    bus.emit(PredictionServed("m", 1, 1, 1e-4))
    bus.emit(RowsScored("m", 1, *rows))
    return time.perf_counter_ns() - start


def test_watching_against_a_prediction(registry, predictor, benchmark, capsys):
    """All of it: metrics, an objective, and a queued observer of every row."""
    seen = []
    queued = QueuedObserver(seen.append, capacity=10**6)
    metrics = PrometheusObserver([Objective("fast", 0.99, 0.05)])
    bus = EventBus()
    bus.subscribe(metrics, *PrometheusObserver.kinds)
    bus.subscribe(queued, RowsScored)
    width = predictor.bundle.width
    rng = np.random.default_rng(0)
    bodies = [
        json.dumps({"features": rng.normal(size=(1, width)).round(3).tolist()}).encode()
        for _ in range(64)
    ]
    rows = (np.zeros((1, width), np.float32), np.zeros(1, np.float32))
    for body in bodies:
        _answer(predictor, body)
    plain, extra = [], []
    for k in range(CALLS):  # in turn, so that a slow moment falls on both
        start = time.perf_counter_ns()
        _answer(predictor, bodies[k % 64])
        plain.append(time.perf_counter_ns() - start)
        extra.append(_watched(bus, rows))
    assert queued.close()
    assert len(seen) == CALLS
    assert metrics.latency.summaries()[0].predictions == CALLS
    predict, watch = statistics.median(plain), statistics.median(extra)
    http = _http_p50_ns(registry, bodies)
    benchmark.extra_info["predict_us"] = predict / 1e3
    benchmark.extra_info["http_predict_us"] = http / 1e3
    benchmark.extra_info["watch_us"] = watch / 1e3
    benchmark.extra_info["ratio_http"] = watch / http
    benchmark.extra_info["ratio_in_process"] = watch / predict
    benchmark.pedantic(_watched, args=(bus, rows), rounds=100, iterations=10)
    with capsys.disabled():
        print(
            f"\nwatching {watch / 1e3:.2f} us; a prediction over HTTP {http / 1e3:.0f} us "
            f"({watch / http:.2%}), in process {predict / 1e3:.1f} us ({watch / predict:.2%})"
        )
