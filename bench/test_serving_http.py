"""The service over HTTP against services that do nothing, and against onnxruntime.

One process each, all under uvicorn with uvloop and httptools, asked in turn by wrk, round by
round, so that a slow moment of the machine falls on all; a ratio is the median of the rounds'
ratios. The network is 64-128-128-1 on 64 features; metrics, the page's figures, a monitor and an
objective for latency are on.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import pytest

from windtunnel.deployment.registry import Registry
from windtunnel.serving.arrow import ARROW

sys.path.insert(0, str(Path(__file__).parent))
import serving_peers
import wide_bundle
import wrk

ROUNDS = int(os.environ.get("WINDTUNNEL_BENCH_ROUNDS", "7"))
SECONDS = float(os.environ.get("WINDTUNNEL_BENCH_SECONDS", "1"))
CONNECTIONS = tuple(map(int, os.environ.get("WINDTUNNEL_BENCH_CONNECTIONS", "1,32").split(",")))
BODIES = 40
FLOAT32 = "application/octet-stream"
PYDANTIC, STARLETTE = "FastAPI + pydantic, nothing", "Starlette, nothing"
ONNX = "FastAPI + onnxruntime"

FIELDS = ("p50", "p99", "rate")

pytestmark = pytest.mark.skipif(wrk.WRK is None, reason="wrk is not installed")


@contextlib.contextmanager
def running(name: str, argument: str = "") -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, serving_peers.__file__, name, str(port), argument]
    process = subprocess.Popen(command)  # noqa: S603 - this file's own command
    try:
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                path = "/readyz" if name.startswith("windtunnel") else "/"
                if httpx.get(f"http://127.0.0.1:{port}{path}").status_code in {200, 404}:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    directory = tmp_path_factory.mktemp("wide")
    bundle, params, rows = wide_bundle.export(directory / "bundle")
    registry = Registry(directory / "registry")
    number = registry.register(bundle, note="bench")
    registry.promote("wide", number, why="bench", force=True)
    serving_peers.write_onnx(params, directory / "model.onnx")
    return directory, params, rows[-BODIES:]


def arrow_columns(row):
    """A column a feature."""
    stream = io.BytesIO()
    pl.DataFrame(dict(zip(wide_bundle.FEATURES, row[:, None], strict=True))).write_ipc_stream(
        stream
    )
    return stream.getvalue()


def arrow_list(row):
    """One column of lists."""
    stream = io.BytesIO()
    lists = pl.Series(row[None], dtype=pl.Array(pl.Float32, len(row)))
    pl.DataFrame({"features": lists}).write_ipc_stream(stream)
    return stream.getvalue()


def check(ports, params, rows):
    """Every service that computes something computes this network."""
    expected = wide_bundle.plain_score(params, rows)
    for row, score in zip(rows, expected, strict=True):
        for name in ("windtunnel", "batching"):
            url = f"http://127.0.0.1:{ports[name]}/v1/predict"
            got = httpx.post(url, json={"features": [row.tolist()]}).json()["scores"][0]
            assert abs(got - score) < 1e-5
            for kind, body in (
                (FLOAT32, row.tobytes()),
                (ARROW, arrow_columns(row)),
                (ARROW, arrow_list(row)),
            ):
                got = httpx.post(url, content=body, headers={"content-type": kind})
                assert abs(np.frombuffer(got.content, "<f4")[0] - score) < 1e-5
        url = f"http://127.0.0.1:{ports['onnxruntime']}/v1/predict"
        assert abs(httpx.post(url, json={"features": row.tolist()}).json()["score"] - score) < 1e-5


def test_latency_and_throughput(model, benchmark):
    directory, params, rows = model
    single = [json.dumps({"features": row.tolist()}).encode() for row in rows]
    nested = [json.dumps({"features": [row.tolist()]}).encode() for row in rows]
    raw = [row.tobytes() for row in rows]
    scripts = {
        "single": wrk.script(directory / "single", single, "application/json"),
        "nested": wrk.script(directory / "nested", nested, "application/json"),
        "raw": wrk.script(directory / "raw", raw, FLOAT32),
        "columns": wrk.script(directory / "columns", [arrow_columns(r) for r in rows], ARROW),
        "lists": wrk.script(directory / "lists", [arrow_list(r) for r in rows], ARROW),
    }
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        ports = {
            "fastapi": enter(running("fastapi-nothing")),
            "starlette": enter(running("starlette-nothing")),
            "onnxruntime": enter(running("onnxruntime", str(directory / "model.onnx"))),
            "windtunnel": enter(running("windtunnel", str(directory / "registry"))),
            "batching": enter(running("windtunnel-batching", str(directory / "registry"))),
        }
        check(ports, params, rows)
        asked = {
            PYDANTIC: ("fastapi", "single"),
            STARLETTE: ("starlette", "raw"),
            ONNX: ("onnxruntime", "single"),
            "windtunnel, JSON": ("windtunnel", "nested"),
            "windtunnel, float32": ("windtunnel", "raw"),
            "windtunnel, Arrow list": ("windtunnel", "lists"),
            "windtunnel, Arrow columns": ("windtunnel", "columns"),
            "windtunnel, JSON, batching": ("batching", "nested"),
            "windtunnel, float32, batching": ("batching", "raw"),
        }
        found = {}
        for connections in CONNECTIONS:
            rounds = {name: [] for name in asked}
            for _ in range(ROUNDS):
                for name, (port, body) in asked.items():
                    load = wrk.load(
                        ports[port], scripts[body], connections=connections, seconds=SECONDS
                    )
                    rounds[name].append(load)
            found[connections] = {name: summary(name, rounds) for name in asked}
    show(found)
    benchmark.extra_info["loads"] = {str(number): loads for number, loads in found.items()}
    benchmark.pedantic(lambda: None, rounds=1)  # the figures are wrk's


def summary(name, rounds):
    """Medians over the rounds, and of the ratios within each round."""
    own = rounds[name]
    figures = {field: statistics.median(getattr(x, field) for x in own) for field in FIELDS}

    def ratio(field, other):
        pairs = zip(own, rounds[other], strict=True)
        return statistics.median(getattr(a, field) / getattr(b, field) for a, b in pairs)

    return figures | {
        "p50_to_pydantic": ratio("p50", PYDANTIC),
        "p99_to_pydantic": ratio("p99", PYDANTIC),
        "p50_to_starlette": ratio("p50", STARLETTE),
        "p99_to_starlette": ratio("p99", STARLETTE),
        "rate_to_onnx": ratio("rate", ONNX),
    }


def show(found):
    for connections, loads in found.items():
        print(f"\n{connections} connections")
        for name, load in loads.items():
            print(
                f"  {name:31s} p50 {load['p50']:6.0f} us  p99 {load['p99']:6.0f} us  "
                f"{load['rate']:6.0f}/s | p50, p99 to FastAPI {load['p50_to_pydantic']:5.2f} "
                f"{load['p99_to_pydantic']:5.2f} | to Starlette {load['p50_to_starlette']:5.2f} "
                f"{load['p99_to_starlette']:5.2f} | rate to onnxruntime "
                f"{load['rate_to_onnx']:5.2f}"
            )
