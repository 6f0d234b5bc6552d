"""Windows of features: what a model that looks back sees of each bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from windtunnel.data.panel import Float32Array


def windows(values: Float32Array, window: int) -> Float32Array:
    """The last `window` bars of features of every bar and instrument.

    Parameters
    ----------
    values : (T, N, F) float32
    window : int
        Bars, the bar itself included; at least 1.

    Returns
    -------
    (T, N, window, F) float32
        Oldest bar first; NaN before the first bar. A read-only view of one padded copy.
    """
    padded = np.pad(values, ((window - 1, 0), (0, 0), (0, 0)), constant_values=np.nan)
    view = np.lib.stride_tricks.sliding_window_view(padded, window, axis=0)
    return np.moveaxis(view, 3, 2)
