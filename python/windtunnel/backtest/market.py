"""Bars as an account sees them one by one: prices that are there, marks that are carried on.

Shared by whatever trades bar after bar outside the compiled engine: policies that learn, and
the service that asks them. This module needs NumPy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from windtunnel.backtest.execution import Fill
    from windtunnel.data.panel import Panel

Float64Array = npt.NDArray[np.float64]

COLUMNS = ("price", "mark", "volume", "tradable", "share")


def market_rows(
    panel: Panel,
    fill: Fill | str,
    *,
    volume_unit: float | None = None,
    before: tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]] | None = None,
) -> Float64Array:
    """What every bar offers, (T, N, 5) float64, in the order of `COLUMNS`.

    Where an instrument has no bar it is valued at its last close, as the engine does.

    Parameters
    ----------
    fill : {'next_open', 'next_close', 'same_close'}
        Decides the price: the open, or the close.
    volume_unit : float, optional
        Volumes are divided by it; without one no order looks at the volume, and it is 1.
    before : (marks, volumes), optional
        (N,) each, before the first bar; 1 where absent, which nothing may depend on.

    Returns
    -------
    (T, N, 5) float64
        price of fills, mark, volume of the bar or of the last with trade, tradable as 0 or
        1, and one over the number of listed instruments.
    """
    listed = panel.listed
    ones = np.ones(panel.instruments)
    marks, volumes = (ones, ones) if before is None else before
    mark = carry_forward(panel.close, listed, marks)
    last = np.vstack([marks, mark[:-1]])
    price = np.where(listed, panel.open, last) if fill == "next_open" else mark
    volume = np.ones_like(mark)
    if volume_unit is not None:
        volume = carry_forward(panel.volume / volume_unit, panel.tradable, volumes)
    share = 1 / np.maximum(listed.sum(axis=1, keepdims=True), 1)
    columns = (price, mark, volume, panel.tradable, np.broadcast_to(share, mark.shape))
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=2)


def carry_forward(
    values: Float64Array,
    known: npt.NDArray[np.bool_],
    first: float | npt.NDArray[np.floating],
) -> Float64Array:
    """The last known value of every column, (T, N); `first` before there is one."""
    at = np.where(known, np.arange(len(values))[:, None], -1)
    np.maximum.accumulate(at, axis=0, out=at)
    carried = np.take_along_axis(values, np.maximum(at, 0), axis=0)
    return np.asarray(np.where(at >= 0, carried, first), np.float64)
