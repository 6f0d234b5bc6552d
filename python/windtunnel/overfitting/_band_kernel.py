"""The compiled resampler behind `equity_band`: whole paths, kept at a few bars."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, uint64

from windtunnel.overfitting._bootstrap_kernel import _STEP, _mix, _uniform

Float64Array = npt.NDArray[np.float64]


@njit(nogil=True, cache=True, error_model="numpy")
def resample_growth(
    returns: Float64Array,
    points: npt.NDArray[np.int64],
    seed: int,
    block: float,
    out: Float64Array,
    start: int,
    stop: int,
) -> None:
    """Growth of 1 along resamples start to stop - 1, at `points`, into out (R, M).

    Stationary bootstrap, each resample with a stream of its own, as `resample_sharpe`. A
    path that reaches zero stays there.
    """
    n = returns.size
    end_chance = 1.0 / block
    for sample in range(start, stop):
        state = _mix(_mix(uint64(seed) + _STEP) + uint64(sample) * _STEP)
        growth = 1.0
        at = 0
        place = 0
        for t in range(n):
            state += _STEP
            if t == 0 or _uniform(state) < end_chance:
                state += _STEP
                at = min(int(_uniform(state) * n), n - 1)
            growth *= max(1.0 + returns[at], 0.0)
            if place < points.size and points[place] == t:
                out[sample, place] = growth
                place += 1
            at = at + 1 if at + 1 < n else 0
