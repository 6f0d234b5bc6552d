"""What the compiled core is called with, and what is made of its answer, for all front doors."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from windtunnel.backtest.checks import (
    check_extremes,
    check_half_spread,
    check_volume,
    check_year,
    first_index,
)
from windtunnel.backtest.policy import LARGEST_EXPOSURE
from windtunnel.backtest.result import BacktestResult
from windtunnel.backtest.trades import TradeLog
from windtunnel.errors import BacktestError

if TYPE_CHECKING:
    import numpy.typing as npt

    from windtunnel._core import Details, StopArrays, SweepArrays
    from windtunnel.backtest.costs import Costs
    from windtunnel.backtest.execution import Execution
    from windtunnel.backtest.stops import Stops
    from windtunnel.data.panel import Panel


def terms(
    costs: Costs,
    execution: Execution,
    periods_per_year: float,
    threads: int | None,
    want_equity: bool,
    want_trades: bool,
    want_metrics: bool,
) -> dict[str, Any]:
    """Terms that every sweep has, by the names of the core."""
    from windtunnel.backtest.native import core  # noqa: PLC0415 - doctor runs without it

    try:
        core.instruction_set()
    except ValueError as error:
        raise BacktestError(str(error), "Unset it to use the widest") from error
    if threads is None:
        threads = _processors()
    if threads < 1:
        raise BacktestError(f"threads: must be at least 1, got {threads}")
    return {
        "fee": costs.fee,
        "half_spread": costs.half_spread,
        "borrow_apr": costs.borrow_apr,
        "financing_apr": costs.financing_apr,
        "periods_per_year": check_year(periods_per_year),
        "initial_cash": execution.initial_cash,
        "maintenance": execution.maintenance,
        "fill": execution.fill,
        "threads": threads,
        "want_equity": want_equity,
        "want_trades": want_trades,
        "want_metrics": want_metrics,
    }


def details(
    panel: Panel,
    costs: Costs,
    execution: Execution,
    half_spread: npt.NDArray[np.float64] | None,
) -> Details | None:
    """Terms beyond the plain ones, or None: then the core runs its shorter loop."""
    limits = execution.participation is not None or costs.impact > 0
    if half_spread is None and costs.proportional and not (limits or execution.lot_size):
        return None
    return {
        "fee_per_unit": costs.fee_per_unit,
        "minimum_fee": costs.minimum_fee,
        "impact": costs.impact,
        "participation": math.inf if execution.participation is None else execution.participation,
        "lot_size": execution.lot_size,
        "volume": check_volume(panel) if limits else None,
        "half_spread": (
            None if half_spread is None else check_half_spread(half_spread, panel, costs.fee)
        ),
    }


def stop_arrays(panel: Panel, stops: Stops, count: int) -> StopArrays:
    """Stops of `count` configurations with the prices that they watch."""
    high, low = check_extremes(panel)
    arrays = stops.arrays(count)
    return {
        "loss": arrays["loss"],
        "profit": arrays["profit"],
        "trailing": arrays["trailing"],
        "bars": arrays["bars"],
        "high": high,
        "low": low,
    }


def _processors() -> int:
    """Processors that this process may use, which a container can make fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def refuse_large(
    name: str,
    values: npt.NDArray[np.floating],
    columns: npt.NDArray[np.int64],
    peaks: npt.NDArray[np.float64],
    limit: float,
) -> None:
    """Refuse infinities and mistakes of units; the pass itself noticed them, one peak a lane."""
    over = peaks > limit
    if not over.any():
        return
    column = int(columns[int(over.argmax())])
    t, n = first_index(np.abs(values[:, :, column].astype(np.float64)) > limit)
    rule = "finite or NaN" if limit > LARGEST_EXPOSURE else f"NaN or within +-{limit:g}"
    raise BacktestError(f"{name}[{t}, {n}, {column}]: must be {rule}, got {values[t, n, column]}")


def to_result(arrays: SweepArrays) -> BacktestResult:
    """Give the core's arrays their names."""
    return BacktestResult(
        equity=arrays["equity"],
        final_equity=arrays["final_equity"],
        turnover=arrays["turnover"],
        costs=arrays["costs"],
        financing=arrays["financing"],
        fills=arrays["fills"],
        dropped=arrays["dropped"],
        exposure=arrays["exposure"],
        liquidated=arrays["liquidated"],
        capped=arrays["capped"],
        ambiguous=arrays["ambiguous"],
        metrics=arrays.get("metrics"),
        trades=TradeLog(**arrays["trades"]) if "trades" in arrays else None,
        cash=arrays.get("cash"),
    )
