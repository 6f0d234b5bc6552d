"""A made-up panel with what goes wrong in real ones: gaps, late listing, ties, still prices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from windtunnel.data.panel import Panel

SERIES = ("open", "high", "low", "close", "volume")


def cut(panel: Panel, start: int, stop: int) -> Panel:
    """The panel of bars start to stop - 1, as if nothing else had ever been."""
    part = {name: getattr(panel, name)[start:stop].copy() for name in (*SERIES, "tradable")}
    return replace(panel, timestamps=panel.timestamps[start:stop], **part)


@pytest.fixture(scope="session")
def cut_panel() -> Callable[[Panel, int, int], Panel]:
    return cut


@pytest.fixture(scope="session")
def make_panel() -> Callable[..., Panel]:
    """Build a panel from closes (T, N); the other series default to something sensible."""

    def make(close, **series) -> Panel:
        close = np.array(close, np.float64)
        if close.ndim == 1:
            close = close[:, None]
        values = {"open": close, "high": close, "low": close, "volume": np.full_like(close, 1e3)}
        values |= {name: np.array(given, np.float64) for name, given in series.items()}
        values = {
            name: np.where(np.isnan(close), np.nan, given.reshape(close.shape))
            for name, given in values.items()
        }
        bars, instruments = close.shape
        return Panel(
            timestamps=np.datetime64("2020-01-01", "us") + np.arange(bars) * np.timedelta64(1, "D"),
            symbols=tuple("ABCDEFGH"[:instruments]),
            close=close,
            **values,
            tradable=values["volume"] > 0,
            fingerprint="made up",
        )

    return make


@pytest.fixture(scope="session")
def panel(make_panel) -> Panel:
    """120 bars of five instruments.

    A whole; B with single gaps and one of three bars; C listed from bar 47; D the price of A
    three times over (ties in rank) with a gap; E standing still from bar 70 to 95.
    """
    rng = np.random.default_rng(11)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (120, 5)), axis=0))
    close[:, 3] = close[:, 0] * 4  # a power of two, so that returns tie exactly
    close[70:96, 4] = close[70, 4]
    opening = close * np.exp(rng.normal(0, 0.01, close.shape))
    high = np.maximum(opening, close) * (1 + rng.uniform(0, 0.02, close.shape))
    low = np.minimum(opening, close) * (1 - rng.uniform(0, 0.02, close.shape))
    volume = np.round(rng.lognormal(10, 1, close.shape))
    volume[70:96, 4] = 0
    for place in ((20, 1), (60, 1), (slice(33, 36), 1), (slice(0, 47), 2), (51, 3)):
        close[place] = np.nan
    return make_panel(close, open=opening, high=high, low=low, volume=volume)
