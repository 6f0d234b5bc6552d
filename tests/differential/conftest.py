"""Markets that peers and the engine trade alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from windtunnel.data.panel import Panel

if TYPE_CHECKING:
    from collections.abc import Callable


def _make_market(seed: int, bars: int, instruments: int = 1) -> Panel:
    """Random walks with gaps between bars and wicks around them; every bar can be traded."""
    rng = np.random.default_rng(seed)
    shape = (bars, instruments)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, shape), axis=0))
    before = np.vstack([np.full((1, instruments), 100.0), close[:-1]])
    open_ = before * np.exp(rng.normal(0, 0.01, shape))
    return Panel(
        timestamps=np.arange(bars).astype("datetime64[D]").astype("datetime64[us]"),
        symbols=tuple(f"S{n}" for n in range(instruments)),
        open=open_,
        high=np.maximum(open_, close) * (1 + rng.exponential(0.01, shape)),
        low=np.minimum(open_, close) / (1 + rng.exponential(0.01, shape)),
        close=close,
        volume=np.full(shape, 1e6),
        tradable=np.ones(shape, bool),
        fingerprint="0" * 64,
    )


@pytest.fixture(scope="session")
def make_market() -> Callable[..., Panel]:
    return _make_market
