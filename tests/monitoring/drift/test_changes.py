"""A change of a stream is said soon, and of which series; without one the interval is kept."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from windtunnel.errors import MonitoringError
from windtunnel.events import EventBus
from windtunnel.monitoring.alerts.condition import Condition
from windtunnel.monitoring.drift.changes import ChangeWatch, stream_kind
from windtunnel.monitoring.monitor import attach
from windtunnel.monitoring.settings import MonitorFile

pytest.importorskip("river")

START = datetime(2020, 1, 1, tzinfo=UTC)
BARS, INSTRUMENTS = 800, 2


def process(seed: int, bars: int, phi: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Features (bars, instruments, 3) of AR(1), two of them alike; scores follow the first."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(bars + 100, INSTRUMENTS, 3))
    for t in range(1, len(values)):
        values[t] = phi * values[t - 1] + np.sqrt(1 - phi * phi) * values[t]
    values[:, :, 1] = 0.95 * values[:, :, 0] + np.sqrt(1 - 0.95**2) * values[:, :, 1]
    return values[100:], np.tanh(values[100:, :, 0] / 2)


def watch_of(features: np.ndarray, scores: np.ndarray, **more) -> ChangeWatch:
    bars = np.repeat(np.arange(BARS), INSTRUMENTS)
    return ChangeWatch("m 1", features[:BARS].reshape(-1, 3), scores[:BARS].ravel(), bars, **more)


def feed(watch: ChangeWatch, features: np.ndarray, scores: np.ndarray) -> list[Condition]:
    found: list[Condition] = []
    for t, (rows, own) in enumerate(zip(features, scores, strict=True)):
        found += watch.bar(START + timedelta(days=t), rows, own)
    return found


def begun(found: list[Condition], name: str) -> list[datetime]:
    """When a condition of a series began to stand."""
    own = [condition for condition in found if condition.subject == f"m 1 {name}"]
    return [
        now.at
        for before, now in zip([None, *own], own, strict=False)
        if now.breached and (before is None or not before.breached)
    ]


@pytest.mark.parametrize("kind", ["page_hinkley", "adwin"])
@pytest.mark.parametrize("phi", [0.0, 0.9])
def test_the_promised_interval_is_kept_without_a_change(kind, phi: float) -> None:
    alarms = bars = 0
    for seed in range(4):
        features, scores = process(seed, BARS + 1000, phi)
        watch = watch_of(features, scores, kind=kind, false_alarm_bars=150)
        found = feed(watch, features[BARS:], scores[BARS:])
        alarms += sum(len(begun(found, name)) for name in ("score", "features"))
        bars += 1000
    expected = bars / 150
    assert alarms <= expected + 2 * np.sqrt(expected)


@pytest.mark.parametrize(
    ("change", "series"),
    [
        (lambda x, s: (x, s + 0.8), "score"),
        (lambda x, s: (x * 2.5, s), "features"),
        (lambda x, s: (x + 2.0, s), "features"),
        (lambda x, s: (x[:, :, [2, 1, 0]], s), "features"),  # a correlation is lost, no more
    ],
)
def test_a_planted_change_is_said_soon_and_is_over(change, series: str) -> None:
    features, scores = process(11, BARS + 300)
    watch = watch_of(features, scores)
    quiet = feed(watch, features[BARS : BARS + 150], scores[BARS : BARS + 150])
    assert not any(condition.breached for condition in quiet)
    found = feed(watch, *change(features[BARS + 150 :], scores[BARS + 150 :]))
    when = begun(found, series)[0]
    assert when < START + timedelta(days=80)
    other = {"score": "features", "features": "score"}[series]
    assert begun(found, other) == []
    own = [c for c in found if c.subject == f"m 1 {series}" and c.at >= when]
    assert all(condition.breached for condition in own[:20])
    assert own[19].history[-1][0] == own[18].at
    assert f"{own[19].value:.4g} over the last 20 bars" in own[19].what
    # The detector begins anew: when nothing changes again, it is over.
    assert not own[-1].breached


def test_one_wild_value_is_no_change() -> None:
    features, scores = process(12, BARS + 60)
    watch = watch_of(features, scores)
    features[BARS + 30] *= 1e6
    assert not any(c.breached for c in feed(watch, features[BARS:], scores[BARS:]))


def test_a_model_of_one_opinion_has_no_score_to_watch() -> None:
    features, scores = process(13, BARS + 5)
    watch = watch_of(features, scores * 0)
    found = feed(watch, features[BARS:], scores[BARS:] * 0)
    assert {condition.subject for condition in found} == {"m 1 features"}


def test_what_is_missing_is_said_before_anything_is_watched(tmp_path: Path, monkeypatch) -> None:
    assert stream_kind("auto") == "page_hinkley"
    assert stream_kind("off") is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert stream_kind("auto") is None
    settings = MonitorFile.model_validate({"streams": {"kind": "adwin"}})
    with pytest.raises(MonitoringError, match=r"streams\.kind: 'adwin' needs river"):
        attach(EventBus(), lambda *_: None, settings, tmp_path)  # type: ignore[arg-type,return-value]
