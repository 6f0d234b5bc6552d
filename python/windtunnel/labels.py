"""What the model learns to predict, with the bar at which each label's window ends.

A decision made at the close of bar t fills at the open of bar t+1, so the label's return runs
from that open to the open `horizon` bars later. The end index lets the splits purge training
rows whose window reaches into validation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from windtunnel.config.study import LabelSection
    from windtunnel.data.panel import BoolArray, Float32Array, Float64Array, Panel

VOLATILITY_BARS = 20


@dataclass(frozen=True)
class Labels:
    """Labels of N instruments on T bars.

    Attributes
    ----------
    values : (T, N) float32
        NaN where undefined.
    end : (T, N) int64
        Index of the bar whose open ends the label's window; -1 where undefined.
    kind : str
        'direction' (1 when the forward return is above zero, else 0) or 'forward_return'
        (the forward return in units of its trailing standard deviation).
    horizon : int
        Bars between the two opens.
    returns : (T, N) float32
        Return from the fill of bar t's decision to the next one's, open[t+2] / open[t+1] - 1,
        which is what an exposure held over one bar earns; NaN where undefined. Its window
        ends no later than the label's.
    """

    values: Float32Array
    end: npt.NDArray[np.int64]
    kind: str
    horizon: int
    returns: Float32Array


def make_labels(panel: Panel, label: LabelSection) -> Labels:
    """Label every bar t with r = open[t+1+h] / open[t+1] - 1, h the horizon.

    'direction' is 1.0 where r > 0 and 0.0 elsewhere. 'forward_return' is r over
    (s_t * sqrt(h)), s_t the sample standard deviation (ddof 1) of the last 20 close-to-close
    log returns up to bar t: the scale is known when the decision is made, the return is not.

    Undefined, with value NaN and end -1, is a label whose window (the decision's bar t and
    bars t+1 to t+1+h) touches a missing bar or runs past the last bar; a 'forward_return'
    also where one of the last 21 bars is missing or the close has stood still over them.

    Parameters
    ----------
    panel : Panel
        T bars of N instruments.
    label : LabelSection
        Kind and horizon.

    Returns
    -------
    Labels
    """
    horizon, bars = label.horizon, panel.bars
    values = _forward_returns(panel, horizon)
    if label.kind == "forward_return":
        # No return is infinite in units of no volatility: such a label has no meaning.
        scale = _trailing_deviation(panel) * np.sqrt(horizon)
        values /= np.where(scale > 0, scale, np.nan)
    else:
        values = np.where(np.isnan(values), np.nan, (values > 0).astype(np.float64))
    defined = ~np.isnan(values)
    end = np.where(defined, np.arange(bars)[:, None] + 1 + horizon, -1)
    return Labels(
        values=values.astype(np.float32),
        end=end.astype(np.int64),
        kind=label.kind,
        horizon=horizon,
        returns=_forward_returns(panel, 1).astype(np.float32),
    )


def _forward_returns(panel: Panel, horizon: int) -> Float64Array:
    """(T, N) return from the next bar's open over `horizon` bars; NaN where a bar is missing."""
    values = np.full((panel.bars, panel.instruments), np.nan)
    rows = panel.bars - 1 - horizon
    if rows > 0:
        values[:rows] = panel.open[1 + horizon :] / panel.open[1 : 1 + rows] - 1
        values[~_complete(panel.listed, horizon + 2)] = np.nan
    return values


def _complete(listed: BoolArray, length: int) -> BoolArray:
    """(T, N) bool: the `length` bars from bar t on exist and all are listed."""
    count = np.zeros((len(listed) + 1, listed.shape[1]), np.int64)
    np.cumsum(listed, axis=0, out=count[1:])
    complete = np.zeros_like(listed)
    if len(listed) >= length:
        complete[: len(listed) - length + 1] = count[length:] - count[:-length] == length
    return complete


def _trailing_deviation(panel: Panel) -> Float64Array:
    """(T, N) standard deviation of the last 20 log returns up to t; NaN where undefined."""
    from windtunnel.features import kernels  # noqa: PLC0415  Numba is loaded when needed

    close = np.ascontiguousarray(panel.close.T)
    out = np.full(close.shape, np.nan)
    kernels.return_deviation(close, kernels.listed_run(close), VOLATILITY_BARS, out)
    return np.ascontiguousarray(out.T)
