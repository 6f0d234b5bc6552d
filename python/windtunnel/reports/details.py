"""What the page shows beyond the outcome: how it came about, and what was added to it.

As in `reports.data`, nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from windtunnel.backtest.trace import Trace
    from windtunnel.metrics.calibration import Calibration
    from windtunnel.metrics.decay import Decay
    from windtunnel.metrics.monthly import MonthlyReturns
    from windtunnel.overfitting.bands import EquityBand

FloatArray: TypeAlias = NDArray[np.float64]
TimeArray: TypeAlias = NDArray[np.datetime64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Details:
    """The champion through time, by instrument and as a forecaster.

    Attributes
    ----------
    band : EquityBand or None
        Around the champion's equity.
    window : int
        Bars of the rolling Sharpe ratio.
    rolling, rolling_benchmark : (T,) float64
    months : MonthlyReturns
    trace : Trace
        Trades by bar and instrument.
    symbols : tuple of N str
        Names of the trace's instruments.
    periods : (M,) datetime64
        Calendar months of `turnover` (times equity, in all), `gross` and `net` (means over
        closes, of equity), each (M,) float64.
    gap : float
        Between the trace's equity and the engine's, relative to the initial cash.
    calibration : Calibration or None
    levels : bool
        Scores are levels that are traded as they stand, and no probabilities.
    decay : Decay
    horizon : int
        Bars that the label looks ahead.
    trips : DataFrame, one row a round trip
        Columns as `backtest.round_trips.round_trips` gives them.
    """

    band: EquityBand | None
    window: int
    rolling: FloatArray
    rolling_benchmark: FloatArray
    months: MonthlyReturns
    trace: Trace
    symbols: tuple[str, ...]
    periods: TimeArray
    turnover: FloatArray
    gross: FloatArray
    net: FloatArray
    gap: float
    calibration: Calibration | None
    levels: bool
    decay: Decay
    horizon: int
    trips: pl.DataFrame


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRow:
    """An audit's outcome; `passed` is None where it judges nothing or was not made."""

    name: str
    passed: bool | None
    sentence: str
    figures: Mapping[str, float | int | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerRow:
    """A study in the project's life; `counted` trials deflate this study's statistics."""

    study: str
    runs: int
    trials: int
    failed: int
    counted: int
    best_sharpe: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RivalRow:
    """The champion itself, one of its seeds, or what stands beside a policy that learnt to trade.

    `trials` is the number of configurations that it was chosen from, 0 where there was no choice.
    """

    name: str
    kind: Literal["champion", "seed", "supervised", "hold", "cash"]
    trials: int
    sharpe: float
    total_return: float
    max_drawdown: float
    turnover: float


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnSection:
    """A section that the user added: exactly one of text, table and figure."""

    title: str
    text: str | None = None
    table: pl.DataFrame | None = None
    figure: dict[str, Any] | None = None
