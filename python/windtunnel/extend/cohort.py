"""A cohort as a user's step of the pipeline sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Cohort:
    """C configurations after training and backtest, over T out-of-sample bars of N instruments.

    Arrays are shared with the pipeline and cannot be written to.

    Attributes
    ----------
    params : tuple of C mappings
        Searched values by dotted name.
    scores : (T, N, C) float32
        What the models said at each bar's close; NaN where they said nothing.
    labels : (T, N) float32
        What became of it; NaN where it is not known, or would tell of the holdout.
    equity : (T, C) float64
        Currency, marked at each close.
    closes : (T, N) float64
        NaN where there was no bar.
    folds : tuple of (int, int)
        First bar of each fold's validation slice, and the bar after its last.
    timestamps : (T,) datetime64, UTC
    symbols : tuple of N str
    initial : float
        Capital before the first bar.
    periods_per_year : float
    """

    params: tuple[Mapping[str, float], ...]
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.float32]
    equity: npt.NDArray[np.float64]
    closes: npt.NDArray[np.float64]
    folds: tuple[tuple[int, int], ...]
    timestamps: npt.NDArray[np.datetime64]
    symbols: tuple[str, ...]
    initial: float
    periods_per_year: float

    def __post_init__(self) -> None:
        for name in ("scores", "labels", "equity", "closes", "timestamps"):
            view = getattr(self, name).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)
