"""The Pareto front of a search with several objectives: what no other trial beats in all.

References
----------
K. Deb, A. Pratap, S. Agarwal, T. Meyarivan, "A fast and elitist multiobjective genetic
algorithm: NSGA-II", IEEE Transactions on Evolutionary Computation 6, 2002, section III (the
meaning of "dominates").
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]


def non_dominated(values: Float64Array) -> npt.NDArray[np.bool_]:
    """Which trials no other one dominates.

    One trial dominates another when it is at least as good in every objective and better in
    one; equal trials therefore stand on the front together.

    Parameters
    ----------
    values : (C, M) float64
        Objectives, of all of which more is better. A row with a NaN is on no front.

    Returns
    -------
    (C,) bool
    """
    found = np.zeros(len(values), bool)
    left = np.flatnonzero(~np.isnan(values).any(axis=1))
    # Of those left the greatest in lexical order is dominated by none; each round settles it
    # and all that it dominates, so that there are as many rounds as the front has points.
    left = left[np.lexsort(values[left].T[::-1])[::-1]]
    while left.size:
        best = values[left[0]]
        found[left[(values[left] == best).all(axis=1)]] = True
        left = left[(values[left] > best).any(axis=1)]
    return found
