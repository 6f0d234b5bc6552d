"""The compiled resampler behind `bootstrap_sharpe_interval`.

Every resample has its own stream of random numbers, keyed by (seed, resample), so that the
result is the same for any number of threads.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit, uint64

Float64Array = npt.NDArray[np.float64]

_STEP = uint64(0x9E3779B97F4A7C15)
_MIX_A = uint64(0xBF58476D1CE4E5B9)
_MIX_B = uint64(0x94D049BB133111EB)


@njit(nogil=True, cache=True, error_model="numpy")
def _mix(state: np.uint64) -> np.uint64:
    """The output function of SplitMix64 (Steele, Lea and Flood 2014)."""
    z = uint64(state)
    z = (z ^ (z >> uint64(30))) * _MIX_A
    z = (z ^ (z >> uint64(27))) * _MIX_B
    return z ^ (z >> uint64(31))


@njit(nogil=True, cache=True, error_model="numpy")
def _uniform(state: np.uint64) -> float:
    """In [0, 1), 53 bits."""
    return float(_mix(state) >> uint64(11)) * 2.0**-53


@njit(nogil=True, cache=True, error_model="numpy")
def resample_sharpe(
    returns: Float64Array,
    seed: int,
    block: float,
    noise: float,
    out: Float64Array,
    start: int,
    stop: int,
) -> None:
    """Sharpe ratio per period (ddof 1) of resamples start to stop - 1; NaN if constant.

    Stationary bootstrap (Politis and Romano 1994): blocks begin anywhere with equal
    chance, have geometric lengths of mean `block`, and run on from the end to the start.
    """
    n = returns.size
    centre = returns.mean()
    end_chance = 1.0 / block
    for sample in range(start, stop):
        state = _mix(_mix(uint64(seed) + _STEP) + uint64(sample) * _STEP)
        s1 = 0.0
        s2 = 0.0
        at = 0
        for t in range(n):
            state += _STEP
            if t == 0 or _uniform(state) < end_chance:
                state += _STEP
                at = min(int(_uniform(state) * n), n - 1)
            x = returns[at] - centre
            s1 += x
            s2 += x * x
            at = at + 1 if at + 1 < n else 0
        variance = (s2 - s1 * s1 / n) / (n - 1)
        deviation = math.sqrt(max(variance, 0.0))
        out[sample] = (centre + s1 / n) / deviation if deviation > noise else np.nan
