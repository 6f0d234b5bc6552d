"""The compiled engine: all configurations over all bars in one call.

The rules are those of `windtunnel.backtest.oracle`, which states them one by one; the compiled
core agrees with it to 1e-9 and better. Results do not depend on the number of threads, on the
order of configurations or on the instruction set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from windtunnel.backtest.call import details, refuse_large, stop_arrays, terms, to_result
from windtunnel.backtest.checks import (
    check_decisions,
    check_panel,
    check_volatility,
    require_array,
)
from windtunnel.backtest.costs import Costs
from windtunnel.backtest.execution import Execution
from windtunnel.backtest.policy import LARGEST_EXPOSURE, Policies, proportional_exposures
from windtunnel.backtest.result import BacktestResult
from windtunnel.backtest.signals import run_signals
from windtunnel.backtest.stops import Stops
from windtunnel.errors import BacktestError

if TYPE_CHECKING:
    import numpy.typing as npt

    from windtunnel._core import ExposureProgress32, ExposureProgress64, PolicyProgress
    from windtunnel.data.panel import Panel

__all__ = [
    "BacktestResult",
    "Costs",
    "Execution",
    "Policies",
    "Stops",
    "run_exposures",
    "run_policy",
    "run_signals",
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
    want_metrics: bool = False,
    half_spread: npt.NDArray[np.float64] | None = None,
    progress: PolicyProgress | None = None,
    stops: Stops | None = None,
    volatility: npt.NDArray[np.float64] | None = None,
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
    want_metrics : bool
        Whether the equity curves are measured while they are made: `BacktestResult.metrics`.
    half_spread : (T, N) float64, optional
        Half-spreads bar by bar, as fractions of value, in place of `costs.half_spread`. NaN is
        allowed where there is no bar.
    progress : optional
        State of a history that comes in pieces; `windtunnel.backtest.stream` handles it.
    stops : Stops, optional
        Exits inside a bar, one entry a policy; they read the panel's highs and lows.
    volatility : (T, N) float64, optional
        Yearly volatility of each instrument as known at the close, above 0, for policies with a
        `volatility_target`; NaN while it is unknown, where there is then no decision.
        `windtunnel.backtest.volatility` has one.

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
        aims = policies.volatility_target is not None or volatility is not None
        if progress is not None or stops is not None or aims:
            raise BacktestError(
                "policies.proportional: takes neither stops, nor a volatility target, nor a "
                "history in pieces",
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
            want_metrics=want_metrics,
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
        **terms(
            costs, execution, periods_per_year, threads, want_equity, want_trades, want_metrics
        ),
        progress=progress,
        details=details(panel, costs, execution, half_spread),
        stops=None if stops is None else stop_arrays(panel, stops, len(policies)),
        volatility_target=None
        if policies.volatility_target is None
        else np.ascontiguousarray(policies.volatility_target),
        volatility=check_volatility(volatility, policies, panel),
    )
    refuse_large("scores", scores, policies.column, arrays["peak_input"], np.finfo(np.float64).max)
    return to_result(arrays)


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
    want_metrics: bool = False,
    half_spread: npt.NDArray[np.float64] | None = None,
    progress: ExposureProgress32 | ExposureProgress64 | None = None,
    by_returns: bool = False,
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
    costs, execution, periods_per_year, threads, want_equity, want_trades, want_metrics
        As in `run_policy`.
    half_spread, progress
        As in `run_policy`.
    by_returns : bool
        The quick look: every bar earns exposure x return minus cost x turnover, as if positions
        were brought back to their exposures at each close for nothing. Neither units nor cash, so
        it takes orders at closes, proportional costs and no maintenance level; turnover counts
        changes of exposure. `windtunnel.backtest.oracle_returns` states it.

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
    elif isinstance(band, int | float):
        bands = np.full(configurations, band, np.float64)
    else:
        raise BacktestError(
            f"band: must be a number or a (C,) float64 array, got {type(band).__name__}"
        )
    if len(bands) != configurations:
        raise BacktestError(
            f"band: must be one number or one per configuration (C={configurations}), "
            f"got {len(bands)}"
        )
    wrong = ~(np.isfinite(bands) & (bands >= 0))
    if wrong.any():
        at = int(wrong.argmax())
        raise BacktestError(f"band[{at}]: must be finite and at least 0, got {bands[at]!r}")
    finer = details(panel, costs, execution, half_spread)
    if by_returns:
        _refuse_finer(execution, want_trades=want_trades, finer=finer is not None)
    from windtunnel.backtest.native import core  # noqa: PLC0415 - as above

    arrays = core.run_exposures(
        panel.open,
        panel.close,
        panel.tradable,
        exposures,
        bands,
        **terms(
            costs, execution, periods_per_year, threads, want_equity, want_trades, want_metrics
        ),
        progress=progress,
        details=finer,
        by_returns=by_returns,
    )
    every = np.arange(configurations)
    refuse_large("exposures", exposures, every, arrays["peak_input"], LARGEST_EXPOSURE)
    return to_result(arrays)


def _refuse_finer(execution: Execution, *, want_trades: bool, finer: bool) -> None:
    """Refuse what the arithmetic of returns cannot do."""
    if execution.fill == "next_open":
        found = "orders that fill at the open"
    elif execution.maintenance != 0:
        found = f"a maintenance level ({execution.maintenance:g})"
    elif want_trades:
        found = "a trade log"
    elif finer:
        found = "fees a unit, minimum fees, impact, caps, lots or spreads bar by bar"
    else:
        return
    raise BacktestError(
        f"by_returns: does without {found}",
        "Leave by_returns out for the exact engine, which has units and cash",
    )
