"""Whether a stated probability happens as often as it says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.errors import MetricError

Float64Array = npt.NDArray[np.float64]

_NORMAL_95 = 1.959963984540054
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Calibration:
    """Result of `calibration_curve`, one entry a bin, B of them, by rising probability.

    Attributes
    ----------
    predicted, observed : (B,) float64
        Mean stated probability of a rise, and the share of rises.
    low, high : (B,) float64
        95 % interval of the share (Wilson 1927), as if rows were independent. Rows of one
        bar and of overlapping labels are not: the truth is wider.
    rows : (B,) int64
    """

    predicted: Float64Array
    observed: Float64Array
    low: Float64Array
    high: Float64Array
    rows: npt.NDArray[np.int64]


def calibration_curve(
    scores: npt.NDArray[np.floating], labels: npt.NDArray[np.floating], bins: int = 10
) -> Calibration:
    """Share of rises by stated probability, in bins of about equally many rows.

    Parameters
    ----------
    scores : (T, N) float
        2 p - 1 with p the probability of a rise; NaN is no opinion.
    labels : (T, N) float
        1 for a rise, 0 for none; NaN where undefined.
    bins : int
        At most this many; rows with one probability are never parted, so a model that says
        the same of all rows has one bin. Without rows there is none.

    Raises
    ------
    MetricError
        Shapes differ, bins < 1, a score outside [-1, 1] or a label other than 0 and 1.
    """
    if np.shape(scores) != np.shape(labels):
        raise MetricError(
            f"scores and labels: must have one shape, got {np.shape(scores)} and "
            f"{np.shape(labels)}",
            "Cut both to the same bars",
        )
    if bins < 1:
        raise MetricError(f"bins: must be 1 or more, got {bins}", "Change bins")
    wide, known = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
    used = ~np.isnan(wide) & ~np.isnan(known)
    chance, rose = (1.0 + wide[used]) / 2.0, known[used]
    # Scores of float32 may lie beyond by a rounding.
    wrong = (np.abs(wide) > 1 + _ROUNDING) | ~np.isin(known, (0.0, 1.0))
    if (wrong & used).any():
        place = tuple(int(i) for i in np.argwhere(wrong & used)[0])
        raise MetricError(
            f"scores and labels: a score lies in [-1, 1] and a label is 0 or 1, at {place} they "
            f"are {wide[place]:g} and {known[place]:g}",
            "Give the scores of a direction label",
        )
    chance = np.clip(chance, 0.0, 1.0)
    order = np.argsort(chance, kind="stable")
    chance, rose = chance[order], rose[order]
    # A cut moves left to where its probability begins.
    wanted = np.linspace(0, len(chance), bins + 1).astype(np.int64)[:-1]
    starts = np.unique(np.searchsorted(chance, chance[wanted])) if len(chance) else wanted[:0]
    rows = np.diff(np.append(starts, len(chance)))
    predicted = _means(chance, starts, rows)
    observed = _means(rose, starts, rows)
    square = _NORMAL_95**2
    middle = (observed + square / (2 * rows)) / (1 + square / rows)
    half = (
        _NORMAL_95
        * np.sqrt(observed * (1 - observed) / rows + square / (4 * rows**2))
        / (1 + square / rows)
    )
    return Calibration(predicted, observed, middle - half, middle + half, rows)


def _means(
    values: Float64Array, starts: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> Float64Array:
    if not len(starts):
        return np.empty(0)
    return np.asarray(np.add.reduceat(values, starts) / rows, dtype=np.float64)
