"""A prediction answered on the spot is the one that the application gives."""

from __future__ import annotations

import json

import numpy as np
import pytest

FLOAT32 = {"content-type": "application/octet-stream"}
ROWS = np.linspace(-1, 1, 18, dtype="<f4").reshape(3, 6)
REQUESTS = {
    "features": (json.dumps({"features": ROWS.tolist()}).encode(), {}),
    "float32": (ROWS.tobytes(), FLOAT32),
    "many rows": (np.tile(ROWS, (20, 1)).tobytes(), FLOAT32),
    "an id of its own": (ROWS.tobytes(), {**FLOAT32, "x-request-id": "mine"}),
    "no JSON": (b"{", {}),
    "nothing": (b"", {}),
    "no number": (b'{"features": [[1, 2, 3, 4, 5, "x"]]}', {}),
    "half a row": (ROWS.tobytes()[:10], FLOAT32),
    "infinity": (np.full(6, np.inf, "<f4").tobytes(), FLOAT32),
    "an unknown field": (b'{"rows": []}', {}),
}


def asked_both_ways(client, content, headers):
    # A query makes no difference to the application, and keeps the server from answering.
    direct, ordinary = (
        client.post("/v1/predict" + query, content=content, headers=headers)
        for query in ("", "?by=application")
    )
    assert direct.status_code == ordinary.status_code
    assert direct.content == ordinary.content
    changing = {"date", "x-request-id"}
    kept = [[p for p in r.headers.items() if p[0] not in changing] for r in (direct, ordinary)]
    assert sorted(kept[0]) == sorted(kept[1])
    assert set(direct.headers) == set(ordinary.headers)
    return direct


@pytest.mark.parametrize("kind", REQUESTS)
def test_both_ways_give_the_same(client, kind):
    content, headers = REQUESTS[kind]
    response = asked_both_ways(client, content, headers)
    if "x-request-id" in headers:
        assert response.headers["x-request-id"] == "mine"


def test_bars_too(client, columns, example):
    body = json.dumps({"bars": columns}).encode()
    assert len(body) > 16 * 2**10  # in a thread, both times
    assert asked_both_ways(client, body, {}).status_code == 200
    needed = sorted(set(columns["timestamp"]))[-1 - example.warmup :]
    keep = [i for i, stamp in enumerate(columns["timestamp"]) if stamp in needed]
    short = {name: [values[i] for i in keep] for name, values in columns.items()}
    body = json.dumps({"bars": short}).encode()
    assert len(body) < 16 * 2**10
    assert asked_both_ways(client, body, {}).status_code == 200
