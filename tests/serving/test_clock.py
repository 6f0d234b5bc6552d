"""Clocks that are wrong or jump: bars are refused in words, and nothing else takes notice."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import pytest

from windtunnel.deployment.registry import Registry
from windtunnel.serving import answer, apart
from windtunnel.serving.app import create_app
from windtunnel.serving.settings import Settings

LAST = datetime(2012, 8, 1, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch):
    """Sets the time of day; what counts seconds by it would go astray."""

    def set_to(moment):
        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                return moment.astimezone(tz)

        monkeypatch.setattr(answer, "datetime", Clock)
        monkeypatch.setattr(time, "time", moment.timestamp)

    return set_to


@pytest.mark.parametrize(
    ("ahead", "told"),
    [
        (timedelta(seconds=-61), "61 s in the future"),
        (timedelta(days=-3650), "s in the future"),
        (timedelta(seconds=-59), None),
        (timedelta(seconds=3600), None),
        (timedelta(seconds=3601), "3601 s old, more than 3600 s"),
        (timedelta(days=36500), "s old, more than 3600 s"),
    ],
)
def test_bars_are_held_to_the_clock_with_a_limit_of_age_alone(clock, ahead, told):
    clock(LAST + ahead)
    stamp = np.datetime64(LAST.replace(tzinfo=None), "us")
    answer.check_age(stamp, None, "bars.timestamp")
    if told is None:
        answer.check_age(stamp, 3600.0, "bars.timestamp")
        return
    with pytest.raises(answer.Refusal) as refused:
        answer.check_age(stamp, 3600.0, "bars.timestamp")
    assert (refused.value.reason, refused.value.field) == ("stale", "bars.timestamp")
    assert told in refused.value.problem
    assert "clocks of both machines" in refused.value.remedy or "newer bars" in refused.value.remedy


def test_a_service_whose_clock_jumps_goes_on(registry_path, columns, clock, monkeypatch):
    monkeypatch.setattr("windtunnel.deployment.bundle.LARGEST_BUCKET", 8)
    monkeypatch.setattr(apart, "verify", lambda _: (True, ""))
    settings = Settings(
        max_age_seconds=86_400, requests_per_second=1000, burst=5, answer_seconds=300
    )
    app = create_app(Registry(registry_path).location, settings=settings)
    body = json.dumps({"bars": columns})
    last = max(datetime.fromisoformat(stamp) for stamp in columns["timestamp"])
    clock(last)
    assert app.state.follower.look()

    def ask(method, path, **content):
        async def send():
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
                return await client.request(method, path, **content)

        return asyncio.run(send())

    first = ask("POST", "/v1/predict", content=body)
    assert first.status_code == 200, first.text
    for year in (1990, 2090):
        clock(last.replace(year=year))
        assert ask("POST", "/v1/predict", content=body).status_code == 422
        # Rate, readiness and figures count seconds by a clock that does not jump.
        rows = ask("POST", "/v1/predict", json={"features": [[0.0] * 6]})
        assert rows.status_code == 200
        assert ask("GET", "/readyz").status_code == 200
        assert ask("GET", "/v1/status").json()["ready"]
        assert app.state.follower.look() is False, "nothing in the registry has changed"
    clock(last)
    assert ask("POST", "/v1/predict", content=body).content == first.content
