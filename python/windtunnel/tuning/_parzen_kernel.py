"""The compiled loop behind `parzen.Mixture.log_density`."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

# A component this far below the largest one at a point adds nothing in float64. Below a fixed
# density would not do: over many levels all components lie far below any.
NEGLIGIBLE = -40.0


@njit(nogil=True, cache=True, error_model="numpy")
def mixture_log_density(
    real: Float64Array,
    levels: Int64Array,
    log_weight: Float64Array,
    centre: Float64Array,
    precision: Float64Array,
    log_height: Float64Array,
    tables: Float64Array,
    offsets: Int64Array,
) -> Float64Array:
    """Logarithm of the density (M,) of a mixture of K products of kernels at M points.

    Sums by log-sum-exp, so that it is finite however small the density is.

    Parameters
    ----------
    real : (M, A) float64
        Coordinates on the continuous axes, NaN where a point has none.
    levels : (M, B) int64
        Levels on the other axes, -1 where a point has none.
    log_weight : (K,) float64
    centre, precision, log_height : (A, K) float64
        Truncated normal kernels: precision is 1 / sigma, log_height the logarithm at the centre.
    tables : (L, K) float64
        Logarithm of each kernel's probability of each level, axis after axis.
    offsets : (B,) int64
        Row of `tables` at which each axis begins.
    """
    points, components = real.shape[0], log_weight.shape[0]
    out = np.empty(points)
    log_product = np.empty(components)
    for m in range(points):
        log_product[:] = log_weight
        for b in range(levels.shape[1]):
            if levels[m, b] >= 0:
                row = tables[offsets[b] + levels[m, b]]
                for k in range(components):
                    log_product[k] += row[k]
        for a in range(real.shape[1]):
            x = real[m, a]
            if not math.isnan(x):
                for k in range(components):
                    z = (x - centre[a, k]) * precision[a, k]
                    log_product[k] += log_height[a, k] - 0.5 * z * z
        largest = log_product.max()
        total = 0.0
        for k in range(components):
            below = log_product[k] - largest
            if below > NEGLIGIBLE:
                total += math.exp(below)
        out[m] = largest + math.log(total)
    return out
