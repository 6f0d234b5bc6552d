"""A reference too short for its memory says so, wherever its promise is spoken of."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from windtunnel.monitoring.drift.changes import ChangeWatch
from windtunnel.monitoring.drift.promise import block_within, how_often, too_short
from windtunnel.monitoring.drift.reference import DriftReference, build_reference


def slow(seed: int, bars: int, phi: float) -> np.ndarray:
    """Three stationary autoregressive features (bars, 3)."""
    random = np.random.default_rng((21, seed))
    values = random.normal(size=(bars, 3))
    for t in range(1, bars):
        values[t] = phi * values[t - 1] + np.sqrt(1 - phi**2) * values[t]
    return values


def of(values: np.ndarray) -> DriftReference:
    return build_reference(values, ("a", "b", "c"), np.arange(len(values)))


@pytest.mark.parametrize(("phi", "bars"), [(0.9, 100), (0.95, 250), (0.97, 250), (0.97, 500)])
def test_a_long_memory_in_few_bars_is_told_of(phi: float, bars: int) -> None:
    for seed in range(5):
        reference = of(slow(seed, bars, phi))
        assert reference.stretches == pytest.approx(8)
        assert reference.unkept.startswith(f"the {bars} bars of the training rows are too few")
        needed = int(reference.unkept.split("; ")[1].split()[0].replace(",", ""))
        assert needed > bars


@pytest.mark.parametrize(("phi", "bars"), [(0.0, 250), (0.5, 500), (0.9, 1500), (0.97, 1500)])
def test_where_the_bars_are_enough_nothing_is_said(phi: float, bars: int) -> None:
    for seed in range(5):
        reference = of(slow(seed, bars, phi))
        assert reference.unkept == ""
        assert reference.block == reference.memory


def test_rows_without_bars_promise_nothing() -> None:
    reference = build_reference(slow(0, 1500, 0.0), ("a", "b", "c"))
    assert "not exported" in reference.unkept


def test_the_edge() -> None:
    assert too_short(12.5, 100) == ""
    assert too_short(12.6, 100).endswith("; 101 are needed, or more")
    assert (block_within(12.5, 100), block_within(50.0, 100)) == (12.5, 12.5)
    assert how_often(20, "") == "once in 20 bars at most"
    assert how_often(20, "x") == "perhaps more often than once in 20 bars, since x"


def test_a_stream_says_it_too() -> None:
    pytest.importorskip("river")
    said = {}
    for bars in (250, 2000):
        values = slow(1, bars, 0.97 if bars == 250 else 0.5)
        watch = ChangeWatch("m", values, values.mean(axis=1), np.arange(bars), false_alarm_bars=150)
        at = datetime(2024, 1, 1, tzinfo=UTC)
        said[bars] = [each.what for each in watch.bar(at, values[:1], values[:1].mean(axis=1))]
    assert any("perhaps more often than once in 150 bars" in what for what in said[250])
    assert all(what.endswith("once in 150 bars at most") for what in said[2000])
