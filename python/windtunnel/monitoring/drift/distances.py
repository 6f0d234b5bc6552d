"""How far a window is from the reference in one feature: three distances and the magnitude.

All are taken from counts in the reference's cells and sums, so that a resample costs one pass.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

STATISTICS = ("psi", "ks", "wasserstein", "magnitude")
DECILES = 10
# Added to each decile of both samples: an empty one must not make the index infinite.
PSI_EPSILON = 0.5


@njit(nogil=True, cache=True)
def count_cells(
    cells: npt.NDArray[np.uint8],
    sizes: npt.NDArray[np.float32],
    first_row: Int64Array,
    bars: Int64Array,
    counts: Float64Array,
) -> None:
    """Count the rows of `bars` (with repetition) into `counts` (F, COUNTS).

    A feature's rows by cell, then the sums of their `sizes`.
    """
    counts[:] = 0.0
    cells_only = counts.shape[1] - sizes.shape[2]
    for bar in bars:
        for row in range(first_row[bar], first_row[bar + 1]):
            for f in range(counts.shape[0]):
                counts[f, cells[row, f]] += 1.0
                for k in range(sizes.shape[2]):
                    counts[f, cells_only + k] += sizes[row, f, k]


@njit(nogil=True, cache=True)
def distances(
    reference: Float64Array,
    window: Float64Array,
    widths: Float64Array,
    groups: Int64Array,
    out: Float64Array,
) -> None:
    """The statistics of every feature from counts in cells and sums.

    Parameters
    ----------
    reference, window : (F, COUNTS) float64
        From `count_cells`; both samples hold at least one row.
    widths : (F, CELLS - 1) float64
        Cell widths in reference standard deviations.
    groups : (F, CELLS) int64
        Decile of each cell.
    out : (F, 4) float64
        Written: the population stability index sum (p - q) ln(p / q) over deciles of the
        reference, each count increased by one half; the largest |F - G| at the cells'
        edges; and the sum of |F - G| times the cell's width, in reference standard
        deviations, with the differences in how far values lie beyond the outermost edges on
        average. These two are those of Kolmogorov and Smirnov and of Wasserstein (first
        order) with all values moved to the upper edge of their cell. The last is signed: the
        difference in the mean logarithm of a value's magnitude. The distances are bounded, so
        that a window of another regime and one in other units look alike to them; to the
        logarithm a unit is a unit, and a single wild value still weighs little.
    """
    features, columns = reference.shape
    cells = columns - 3
    for f in range(features):
        n = reference[f, :cells].sum()
        m = window[f, :cells].sum()
        below_n = 0.0
        below_m = 0.0
        largest = 0.0
        area = 0.0
        p = np.full(DECILES, PSI_EPSILON)
        q = np.full(DECILES, PSI_EPSILON)
        for i in range(cells):
            p[groups[f, i]] += reference[f, i]
            q[groups[f, i]] += window[f, i]
            if i < cells - 1:
                below_n += reference[f, i]
                below_m += window[f, i]
                gap = abs(below_n / n - below_m / m)
                largest = max(largest, gap)
                area += gap * widths[f, i]
        for side in range(cells, cells + 2):
            area += abs(reference[f, side] / n - window[f, side] / m)
        index = 0.0
        p /= p.sum()
        q /= q.sum()
        for g in range(DECILES):
            index += (p[g] - q[g]) * np.log(p[g] / q[g])
        out[f, 0] = index
        out[f, 1] = largest
        out[f, 2] = area
        out[f, 3] = window[f, columns - 1] / m - reference[f, columns - 1] / n
