"""The stretch of bars that a bundle carries, with the scores and exposures expected on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from windtunnel.data.align import to_panel
from windtunnel.data.panel import Float32Array, Float64Array, Panel
from windtunnel.errors import BundleError

BAR_COLUMNS = ("timestamp", "symbol", "open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class ReplayWindow:
    """Bars to replay and what must come out.

    Attributes
    ----------
    panel : Panel
        The window preceded by the bars that features need, T bars of N instruments.
    first : int
        Index of the window's first bar in `panel`; the policy starts flat there.
    scores : (T - first, N) float32
        NaN where the model had no opinion.
    exposures : (T - first, N) float64
        NaN where the instrument had no bar.
    equity : (T - first,) float64 or None
        At every close of the window; None where it was not looked at.
    """

    panel: Panel
    first: int
    scores: Float32Array
    exposures: Float64Array
    equity: Float64Array | None = None


def replay_frame(
    panel: Panel,
    window: tuple[int, int],
    scores: npt.NDArray[np.floating],
    exposures: npt.NDArray[np.floating],
    *,
    context: int,
    equity: Float64Array | None = None,
) -> pl.DataFrame:
    """Cut the replay sample of a bundle out of a study's panel.

    Parameters
    ----------
    panel : Panel
    window : tuple of int
        Half-open range of bars to replay, usually the holdout.
    scores, exposures : (window length, N)
        What the study saw there, the policy starting flat at the window's first bar.
    context : int
        Bars to keep before the window, at least the features' warm-up.
    equity : (window length,) float64, optional
        What those exposures made of the account; absent where the window must not be looked at
        as money.

    Returns
    -------
    polars.DataFrame
        One row a bar, sorted by (timestamp, symbol): the bar, `decision` (whether it lies
        in the window), `score` Float32 and `exposure` Float64 (null outside the window,
        and where undefined); with an equity also `equity` Float64, that of the bar's
        timestamp.

    Raises
    ------
    BundleError
        The window is empty or outside the panel, or an array has another shape.
    """
    first, last = window
    if not 0 <= first < last <= panel.bars:
        raise BundleError(
            f"window: must be a non-empty range within the panel's {panel.bars} bars, "
            f"got ({first}, {last})",
            "Give the half-open range of the holdout",
        )
    expected = (last - first, panel.instruments)
    for label, array in (("scores", scores), ("exposures", exposures)):
        if array.shape != expected:
            raise BundleError(
                f"{label}: must be (window, instruments) = {expected}, got {array.shape}",
                "Give one value a bar of the window and instrument",
            )
    if equity is not None and equity.shape != expected[:1]:
        raise BundleError(
            f"equity: must be (window,) = {expected[:1]}, got {equity.shape}",
            "Give one value a bar of the window",
        )
    start = max(0, first - context)
    bar, instrument = np.nonzero(panel.listed[start:last])
    at = bar + start
    inside = at >= first
    columns: dict[str, pl.Series | npt.NDArray[np.generic]] = {
        "timestamp": pl.Series(panel.timestamps[at])
        .cast(pl.Datetime("us"))
        .dt.replace_time_zone("UTC"),
        "symbol": np.array(panel.symbols)[instrument],
    }
    for label in ("open", "high", "low", "close", "volume"):
        columns[label] = getattr(panel, label)[at, instrument]
    columns["decision"] = inside
    row = np.where(inside, at - first, 0)
    for label, array, kind in (
        ("score", scores, np.float32),
        ("exposure", exposures, np.float64),
    ):
        values = np.where(inside, array[row, instrument], np.nan).astype(kind)
        columns[label] = pl.Series(values).fill_nan(None)
    if equity is not None:
        columns["equity"] = pl.Series(np.where(inside, equity[row], np.nan)).fill_nan(None)
    return pl.DataFrame(columns)


def read_replay(frame: pl.DataFrame) -> ReplayWindow:
    """Rebuild the arrays of a replay sample written by `replay_frame`."""
    panel = to_panel(frame.select(BAR_COLUMNS))
    inside = frame.filter(pl.col("decision"))
    stamps = inside["timestamp"].dt.replace_time_zone(None).to_numpy()
    row = np.searchsorted(panel.timestamps, stamps)
    column = np.searchsorted(np.array(panel.symbols), inside["symbol"].to_numpy().astype(str))
    first = int(row.min())
    shape = (panel.bars - first, panel.instruments)
    scores = np.full(shape, np.nan, np.float32)
    exposures = np.full(shape, np.nan, np.float64)
    scores[row - first, column] = inside["score"].fill_null(np.nan).to_numpy()
    exposures[row - first, column] = inside["exposure"].fill_null(np.nan).to_numpy()
    equity = None
    if "equity" in inside.columns:
        equity = np.full(shape[0], np.nan, np.float64)
        equity[row - first] = inside["equity"].fill_null(np.nan).to_numpy()
    return ReplayWindow(panel, first, scores, exposures, equity)
