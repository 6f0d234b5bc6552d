"""A registry with one champion, and a real server over it on the loopback interface."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from windtunnel.deployment.registry import Registry

SERVE = """
import sys
from windtunnel.serving.server import serve
from windtunnel.serving.settings import Settings
settings = Settings(max_body_bytes=200_000)
serve(sys.argv[1], port=int(sys.argv[2]), settings=settings, log_level="warning")
print("ended", flush=True)
"""


@pytest.fixture(scope="session")
def maker():
    """The module that makes the example bundle; test modules cannot import one another."""
    path = Path(__file__).parent.parent / "deployment" / "bundle_example.py"
    spec = importlib.util.spec_from_file_location("bundle_example", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bundle_example"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def example(maker):
    return maker.make_example()


@pytest.fixture(scope="session")
def registry_path(maker, example, tmp_path_factory):
    directory = tmp_path_factory.mktemp("serving")
    bundle = maker.export_example(example, directory / "bundle")
    maker.publish(Registry(directory / "registry"), bundle)
    return directory / "registry"


@pytest.fixture(scope="session")
def versions(maker, example, tmp_path_factory):
    """Bundles of three versions of the example with other weights, and the weights of each."""
    directory = tmp_path_factory.mktemp("versions")
    window = slice(example.first, example.first + maker.WINDOW)
    found = []
    for number, factor in enumerate((1.0, 0.5, -1.0), 1):
        hidden, head = example.params["layers"]
        scaled = {name: (factor * array).astype(np.float32) for name, array in head.items()}
        params = {**example.params, "layers": [hidden, scaled]}
        scores = maker.plain_score(params, example.features.reshape(-1, 6))
        scores = scores.reshape(example.scores.shape)[window]
        exposures, _ = maker.target_exposures(
            scores,
            example.panel.listed[window],
            enter=maker.POLICY.enter,
            exit=maker.POLICY.exit,
            leverage=maker.POLICY.leverage,
            long_only=maker.POLICY.long_only,
        )
        replay = maker.replay_frame(
            example.panel, (window.start, window.stop), scores, exposures, context=example.warmup
        )
        bundle = maker.export_example(
            example, directory / str(number), params=params, replay=replay
        )
        found.append((bundle, params))
    return found


@contextlib.contextmanager
def running(registry, *, ready=True):
    """A server in a process of its own; yields it and a client."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVE, str(registry), str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            deadline = time.monotonic() + 60
            while True:
                assert server.poll() is None, server.stderr.read()
                assert time.monotonic() < deadline, "the server did not become ready"
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/readyz").status_code == 200 or not ready:
                        break
                time.sleep(0.1)
            yield server, client
    finally:
        server.kill()
        server.communicate()


@pytest.fixture(scope="session")
def start_server():
    return running


@pytest.fixture(scope="session")
def client(registry_path):
    with running(registry_path) as (_, client):
        yield client


@pytest.fixture
def columns(example):
    """Bars of the last 60 days before the window's end, as a request holds them."""
    stamps = example.panel.timestamps
    last = stamps[example.first + 79]
    bars = example.bars.filter(
        example.bars["timestamp"]
        .dt.replace_time_zone(None)
        .is_between(stamps[example.first + 20].item(), last.item())
    ).sort("timestamp", "symbol")
    columns = {name: bars[name].to_list() for name in bars.columns}
    columns["timestamp"] = [stamp.isoformat() for stamp in columns["timestamp"]]
    names = ("timestamp", "symbol", "open", "high", "low", "close", "volume")
    return {name: columns[name] for name in names}


@pytest.fixture
def days(columns):
    """The same bars by timestamp, oldest first."""
    stamps = sorted(set(columns["timestamp"]))
    return [
        {
            name: [v for v, at in zip(values, columns["timestamp"], strict=True) if at == stamp]
            for name, values in columns.items()
        }
        for stamp in stamps
    ]


@pytest.fixture(scope="session")
def joined():
    """Makes the bars of one request of those of several days."""

    def join(parts):
        return {name: [value for part in parts for value in part[name]] for name in parts[0]}

    return join
