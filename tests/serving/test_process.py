from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from windtunnel.deployment.registry import Registry
from windtunnel.errors import RegistryError
from windtunnel.serving.server import serve

FORBIDDEN = (
    "flax",
    "optax",
    "optuna",
    "ray",
    "windtunnel._core",
    "windtunnel.experiments",
    "windtunnel.models",
    "windtunnel.trainers",
    "windtunnel.tuning",
)

PREDICT = """
import json, sys
from pathlib import Path
import numpy as np
from windtunnel.deployment.registry import Registry
from windtunnel.serving import app
from windtunnel.serving.endpoint import _compute
from windtunnel.serving.settings import Settings
from windtunnel.serving.service import open_predictor
app.create_app(Path(sys.argv[1]))
predictor = open_predictor(Registry(sys.argv[1]), None, "champion")
given = _compute(predictor, json.dumps({"features": [[0.0] * 6]}).encode(), None, Settings())
assert len(given.scored.scores) == 1 and json.loads(given.content)["scores"][0] is not None
print(json.dumps(sorted(sys.modules)))
"""


def test_serving_imports_nothing_that_trains(registry_path):
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, str(registry_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = json.loads(done.stdout)
    assert "windtunnel.features.kernels" in loaded
    found = [m for m in loaded for name in FORBIDDEN if m == name or m.startswith(f"{name}.")]
    assert found == []


def test_sigterm_drains_what_is_under_way(registry_path, start_server):
    with start_server(registry_path) as (server, client):
        address = (client.base_url.host, client.base_url.port)
        body = json.dumps({"features": [[0.0] * 6] * 5}).encode()
        head = f"POST /v1/predict HTTP/1.1\r\nHost: t\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(address, timeout=20) as slow:
            slow.sendall(head.encode() + body[:10])
            time.sleep(0.3)  # the request is under way when the signal comes
            server.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:  # the port closes at once
                try:
                    socket.create_connection(address, timeout=1).close()
                except OSError:
                    break
                time.sleep(0.05)
            else:
                pytest.fail("the port stayed open")
            assert server.poll() is None, "it must wait for the request"
            slow.sendall(body[10:])
            reply = b""
            while chunk := slow.recv(65536):
                reply += chunk
        assert reply.startswith(b"HTTP/1.1 200 OK")
        assert len(json.loads(reply.split(b"\r\n\r\n", 1)[1])["scores"]) == 5
        out, err = server.communicate(timeout=20)
        assert server.returncode == 0, err
        assert out == "ended\n"


def test_not_ready_until_loaded_and_never_with_a_damaged_bundle(
    maker, example, tmp_path, start_server
):
    bundle = maker.export_example(example, tmp_path / "bundle")
    registry = Registry(tmp_path / "registry", certify=lambda _: (True, ""))
    maker.publish(registry, bundle)
    params = registry.local(registry.resolve("example")) / "params.safetensors"
    params.chmod(0o644)
    params.write_bytes(b"x" + params.read_bytes()[1:])
    with start_server(tmp_path / "registry", ready=False) as (server, client):
        deadline = time.monotonic() + 30
        while "could not be loaded" not in (ready := client.get("/readyz")).text:
            assert ready.status_code == 503
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert ready.status_code == 503
        predict = client.post("/v1/predict", json={"features": [[0.0] * 6]})
        assert predict.status_code == 503
        assert predict.headers["retry-after"] == "1"
        assert client.get("/healthz").status_code == 200
        assert "params" not in predict.text, "the reason is for the log"
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=20)
        assert "params.safetensors" in err


def test_serve_finds_out_before_the_port_opens(registry_path, tmp_path):
    with pytest.raises(RegistryError, match="is empty or does not exist"):
        serve(tmp_path)
    with pytest.raises(RegistryError, match="has no alias 'canary'"):
        serve(registry_path, alias="canary")
    with pytest.raises(RegistryError, match="has no model 'other'"):
        serve(registry_path, "other")


def test_unforeseen_fault_shows_no_stack_trace(registry_path, monkeypatch):
    import anyio

    from windtunnel.serving import answer
    from windtunnel.serving.app import create_app

    def fails(*_):
        raise RuntimeError("secret detail")

    application = create_app(registry_path)
    monkeypatch.setattr(answer, "parse", fails)
    application.state.follower.look()

    async def ask():
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/v1/predict", content=b"{}")

    response = anyio.run(ask)
    assert response.status_code == 500
    assert response.json()["problem"] == "the service failed on this request"
    assert "secret" not in response.text
