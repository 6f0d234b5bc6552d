"""How often each bar is drawn by each resample of the stationary bootstrap.

A bootstrap mean needs no resampled series: it is the row of counts times the returns, so the
means of all trials in all resamples are one product of matrices.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, uint64

from windtunnel.overfitting._bootstrap_kernel import _STEP, _mix, _uniform

Float64Array = npt.NDArray[np.float64]


@njit(nogil=True, cache=True, error_model="numpy")
def draw_counts(seed: int, block: float, counts: Float64Array, start: int, stop: int) -> None:
    """Add to counts[start:stop] (B, T) how often each resample draws each bar.

    The draws of a resample are those of `resample_sharpe`: the same seed, block and number
    of bars visit the same bars.
    """
    n = counts.shape[1]
    end_chance = 1.0 / block
    for sample in range(start, stop):
        state = _mix(_mix(uint64(seed) + _STEP) + uint64(sample) * _STEP)
        at = 0
        for t in range(n):
            state += _STEP
            if t == 0 or _uniform(state) < end_chance:
                state += _STEP
                at = min(int(_uniform(state) * n), n - 1)
            counts[sample, at] += 1.0
            at = at + 1 if at + 1 < n else 0
