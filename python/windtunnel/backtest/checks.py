"""What the engine asks of its arguments; every refusal names argument, rule and value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from windtunnel.backtest.policy import require_volatility
from windtunnel.data.panel import PRICE_TOLERANCE
from windtunnel.errors import BacktestError

if TYPE_CHECKING:
    import numpy.typing as npt

    from windtunnel.backtest.policy import Policies
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


def check_volume(panel: Panel) -> npt.NDArray[np.float64]:
    """Volume that limits and impact can divide by: finite and above zero where tradable."""
    volume = require_array("panel.volume", panel.volume, (np.float64,), "(T, N)", 2)
    _check_column("panel.volume", volume, panel, panel.tradable, volume > 0, "above 0", "trade")
    return volume


def check_extremes(panel: Panel) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Highs and lows that stops can watch: open and close lie between them."""
    high = require_array("panel.high", panel.high, (np.float64,), "(T, N)", 2)
    low = require_array("panel.low", panel.low, (np.float64,), "(T, N)", 2)
    for name, column in (("high", high), ("low", low)):
        if column.shape != panel.close.shape:
            raise BacktestError(
                f"panel.{name}: must have shape (T, N) = {panel.close.shape}, got {column.shape}"
            )
    top, bottom = np.maximum(panel.open, panel.close), np.minimum(panel.open, panel.close)
    # The quality gate lets as much pass for rounding, of adjusted prices for example.
    above = high >= top * (1 - PRICE_TOLERANCE)
    below = (low > 0) & (low <= bottom * (1 + PRICE_TOLERANCE))
    for name, column, good, rule in (
        ("panel.high", high, above, "at least open and close"),
        ("panel.low", low, below, "above 0 and at most open and close"),
    ):
        _check_column(name, column, panel, panel.listed, good, rule, "a bar")
    return np.maximum(high, top), np.minimum(low, bottom)


def check_half_spread(half_spread: object, panel: Panel, fee: float) -> npt.NDArray[np.float64]:
    """Half-spreads a bar: a fraction of value, together with the fee below 1."""
    spread = require_array("half_spread", half_spread, (np.float64,), "(T, N)", 2)
    rule = f"at least 0 and, with the fee, below 1 (fee {fee:g})"
    _check_column(
        "half_spread",
        spread,
        panel,
        panel.listed,
        (spread >= 0) & (spread + fee < 1),
        rule,
        "a bar",
    )
    return spread


def check_volatility(
    volatility: object, policies: Policies, panel: Panel
) -> npt.NDArray[np.float64] | None:
    """Volatilities of the panel where policies aim at one: above 0, or NaN while unknown."""
    if (volatility is None) != (policies.volatility_target is None):
        missing = "volatility" if volatility is None else "policies.volatility_target"
        raise BacktestError(
            f"{missing}: is missing",
            "Volatility targets and the panel's volatility go together: give both or neither",
        )
    if volatility is None:
        return None
    known = require_array("volatility", volatility, (np.float64,), "(T, N)", 2)
    if known.shape != panel.close.shape:
        raise BacktestError(
            f"volatility: must have shape (T, N) = {panel.close.shape}, got {known.shape}"
        )
    require_volatility(known, panel.symbols)
    return known


def _check_column(
    name: str,
    column: npt.NDArray[np.float64],
    panel: Panel,
    needed: npt.NDArray[np.bool_],
    good: npt.NDArray[np.bool_],
    rule: str,
    where: str,
) -> None:
    if column.shape != needed.shape:
        raise BacktestError(f"{name}: must have shape (T, N) = {needed.shape}, got {column.shape}")
    wrong = needed & ~(np.isfinite(column) & good)
    if wrong.any():
        t, n = first_index(wrong)
        raise BacktestError(
            f"{name}[{t}, {n}] ({panel.symbols[n]}): must be finite and {rule} where there is "
            f"{where}, got {column[t, n]}"
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
