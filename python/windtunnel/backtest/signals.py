"""The front door for entry and exit flags: the compiled engine over columns of booleans."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from windtunnel.backtest.call import details, stop_arrays, terms, to_result
from windtunnel.backtest.checks import check_panel, require_array
from windtunnel.backtest.policy import LARGEST_EXPOSURE
from windtunnel.errors import BacktestError

if TYPE_CHECKING:
    import numpy.typing as npt

    from windtunnel._core import SignalProgress
    from windtunnel.backtest.costs import Costs
    from windtunnel.backtest.execution import Execution
    from windtunnel.backtest.result import BacktestResult
    from windtunnel.backtest.stops import Stops
    from windtunnel.data.panel import Panel


def run_signals(
    panel: Panel,
    entries: npt.NDArray[np.bool_] | npt.NDArray[np.uint8],
    exits: npt.NDArray[np.bool_] | npt.NDArray[np.uint8],
    *,
    size: float | npt.NDArray[np.float64] = 1.0,
    costs: Costs,
    execution: Execution,
    periods_per_year: float,
    configurations: int | None = None,
    threads: int | None = None,
    want_equity: bool = True,
    want_trades: bool = False,
    want_metrics: bool = False,
    half_spread: npt.NDArray[np.float64] | None = None,
    stops: Stops | None = None,
    progress: SignalProgress | None = None,
) -> BacktestResult:
    """Trade C columns of entry and exit flags.

    A configuration that is out of an instrument enters with the first entry flag, and holds its
    units, whatever they come to be worth, until an exit flag or a stop. Both flags on one bar are
    ignored. A stop ends the position; the next entry flag begins a new one. An order that meets a
    bar without trade is dropped and counted, and made again with the next bar.

    Parameters
    ----------
    panel : Panel
        Prices of T bars and N instruments.
    entries, exits : (T, N, C) bool, C-contiguous
        Flags of each bar's close. Or (T, N, (C + 7) // 8) uint8 with eight configurations a byte,
        an eighth of the memory: `numpy.packbits(flags, axis=2, bitorder="little")`.
    size : float or (C,) float64
        Signed fraction of equity that an entry spends, proportional costs included; negative is
        short. Not 0, magnitude up to 1000; beyond 1 is borrowed.
    configurations : int, optional
        C, where the flags are packed.
    costs, execution, periods_per_year, threads, want_equity, want_trades, want_metrics
        As in `run_policy`.
    half_spread, stops, progress
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
    count = _count(panel, entries, exits, configurations)
    sizes = _sizes(size, count)
    from windtunnel.backtest.native import core  # noqa: PLC0415 - doctor runs without it

    return to_result(
        core.run_signals(
            panel.open,
            panel.close,
            panel.tradable,
            entries,
            exits,
            sizes,
            **terms(
                costs, execution, periods_per_year, threads, want_equity, want_trades, want_metrics
            ),
            progress=progress,
            details=details(panel, costs, execution, half_spread),
            stops=None if stops is None else stop_arrays(panel, stops, count),
        )
    )


def _count(panel: Panel, entries: object, exits: object, configurations: int | None) -> int:
    """Configurations that the flags hold, after checking them."""
    wanted = (panel.bars, panel.instruments)
    flags = {
        name: require_array(name, array, (np.bool_, np.uint8), "(T, N, C)", 3)
        for name, array in (("entries", entries), ("exits", exits))
    }
    for name, array in flags.items():
        if array.shape[:2] != wanted:
            raise BacktestError(
                f"{name}: first axes must be bars and instruments (T, N) = {wanted}, "
                f"got shape {array.shape}"
            )
        if array.shape[2] == 0:
            raise BacktestError(f"{name}: last axis must hold at least one configuration, got 0")
    first, second = flags.values()
    if first.dtype != second.dtype or first.shape != second.shape:
        raise BacktestError(
            f"exits: must have the dtype and shape of entries, {first.dtype} {first.shape}, "
            f"got {second.dtype} {second.shape}"
        )
    width = int(first.shape[2])
    if first.dtype == np.bool_:
        if configurations not in {None, width}:
            raise BacktestError(
                f"configurations: must be the last axis of the flags, {width}, "
                f"got {configurations}",
                "Leave it out: only packed flags need it",
            )
        return width
    if configurations is None:
        raise BacktestError(
            "configurations: must be given with packed flags, got None",
            "Give the number of columns before packing, or flags of bool",
        )
    if (configurations + 7) // 8 != width:
        raise BacktestError(
            f"entries: {configurations} packed configurations take {(configurations + 7) // 8} "
            f"bytes a row, got {width}"
        )
    return configurations


def _sizes(size: float | npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    if isinstance(size, np.ndarray):
        sizes = require_array("size", size, (np.float64,), "(C,)", 1)
        if len(sizes) != count:
            raise BacktestError(
                f"size: must be one number or one per configuration (C={count}), got {len(sizes)}"
            )
    else:
        sizes = np.full(count, size, np.float64)
    wrong = ~((np.abs(sizes) > 0) & (np.abs(sizes) <= LARGEST_EXPOSURE))
    if wrong.any():
        at = int(wrong.argmax())
        raise BacktestError(
            f"size[{at}]: must be finite, not 0 and within +-{LARGEST_EXPOSURE:g}, "
            f"got {sizes[at]!r}",
            "Give a fraction of equity: 1.0 for all of it, negative for short",
        )
    return sizes
