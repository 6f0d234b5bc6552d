from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from unittest.mock import patch

import numpy as np
import pytest

from windtunnel.backtest.native import core
from windtunnel.data.panel import Panel

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from windtunnel.backtest.oracle_account import Ledger
    from windtunnel.backtest.result import BacktestResult


class MakePanel(Protocol):
    def __call__(
        self,
        open_: npt.ArrayLike,
        close: npt.ArrayLike,
        tradable: npt.ArrayLike | None = None,
    ) -> Panel: ...


LEVELS = ("v2", "avx2", "avx512")


def _at_every_level(run: Callable[[], BacktestResult]) -> BacktestResult:
    """What `run` gives, once narrower instruction sets have given the same bits."""
    result, widest = run(), core.widest_instruction_set()
    for level in LEVELS[: LEVELS.index(widest)] if widest in LEVELS else ():
        with patch.dict(os.environ, WINDTUNNEL_ISA=level):
            other = _arrays(run())
        for name, own in _arrays(result).items():
            np.testing.assert_array_equal(other[name], own, err_msg=f"{level}: {name}")
    return result


def _arrays(result: BacktestResult) -> dict[str, npt.NDArray[Any]]:
    arrays = {name: each for name, each in vars(result).items() if isinstance(each, np.ndarray)}
    return arrays | (result.metrics or {})


@dataclass(frozen=True)
class World:
    """A random market; what the test trades in it is drawn from `rng`."""

    panel: Panel
    rng: np.random.Generator


def _make_panel(
    open_: npt.ArrayLike, close: npt.ArrayLike, tradable: npt.ArrayLike | None = None
) -> Panel:
    """A panel of (T,) or (T, N) opens and closes; highs and lows are what they must be."""
    opens = np.ascontiguousarray(np.asarray(open_, np.float64).reshape(len(np.asarray(open_)), -1))
    closes = np.ascontiguousarray(np.asarray(close, np.float64).reshape(opens.shape))
    listed = ~np.isnan(closes)
    mask = listed if tradable is None else np.asarray(tradable, bool).reshape(opens.shape)
    return Panel(
        timestamps=np.arange(len(opens)).astype("datetime64[D]").astype("datetime64[us]"),
        symbols=tuple(f"S{n}" for n in range(opens.shape[1])),
        open=opens,
        high=np.maximum(opens, closes),
        low=np.minimum(opens, closes),
        close=closes,
        volume=np.where(listed, np.where(mask, 1000.0, 0.0), np.nan),
        tradable=mask & listed,
        fingerprint="0" * 64,
    )


def _random_world(seed: int, bars: int, instruments: int, volatility: float, holes: float) -> World:
    """Prices between about 1e-8 and 1e8, late listings, missing and zero-volume bars."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-8, 8, instruments)
    walk = np.exp(np.cumsum(rng.normal(0, volatility, (bars, instruments)), axis=0))
    close = scale * np.clip(walk, 1e-4, 1e4)
    open_ = close * np.exp(rng.normal(0, volatility, close.shape))
    missing = rng.random(close.shape) < holes
    listing = rng.integers(0, max(bars // 2, 1), instruments) * (rng.random(instruments) < holes)
    missing |= np.arange(bars)[:, None] < listing
    close[missing] = np.nan
    open_[missing] = np.nan
    tradable = ~missing & (rng.random(close.shape) >= holes)
    return World(_make_panel(open_, close, tradable), rng)


@pytest.fixture(scope="session")
def make_panel() -> MakePanel:
    return _make_panel


@pytest.fixture(scope="session")
def at_every_level() -> Callable[[Callable[[], BacktestResult]], BacktestResult]:
    return _at_every_level


@pytest.fixture(scope="session")
def random_world() -> Callable[[int, int, int, float, float], World]:
    return _random_world


def _assert_equals(result: BacktestResult, c: int, ledger: Ledger) -> None:
    scale = float(np.abs(ledger.equity).max())
    np.testing.assert_allclose(result.equity[:, c], ledger.equity, rtol=1e-9, atol=1e-9 * scale)
    for name in ("turnover", "costs", "financing", "exposure"):
        np.testing.assert_allclose(
            getattr(result, name)[c], getattr(ledger, name), rtol=1e-9, atol=1e-12, err_msg=name
        )
    for name in ("fills", "dropped", "capped", "ambiguous", "liquidated"):
        assert getattr(result, name)[c] == getattr(ledger, name), name


@pytest.fixture(scope="session")
def assert_equals() -> Callable[[BacktestResult, int, Ledger], None]:
    """Configuration `c` of the engine's result is what the specification says."""
    return _assert_equals
