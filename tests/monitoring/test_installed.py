"""Observers of other packages are found, kept behind queues, and left out when they are broken."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from windtunnel.events import EventBus, PredictionServed, Warned
from windtunnel.monitoring.installed import attach_installed

MODULE = """
from windtunnel.events import Warned

seen = []

def everything():
    return seen.append

def warnings_only():
    def observe(event):
        seen.append(event.message)
    observe.kinds = (Warned,)
    return observe

def broken():
    raise RuntimeError("no connection")

def wrong():
    return "not callable"
"""
POINTS = """[windtunnel.observers]
all = {module}:everything
broken = {module}:broken
gone = {module}_gone:nothing
warnings = {module}:warnings_only
wrong = {module}:wrong
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    name = "observers_" + request.node.name
    (tmp_path / f"{name}.py").write_text(MODULE)
    info = tmp_path / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS.format(module=name))
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_installed_observers_see_events(module: str, caplog: pytest.LogCaptureFixture) -> None:
    bus = EventBus()
    with caplog.at_level(logging.ERROR):
        attached = attach_installed(bus)
    assert [queued.name for queued in attached] == ["all", "warnings"]
    assert len(caplog.records) == 3
    served = PredictionServed("m", 1, 1, 0.0)
    bus.emit(served)
    bus.emit(Warned("look"))
    assert all(queued.close() for queued in attached)
    seen = sys.modules[module].seen
    assert served in seen
    assert Warned("look") in seen
    assert "look" in seen
    assert len(seen) == 3


def test_an_observer_can_be_left_out(module: str) -> None:
    attached = attach_installed(EventBus(), leave_out=("all", "broken", "gone", "wrong"))
    assert [queued.name for queued in attached] == ["warnings"]
