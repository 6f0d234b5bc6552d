"""The scripts of the deploy workflow, run as it runs them: real service, real registry."""

from __future__ import annotations

import hashlib
import http.server
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import polars as pl
import pytest

from windtunnel.deployment.manifest import MANIFEST, REPLAY, SEAL, read_verified, seal
from windtunnel.deployment.registry import Registry
from windtunnel.events import PredictionFailed, PredictionServed
from windtunnel.monitoring.prometheus import PrometheusObserver

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "tests" / "data" / "bundles" / "2026-11-25"


@pytest.fixture
def registry(tmp_path):
    """A champion, and a candidate as version 2, both real bundles."""
    registry = Registry(tmp_path / "registry", certify=lambda _: (True, ""))
    registry.register(BUNDLE, note="")
    registry.promote("example", 1, why="")
    path = ROOT / "tests" / "deployment" / "bundle_example.py"
    spec = importlib.util.spec_from_file_location("bundle_example", path)
    maker = importlib.util.module_from_spec(spec)
    sys.modules["bundle_example"] = maker
    spec.loader.exec_module(maker)
    registry.register(maker.export_example(maker.make_example(), tmp_path / "next"), note="")
    return registry


@pytest.fixture
def environment(tmp_path, registry):
    """The registry's name, and `windtunnel` as the image has it on the path."""
    command = tmp_path / "bin" / "windtunnel"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m windtunnel "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        "PATH": path,
        "WINDTUNNEL_REGISTRY": str(registry.location),
        "WINDTUNNEL_TEST_FOLDER": str(tmp_path),
    }


def smoke(*arguments, env):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "smoke_bundle.py", *map(str, arguments)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_version_is_served_and_replayed_over_http(environment, registry):
    before = registry.state("example")
    done = smoke("example", "2", env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Over HTTP: 360 scores on 80 bars replay within 1e-05")
    assert registry.state("example") == before, "the trial had a registry of its own"


@pytest.mark.slow
def test_bundle_that_answers_otherwise_fails_the_smoke_test(environment, tmp_path):
    path = shutil.copytree(BUNDLE, tmp_path / "other")
    _, contents = read_verified(path)
    frame = pl.read_parquet(io.BytesIO(contents[REPLAY]))
    frame.with_columns(pl.col("score") * 0.9).write_parquet(path / REPLAY)
    raw = json.loads((path / MANIFEST).read_bytes())
    raw["files"][REPLAY] = hashlib.sha256((path / REPLAY).read_bytes()).hexdigest()
    written = json.dumps(raw).encode()
    (path / MANIFEST).write_bytes(written)
    (path / SEAL).write_bytes(seal(written))
    done = smoke(path, env=environment)
    assert done.returncode != 0
    assert "the service refuses the bundle" in done.stderr


@pytest.fixture
def metrics():
    """A service's metrics; ``failing`` is the share of its canary's requests that fail."""
    exporter = PrometheusObserver()
    state = {"failing": 0.0}

    class Metrics(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state.pop("before", lambda: None)()
            for i in range(400):
                version = 2 if i % 5 == 0 else 1
                failed = version == 2 and (i // 5) % 10 < 10 * state["failing"]
                served = PredictionServed("example", version, 1, 0.001)
                exporter(PredictionFailed("example", version) if failed else served)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(exporter.exposition())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state["url"] = f"http://127.0.0.1:{server.server_port}/metrics"
    yield state
    server.shutdown()
    server.server_close()


def deploy(environment, *arguments, **more):
    return subprocess.run(
        ["bash", ROOT / "scripts" / "deploy_canary.sh", *map(str, arguments)],
        # The memory bank of the folder is told: not the one of this repository.
        cwd=environment["WINDTUNNEL_TEST_FOLDER"],
        env={**environment, "JUDGE_ARGS": "--every 0.05", **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize(
    ("failing", "code", "action"), [(0.0, 0, "promoted"), (0.5, 14, "canary_stopped")]
)
def test_canary_is_deployed_and_judged(environment, registry, metrics, failing, code, action):
    metrics["failing"] = failing
    done = deploy(environment, "example", 2, 0.2, metrics["url"], REASON="a drill")
    assert done.returncode == code, done.stdout + done.stderr
    log = registry.history("example")
    assert [entry["action"] for entry in log[-2:]] == ["canary_started", action]
    assert (log[-2]["who"], log[-2]["why"]) == ("deployment", "a drill")
    assert log[-1]["who"] == "canary judge"
    assert registry.state("example").champion == (2 if code == 0 else 1)


def test_canary_is_stopped_when_time_is_up(environment, registry, metrics, tmp_path):
    path = tmp_path / "generation"
    more = {"JUDGE_SECONDS": "2", "JUDGE_ARGS": "--every 0.5 --fewest 900000"}
    begun = registry.state("example").generation + 1
    done = deploy(environment, "example", 2, 0.2, metrics["url"], **more, GENERATION_FILE=str(path))
    assert done.returncode not in {0, 14}
    assert registry.state("example").aliases == {"champion": 1}
    assert registry.history("example")[-1]["why"] == "the deployment ended early"
    assert path.read_text() == f"{begun}\n"


def test_a_canary_that_somebody_else_began_is_not_stopped(environment, registry, metrics):
    # An operator takes over while the judge looks: here, as it asks for the metrics.
    def take_over():
        registry.stop_canary("example", why="by hand")
        registry.start_canary("example", 2, weight=0.5, why="by hand")

    metrics["before"] = take_over
    more = {"JUDGE_SECONDS": "2", "JUDGE_ARGS": "--every 0.5 --fewest 900000"}
    done = deploy(environment, "example", 2, 0.2, metrics["url"], **more)
    assert done.returncode not in {0, 14}
    assert registry.state("example").canary.weight == 0.5


def test_nothing_is_started_without_a_registry(environment):
    del environment["WINDTUNNEL_REGISTRY"]
    done = deploy(environment, "example", 2, 0.2, "http://127.0.0.1:1/metrics")
    assert done.returncode != 0
    assert "names the registry" in done.stderr
