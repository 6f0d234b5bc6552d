"""What a client, a disk or a sink can do wrong, against a real server."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import numpy as np
import pytest
import websockets.exceptions
import websockets.sync.client

SERVE = """
import sys, time
from windtunnel.serving.settings import Settings
from windtunnel.serving import server
settings = Settings(
    header_seconds=0.5, body_seconds=0.8, max_connections=20, max_body_bytes=100_000, burst=5,
    requests_per_second=None, micro_batching=True, access_log=True,
)
server.serve(sys.argv[1], port=int(sys.argv[2]), settings=settings)
"""
BODY = json.dumps({"features": [[0.0] * 6]}).encode()
HEAD = b"POST /v1/predict HTTP/1.1\r\nhost: t\r\ncontent-length: %d\r\n\r\n" % len(BODY)


@pytest.fixture(scope="module")
def server(registry_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVE, str(registry_path), str(port)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr))
    reader.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                if client.get("/readyz").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        yield port, client, lines
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    reader.join()
    process.stderr.close()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=15)


def read_all(connection):
    reply = b""
    while chunk := connection.recv(65536):
        reply += chunk
    return reply


def read_status(connection):
    """One whole answer, in however many pieces it comes; its status."""
    reply = http.client.HTTPResponse(connection)
    reply.begin()
    reply.read()
    return reply.status


def test_a_head_that_never_ends_loses_its_connection(server):
    port, _, _ = server
    with connect(port) as slow:
        slow.sendall(HEAD[:30])
        assert read_all(slow) == b""
    with connect(port) as silent:
        assert read_all(silent) == b""


def test_a_body_that_never_ends_is_answered_with_408(server):
    port, client, _ = server
    with connect(port) as slow:
        slow.sendall(HEAD + BODY[:5])
        assert client.post("/v1/predict", content=BODY).status_code == 200, "others go on"
        reply = read_all(slow)
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.8 s" in reply


def test_a_body_in_pieces_within_its_time_is_answered(server):
    port, _, _ = server
    with connect(port) as slow:
        slow.sendall(HEAD)
        for byte in range(0, len(BODY), 10):
            time.sleep(0.02)
            slow.sendall(BODY[byte : byte + 10])
        assert read_status(slow) == 200
        slow.sendall(HEAD + BODY)  # the connection is kept, and its deadline begins anew
        assert read_status(slow) == 200


def test_connections_beyond_the_limit_are_closed_and_the_rest_served(server):
    port, client, _ = server
    client.get("/healthz")
    crowd = [connect(port) for _ in range(40)]
    try:
        assert client.get("/healthz").status_code == 200
    finally:
        for connection in crowd:
            connection.close()
    time.sleep(0.2)
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00" * 64,
        b"GET\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"POST /v1/predict HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /v1/../../../etc/passwd HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n",
        b"GET /v1/models/..%2f..%2fetc HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n",
    ],
)
def test_malformed_requests_are_refused(server, raw):
    port, client, _ = server
    with connect(port) as wild:
        wild.sendall(raw)
        reply = read_all(wild)
    assert not reply or reply.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 ", b"HTTP/1.1 408 "))
    assert b"root:" not in reply
    assert client.post("/v1/predict", content=BODY).status_code == 200


def test_clients_that_leave_in_the_middle_do_no_harm(server):
    port, client, _ = server
    for cut in (0, 10, len(HEAD), len(HEAD) + 5, len(HEAD) + len(BODY)):
        connection = connect(port)
        connection.sendall((HEAD + BODY)[:cut])
        connection.close()
    assert client.post("/v1/predict", content=BODY).status_code == 200


def test_no_request_can_forge_a_line_of_the_log(server):
    port, client, lines = server
    forged = '{"level":"error","message":"forged"}'
    client.post("/v1/predict", json={"features": [[0.0] * 6], f"x\n{forged}\x1b[31m": 1})
    client.post("/v1/predict", json={"bars": [{"x\r\n" + forged: 1}]})
    client.get("/%0a" + forged)
    # A library must not warn past the log either: 1e300 overflows in a cast to float32.
    beyond = client.post("/v1/predict", json={"features": [[1e300] * 6]})
    assert beyond.status_code == 422
    assert "beyond the range of float32" in beyond.json()["problem"]
    with connect(port) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nx-request-id: a%0a\x0b" + forged.encode() + b"\r\n\r\n")
        raw.recv(100)
    client.post("/v1/predict", content=BODY, headers={"x-request-id": "mine-1"})
    time.sleep(0.3)
    records = [json.loads(line) for line in lines]  # every line is a whole record
    assert not any(record["message"] == "forged" for record in records)
    assert not any(record["logger"] == "py.warnings" for record in records)
    assert any("forged" in json.dumps(record) for record in records), "it was logged as a value"
    assert not any("\x1b" in line for line in lines)
    assert any(
        record.get("request_id") == "mine-1" and record["message"] == "answered"
        for record in records
    )


def test_a_stream_that_is_turned_away_is_no_error_of_the_service(server):
    port, client, lines = server
    with (
        pytest.raises(websockets.exceptions.InvalidStatus),
        websockets.sync.client.connect(f"ws://127.0.0.1:{port}/v1/stream", origin="http://evil"),
    ):
        pass
    client.post("/v1/predict", content=BODY, headers={"x-request-id": "after-it"})
    deadline = time.monotonic() + 20
    while not any("after-it" in line for line in lines):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    records = [json.loads(line) for line in lines]
    assert any(record.get("reason") == "forbidden" for record in records)
    assert not any("handshake" in record["message"] for record in records)
    (where,) = [record for record in records if "answering on" in record["message"]]
    assert f"http://127.0.0.1:{port}" in where["message"]


def test_rows_of_requests_that_arrive_together_get_their_own_scores(server, example):
    """Micro-batching is on in this server: 16 clients at once, each with rows of its own."""
    _, client, _ = server
    rows = example.features[-40:].reshape(-1, 6)
    expected = example.scores[-40:].ravel()
    wrong = []

    def ask(offset):
        with httpx.Client(base_url=client.base_url) as own:
            for i in range(25):
                first, count = (offset * 11 + i) % 150, 1 + (offset + i) % 5
                body = rows[first : first + count]
                if i % 2:
                    got = own.post("/v1/predict", json={"features": body.tolist()}).json()["scores"]
                else:
                    headers = {"content-type": "application/octet-stream"}
                    answer = own.post("/v1/predict", content=body.tobytes(), headers=headers)
                    got = np.frombuffer(answer.content, "<f4")
                wrong.extend(
                    (first, a, b)
                    for a, b in zip(got, expected[first : first + count], strict=True)
                    if abs(a - b) > 1e-5
                )

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "has 0 bytes"),
        (b"\x00" * 23, "has 23 bytes, a row has 24"),
        (b"\x00\x00\xc0\x7f" * 6, "is not a finite number"),
        (b"\x00\x00\x80\x7f" * 6, "is not a finite number"),
        (b"\x01\x00\x80\x7f" * 6, "is not a finite number"),
    ],
)
def test_binary_rows_are_checked(server, content, told):
    _, client, _ = server
    headers = {"content-type": "application/octet-stream"}
    response = client.post("/v1/predict", content=content, headers=headers)
    assert response.status_code == 422
    assert told in response.json()["problem"]


def test_binary_numbers_whose_squares_overflow_are_numbers(server):
    _, client, _ = server
    headers = {"content-type": "application/octet-stream"}
    body = np.full(6, 1e30, "<f4").tobytes()
    assert client.post("/v1/predict", content=body, headers=headers).status_code == 200
