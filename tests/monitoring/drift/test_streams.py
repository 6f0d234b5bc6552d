"""river's detectors keep the promised interval once they are calibrated, and still see a change."""

from __future__ import annotations

import numpy as np
import pytest

from windtunnel.errors import MonitoringError
from windtunnel.monitoring.drift.streams import StreamDetector

pytest.importorskip("river")

KINDS = ("adwin", "page_hinkley")


def autoregressive(random: np.random.Generator, bars: int, phi: float) -> np.ndarray:
    shocks = random.normal(size=bars + 200)
    values = np.zeros(bars + 200)
    for t in range(1, bars + 200):
        values[t] = phi * values[t - 1] + shocks[t]
    return values[200:]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_the_promised_interval_is_kept(kind, phi: float) -> None:
    alarms, bars, promised = 0, 0, 300
    for seed in range(8):
        values = autoregressive(np.random.default_rng((9, seed)), 3500, phi)
        detector = StreamDetector(values[:1500], kind=kind, false_alarm_bars=promised)
        alarms += sum(map(detector.update, values[1500:].tolist()))
        bars += 2000
    expected = bars / promised
    assert alarms <= expected + 2 * np.sqrt(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_found_soon(kind) -> None:
    random = np.random.default_rng(10)
    detector = StreamDetector(autoregressive(random, 1500, 0.5), kind=kind, false_alarm_bars=500)
    shifted = autoregressive(random, 200, 0.5) + 3.0
    assert any(map(detector.update, shifted.tolist()))
    assert not detector.update(float("nan"))


def test_defaults_do_not_keep_it() -> None:
    """Why this is needed: river's ADWIN as it comes, on an AR(1) series without any change."""
    from river import drift

    detector = drift.ADWIN()
    alarms = 0
    for value in autoregressive(np.random.default_rng(11), 10_000, 0.9).tolist():
        detector.update(value)
        alarms += detector.drift_detected
    assert alarms > 20


@pytest.mark.parametrize("reference", [np.zeros(500), np.arange(50.0)])
def test_a_reference_that_says_nothing_is_refused(reference: np.ndarray) -> None:
    with pytest.raises(MonitoringError, match="reference"):
        StreamDetector(reference)
