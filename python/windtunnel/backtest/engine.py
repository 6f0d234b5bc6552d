"""The compiled engine: all configurations over all bars in one call.

The rules are those of `windtunnel.backtest.oracle`, which states them one by one; the compiled
core agrees with it to 1e-9 and better. Results do not depend on the number of threads, on the
order of configurations or on the instruction set.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from windtunnel.backtest.checks import (
    check_decisions,
    check_extremes,
    check_half_spread,
    check_panel,
    check_volume,
    check_year,
    first_index,
    require_array,
)
from windtunnel.backtest.costs import Costs
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.policy import LARGEST_EXPOSURE, Policies, proportional_exposures
from windtunnel.backtest.result import BacktestResult
from windtunnel.backtest.stops import Stops
from windtunnel.backtest.trades import TradeLog
from windtunnel.errors import BacktestError

if TYPE_CHECKING:
    import numpy.typing as npt

    from windtunnel._core import (
        Details,
        ExposureProgress32,
        ExposureProgress64,
        PolicyProgress,
        StopArrays,
        SweepArrays,
    )
    from windtunnel.data.panel import Panel

__all__ = [
    "BacktestResult",
    "Costs",
    "Execution",
    "Policies",
    "Stops",
    "run_exposures",
    "run_policy",
]


def run_policy(
    panel: Panel,
    scores: npt.NDArray[np.float32],
    policies: Policies,
    *,
    costs: Costs,
    execution: Execution,
    periods_per_year: float,
    threads: int | None = None,
    want_equity: bool = True,
    want_trades: bool = False,
    half_spread: npt.NDArray[np.float64] | None = None,
    progress: PolicyProgress | None = None,
    stops: Stops | None = None,
) -> BacktestResult:
    """Trade P policies, each on its column of scores.

    Parameters
    ----------
    panel : Panel
        Prices of T bars and N instruments.
    scores : (T, N, S) float32, C-contiguous
        Model output known at each bar's close; NaN is no opinion.
    policies : Policies
        What each configuration makes of its column; P of them share S columns.
    costs : Costs
        Fees, spread, borrow and financing.
    execution : Execution
        When orders fill and from what capital.
    periods_per_year : float
        Bars a year, which turns yearly rates into rates a bar.
    threads : int, optional
        Threads to use; all processors of this process when absent.
    want_equity : bool
        Whether the (T, P) equity is kept; without it the totals alone are returned.
    want_trades : bool
        Whether every fill is written down, and cash at every close; slower, and memory grows
        with the fills.
    half_spread : (T, N) float64, optional
        Half-spreads bar by bar, as fractions of value, in place of `costs.half_spread`. NaN is
        allowed where there is no bar.
    progress : optional
        State of a history that comes in pieces; `windtunnel.backtest.stream` handles it.
    stops : Stops, optional
        Exits inside a bar, one entry a policy; they read the panel's highs and lows.

    Returns
    -------
    BacktestResult
        With C = P configurations in the order of `policies`.

    Raises
    ------
    BacktestError
        When an argument has the wrong type, shape, dtype, memory order or value.
    CoreUnavailableError
        When the compiled core is not installed.
    """
    check_panel(panel)
    check_decisions("scores", scores, (np.float32,), "S", panel)
    columns = scores.shape[2]
    if len(policies) == 0:
        raise BacktestError("policies: must hold at least one policy, got 0")
    outside = (policies.column < 0) | (policies.column >= columns)
    if outside.any():
        at = int(outside.argmax())
        raise BacktestError(
            f"policies.column[{at}]: must name one of the S={columns} score columns, "
            f"got {policies.column[at]}"
        )
    if policies.proportional:
        if progress is not None or stops is not None:
            raise BacktestError(
                "policies.proportional: takes neither stops nor a history in pieces",
                "Give the exposures to run_exposures, piece by piece",
            )
        return run_exposures(
            panel,
            np.ascontiguousarray(
                proportional_exposures(
                    scores[:, :, policies.column],
                    panel.listed,
                    policies.leverage,
                    long_only=policies.long_only,
                )
            ),
            band=np.ascontiguousarray(policies.band),
            costs=costs,
            execution=execution,
            periods_per_year=periods_per_year,
            threads=threads,
            want_equity=want_equity,
            want_trades=want_trades,
            half_spread=half_spread,
        )
    from windtunnel.backtest.native import core  # noqa: PLC0415 - doctor runs without it

    arrays = core.run_policy(
        panel.open,
        panel.close,
        panel.tradable,
        scores,
        np.ascontiguousarray(policies.column),
        np.ascontiguousarray(policies.enter),
        np.ascontiguousarray(policies.exit),
        np.ascontiguousarray(policies.leverage),
        np.ascontiguousarray(policies.band),
        long_only=policies.long_only,
        **_terms(costs, execution, periods_per_year, threads, want_equity),
        want_trades=want_trades,
        progress=progress,
        details=_details(panel, costs, execution, half_spread),
        stops=None if stops is None else _stop_arrays(panel, stops, len(policies)),
    )
    _refuse_large("scores", scores, policies.column, arrays["peak_input"], np.finfo(np.float64).max)
    return _result(arrays)


def run_exposures(
    panel: Panel,
    exposures: npt.NDArray[np.float32] | npt.NDArray[np.float64],
    *,
    band: float | npt.NDArray[np.float64],
    costs: Costs,
    execution: Execution,
    periods_per_year: float,
    threads: int | None = None,
    want_equity: bool = True,
    want_trades: bool = False,
    half_spread: npt.NDArray[np.float64] | None = None,
    progress: ExposureProgress32 | ExposureProgress64 | None = None,
) -> BacktestResult:
    """Trade C columns of target exposures.

    Parameters
    ----------
    panel : Panel
        Prices of T bars and N instruments.
    exposures : (T, N, C) float32 or float64, C-contiguous
        Signed fraction of equity wanted in each instrument, decided with that bar's close; NaN
        is no decision. Magnitudes up to 1000.
    band : float or (C,) float64
        No order while the exposure is within this fraction of equity of its target.
    costs, execution, periods_per_year, threads, want_equity, want_trades, half_spread, progress
        As in `run_policy`.

    Returns
    -------
    BacktestResult

    Raises
    ------
    BacktestError
        When an argument has the wrong type, shape, dtype, memory order or value.
    CoreUnavailableError
        When the compiled core is not installed.
    """
    check_panel(panel)
    check_decisions("exposures", exposures, (np.float32, np.float64), "C", panel)
    configurations = exposures.shape[2]
    if isinstance(band, np.ndarray):
        bands = require_array("band", band, (np.float64,), "(C,)", 1)
    else:
        bands = np.full(configurations, band, np.float64)
    if len(bands) != configurations:
        raise BacktestError(
            f"band: must be one number or one a configuration (C={configurations}), "
            f"got {len(bands)}"
        )
    wrong = ~(np.isfinite(bands) & (bands >= 0))
    if wrong.any():
        at = int(wrong.argmax())
        raise BacktestError(f"band[{at}]: must be finite and at least 0, got {bands[at]!r}")
    from windtunnel.backtest.native import core  # noqa: PLC0415 - as above

    arrays = core.run_exposures(
        panel.open,
        panel.close,
        panel.tradable,
        exposures,
        bands,
        **_terms(costs, execution, periods_per_year, threads, want_equity),
        want_trades=want_trades,
        progress=progress,
        details=_details(panel, costs, execution, half_spread),
    )
    every = np.arange(configurations)
    _refuse_large("exposures", exposures, every, arrays["peak_input"], LARGEST_EXPOSURE)
    return _result(arrays)


def _terms(
    costs: Costs,
    execution: Execution,
    periods_per_year: float,
    threads: int | None,
    want_equity: bool,
) -> dict[str, Any]:
    from windtunnel.backtest.native import core  # noqa: PLC0415 - as above

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
    }


def _details(
    panel: Panel,
    costs: Costs,
    execution: Execution,
    half_spread: npt.NDArray[np.float64] | None,
) -> Details | None:
    """Terms beyond the plain ones, or None: then the core runs its shorter loop."""
    limits = execution.participation is not None or costs.impact > 0
    others = (costs.fee_per_unit, costs.minimum_fee, execution.lot_size)
    if half_spread is None and not limits and not any(others):
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


def _stop_arrays(panel: Panel, stops: Stops, count: int) -> StopArrays:
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


def _refuse_large(
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


def _result(arrays: SweepArrays) -> BacktestResult:
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
        trades=TradeLog(**arrays["trades"]) if "trades" in arrays else None,
        cash=arrays.get("cash"),
    )
