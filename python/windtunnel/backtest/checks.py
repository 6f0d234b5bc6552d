"""What the engine asks of its arguments; every refusal names argument, rule and value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from windtunnel.errors import BacktestError

if TYPE_CHECKING:
    import numpy.typing as npt

    from windtunnel.data.panel import Panel


def require_array(
    name: str, array: object, dtypes: tuple[type[np.generic], ...], shape: str, axes: int
) -> npt.NDArray[Any]:
    """Check type, dtype, number of axes and memory order."""
    names = " or ".join(np.dtype(dtype).name for dtype in dtypes)
    if not isinstance(array, np.ndarray):
        raise BacktestError(
            f"{name}: must be a NumPy array {shape} of {names}, got {type(array).__name__}"
        )
    if array.dtype not in dtypes:
        raise BacktestError(
            f"{name}: must be {names}, got {array.dtype}",
            f"Convert it once: {name}.astype(np.{np.dtype(dtypes[0]).name})",
        )
    if array.ndim != axes:
        raise BacktestError(f"{name}: must have axes {shape}, got shape {array.shape}")
    if not array.flags.c_contiguous:
        raise BacktestError(
            f"{name}: must be C-contiguous with axes {shape}, got strides {array.strides}",
            f"Copy it once: np.ascontiguousarray({name})",
        )
    return array


def check_panel(panel: Panel) -> None:
    """Refuse panels the engine cannot trade: shapes, dtypes, prices, tradable without a bar."""
    shape = (panel.bars, panel.instruments)
    if 0 in shape:
        raise BacktestError(
            f"panel: must have at least one bar and one instrument, got T={shape[0]}, N={shape[1]}"
        )
    close = require_array("panel.close", panel.close, (np.float64,), "(T, N)", 2)
    open_ = require_array("panel.open", panel.open, (np.float64,), "(T, N)", 2)
    tradable = require_array("panel.tradable", panel.tradable, (np.bool_,), "(T, N)", 2)
    for name, array in (("close", close), ("open", open_), ("tradable", tradable)):
        if array.shape != shape:
            raise BacktestError(
                f"panel.{name}: must have shape (T, N) = {shape}, got {array.shape}"
            )
    listed = ~np.isnan(close)
    for name, array in (("open", open_), ("close", close)):
        wrong = listed & ~(np.isfinite(array) & (array > 0))
        if wrong.any():
            t, n = first_index(wrong)
            raise BacktestError(
                f"panel.{name}[{t}, {n}] ({panel.symbols[n]}): must be finite and above 0 "
                f"where there is a bar, got {array[t, n]}"
            )
    if (tradable & ~listed).any():
        t, n = first_index(tradable & ~listed)
        raise BacktestError(
            f"panel.tradable[{t}, {n}] ({panel.symbols[n]}): must be False where there is no bar"
        )


def check_decisions(
    name: str, array: object, dtypes: tuple[type[np.generic], ...], last_axis: str, panel: Panel
) -> npt.NDArray[Any]:
    """Check scores or exposures against the panel."""
    checked = require_array(name, array, dtypes, f"(T, N, {last_axis})", 3)
    wanted = (panel.bars, panel.instruments)
    if checked.shape[:2] != wanted:
        raise BacktestError(
            f"{name}: first axes must be bars and instruments (T, N) = {wanted}, "
            f"got shape {checked.shape}"
        )
    if checked.shape[2] == 0:
        raise BacktestError(f"{name}: last axis must hold at least one column, got 0")
    return checked


def check_year(periods_per_year: float) -> float:
    """Bars a year: finite and above zero."""
    if not (math.isfinite(periods_per_year) and periods_per_year > 0):
        raise BacktestError(
            f"periods_per_year: must be finite and above 0, got {periods_per_year!r}"
        )
    return float(periods_per_year)


def first_index(wrong: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """Index of the first True, in time order."""
    return tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))
