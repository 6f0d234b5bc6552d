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
from windtunnel.events import EventBus, RowsScored
from windtunnel.monitoring.burn_rate import Objective
from windtunnel.monitoring.prometheus import PrometheusObserver
from windtunnel.monitoring.queued import QueuedObserver
from windtunnel.serving.app import create_app
from windtunnel.serving.endpoint import _compute
from windtunnel.serving.outcomes import Decided
from windtunnel.serving.service import open_predictor
from windtunnel.serving.settings import Settings
from windtunnel.serving.status import Status
from windtunnel.serving.telling import Teller

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


async def _in_turn(predictor, bodies, teller):
    """Nanoseconds of each prediction in process, and of noting it, timer included.

    On a loop that gets no turn meanwhile: what is noted waits.
    """
    settings, plain, noted = Settings(), [], []
    for k in range(CALLS):  # in turn, so that a slow moment falls on both
        start = time.perf_counter_ns()
        given = _compute(predictor, bodies[k % 64], None, settings)
        plain.append(time.perf_counter_ns() - start)
        start = time.perf_counter_ns()
        teller.note(predictor, given.scored, 1e-4)
        noted.append(time.perf_counter_ns() - start)
    start = time.thread_time_ns()
    teller.flush()
    return plain, noted, (time.thread_time_ns() - start) / CALLS


def test_watching_against_a_prediction(registry, predictor, benchmark, capsys):
    """All of it: metrics, an objective, the live page, outcomes, a queued observer of every row.

    An answer pays for a note; the event loop tells observers after it has been written. The
    time of that is given too, since the next answer may have to wait for it.
    """
    seen = []
    queued = QueuedObserver(seen.append, capacity=10**6)
    metrics = PrometheusObserver([Objective("fast", 0.99, 0.05)])
    bus = EventBus()
    bus.subscribe(metrics, *PrometheusObserver.kinds)
    for observer in (Status(), Decided(bus)):
        bus.subscribe(observer, *observer.kinds)
    bus.subscribe(queued, RowsScored)
    teller = Teller(bus, capacity=10**6)
    width = predictor.bundle.width
    rng = np.random.default_rng(0)
    bodies = [
        json.dumps({"features": rng.normal(size=(1, width)).round(3).tolist()}).encode()
        for _ in range(64)
    ]
    for body in bodies:
        given = _compute(predictor, body, None, Settings())
    plain, noted, told = asyncio.run(_in_turn(predictor, bodies, teller))
    assert queued.close()
    assert len(seen) == CALLS
    assert metrics.latency.summaries()[0].predictions == CALLS
    predict, watch = statistics.median(plain), statistics.median(noted)
    http = _http_p50_ns(registry, bodies)
    benchmark.extra_info["predict_us"] = predict / 1e3
    benchmark.extra_info["http_predict_us"] = http / 1e3
    benchmark.extra_info["watch_us"] = watch / 1e3
    benchmark.extra_info["told_afterwards_us"] = told / 1e3
    benchmark.extra_info["ratio_http"] = watch / http
    benchmark.extra_info["ratio_in_process"] = watch / predict
    benchmark.extra_info["ratio_http_with_telling"] = (watch + told) / http
    idle = Teller(EventBus())
    benchmark.pedantic(idle.note, args=(predictor, given.scored, 1e-4), rounds=100, iterations=100)
    with capsys.disabled():
        print(
            f"\nwatching {watch / 1e3:.2f} us, and {told / 1e3:.2f} us after the answer; a "
            f"prediction over HTTP {http / 1e3:.0f} us ({watch / http:.2%}, both "
            f"{(watch + told) / http:.2%}), in process {predict / 1e3:.1f} us "
            f"({watch / predict:.2%})"
        )
