"""The champion looked at closely: through time, by instrument, and as a forecaster.

None of these figures decides anything; they show how the result came about.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel import overfitting
from windtunnel.backtest.round_trips import round_trips
from windtunnel.backtest.trace import Trace, trace_fills
from windtunnel.backtest.trades import TradeLog
from windtunnel.course import Course
from windtunnel.errors import MetricError
from windtunnel.metrics.calibration import Calibration, calibration_curve
from windtunnel.metrics.decay import Decay, ic_decay
from windtunnel.metrics.financial import returns
from windtunnel.metrics.monthly import MonthlyReturns, monthly_returns
from windtunnel.metrics.rolling import rolling_sharpe
from windtunnel.overfitting.bands import EquityBand, equity_band

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

HORIZONS = (1, 2, 3, 5, 10, 20, 40, 60)
# A window of a year, but no more than this share of the history, and no fewer bars than this.
WINDOW_SHARE = 4
WINDOW_LEAST = 20


@dataclass(frozen=True)
class Portrait:
    """The champion over the validation slices, T bars of N instruments.

    Attributes
    ----------
    band : EquityBand or None
        Of its own returns; None where they do not vary or are too few.
    window : int
        Bars of the rolling Sharpe ratio.
    rolling, rolling_benchmark : (T,) float64
        Annualised, of the champion and of buy and hold.
    months : MonthlyReturns
    trace : Trace
        What it did by bar and instrument, from its fills.
    gap : float
        Largest difference between the trace's equity and the engine's, relative to the
        initial cash: rounding, or something is wrong.
    calibration : Calibration or None
        Only where the label is a direction.
    decay : Decay
    trips : polars.DataFrame
        Its trades from no position to none; see `backtest.round_trips`.
    """

    band: EquityBand | None
    window: int
    rolling: Float64Array
    rolling_benchmark: Float64Array
    months: MonthlyReturns
    trace: Trace
    gap: float
    calibration: Calibration | None
    decay: Decay
    trips: pl.DataFrame


def portray(
    course: Course,
    scores: Float32Array,
    equity: Float64Array,
    benchmark: Float64Array,
    trades: TradeLog,
    cash: Float64Array,
) -> Portrait:
    """Look at the champion's out-of-sample bars.

    Parameters
    ----------
    scores : (T, N) float32
        Its scores on the validation slices.
    equity, benchmark : (T,) float64
        Its equity and that of buy and hold, as the engine gave them.
    trades, cash : TradeLog, (T,) float64
        Its fills there, and its cash at each close.
    """
    start, stop = course.plan.out_of_sample
    initial, year = course.execution.initial_cash, course.periods_per_year
    own = returns(equity, initial)
    bars = stop - start
    span = max(WINDOW_LEAST, min(round(year), bars // WINDOW_SHARE))
    panel = course.panel.window(start, stop)
    trace = trace_fills(
        trades,
        cash,
        panel,
        costs=course.costs,
        execution=course.execution,
        periods_per_year=year,
    )
    direction = course.labels.kind == "direction"
    # Labels and returns that reach into the holdout would tell of it.
    opens = course.panel.open[start : course.plan.holdout[0]]
    parts = [(fold.validation[0] - start, fold.validation[1] - start) for fold in course.plan.folds]
    return Portrait(
        band=_band(own, initial, course.study.study.seed),
        window=span,
        rolling=rolling_sharpe(own, window=span, periods_per_year=year),
        rolling_benchmark=rolling_sharpe(
            returns(benchmark, initial), window=span, periods_per_year=year
        ),
        months=monthly_returns(equity, course.panel.timestamps[start:stop], initial),
        trace=trace,
        gap=float(np.max(np.abs(trace.equity - equity)) / initial),
        calibration=calibration_curve(scores, course.known_labels(start, stop))
        if direction
        else None,
        decay=ic_decay(scores, opens, horizons=[h for h in HORIZONS if h < bars // 2], parts=parts),
        trips=round_trips(trades, panel),
    )


def deflation_path(threshold: float | None, trials: int, earlier: int) -> Float64Array:
    """The best Sharpe ratio that luck alone would be expected to show, as trials were added.

    Parameters
    ----------
    threshold : float or None
        The statistic after all trials; None gives NaN throughout.
    trials : int
        C trials of this study.
    earlier : int
        Trials on the same bars before it.

    Returns
    -------
    (C,) float64
        After each trial, with the spread of all trials ever made; the last is `threshold`.
    """
    if threshold is None:
        return np.full(trials, np.nan)
    counts = range(earlier + 1, earlier + trials + 1)
    path = np.array([overfitting.expected_maximum(float(count)) for count in counts])
    return path * (threshold / path[-1]) if path[-1] > 0 else path


def _band(own: Float64Array, initial: float, seed: int) -> EquityBand | None:
    if np.ptp(own) == 0:
        return None
    try:
        return equity_band(own, initial=initial, seed=seed)
    except MetricError:  # too few bars
        return None
