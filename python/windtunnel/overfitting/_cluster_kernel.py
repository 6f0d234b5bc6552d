"""The compiled loops behind `cluster_trials`: a dendrogram, and how good each cut of it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]


@njit(nogil=True, cache=True, error_model="numpy")
def average_linkage(distance: Float64Array) -> tuple[Int64Array, Float64Array]:
    """Merges (n - 1, 2) of points that stand for their clusters, and their heights.

    By chains of nearest neighbours (Murtagh 1983), so the merges come in no order of
    height. `distance` (n, n) is overwritten by mean distances between clusters.
    """
    n = distance.shape[0]
    merges = np.empty((n - 1, 2), dtype=np.int64)
    heights = np.empty(n - 1)
    size = np.ones(n)
    active = np.ones(n, dtype=np.bool_)
    chain = np.empty(n, dtype=np.int64)
    length = 0
    for step in range(n - 1):
        if length == 0:
            for i in range(n):
                if active[i]:
                    chain[0] = i
                    length = 1
                    break
        while True:
            at = chain[length - 1]
            # The one before wins ties, else the chain could go round for ever.
            nearest = chain[length - 2] if length > 1 else -1
            least = distance[at, nearest] if length > 1 else np.inf
            for i in range(n):
                if active[i] and i != at and distance[at, i] < least:
                    least = distance[at, i]
                    nearest = i
            if length > 1 and nearest == chain[length - 2]:
                break
            chain[length] = nearest
            length += 1
        keep = min(chain[length - 1], chain[length - 2])
        drop = max(chain[length - 1], chain[length - 2])
        length -= 2
        merges[step, 0] = keep
        merges[step, 1] = drop
        heights[step] = least
        whole = size[keep] + size[drop]
        for i in range(n):
            if active[i]:
                mean = (size[keep] * distance[keep, i] + size[drop] * distance[drop, i]) / whole
                distance[keep, i] = mean
                distance[i, keep] = mean
        size[keep] = whole
        active[drop] = False
    return merges, heights


@njit(nogil=True, cache=True, error_model="numpy")
def silhouettes(distance: Float64Array, merges: Int64Array) -> Float64Array:
    """(n,) mean silhouette width after 0 to n - 1 merges, in the order given; 0 at the ends.

    `distance` (n, n) becomes row c the sums of distances from each point to cluster c.
    """
    n = distance.shape[0]
    total = distance
    label = np.arange(n)
    size = np.ones(n)
    active = np.arange(n)
    nearest = np.empty(n, dtype=np.int64)
    other = np.empty(n)
    result = np.zeros(n)
    for i in range(n):
        _look(total, size, active, n, label, i, nearest, other)
    for step in range(merges.shape[0] - 1):
        keep = merges[step, 0]
        drop = merges[step, 1]
        count = n - step - 1
        for c in range(count + 1):
            if active[c] == drop:
                active[c:count] = active[c + 1 : count + 1].copy()
                break
        for i in range(n):
            total[keep, i] += total[drop, i]
            if label[i] == drop:
                label[i] = keep
        size[keep] += size[drop]
        mean = 0.0
        for i in range(n):
            # The mean of two clusters is not below the nearer of them, so that only who
            # was nearest to one of the two, or belongs to them, must look around again.
            if label[i] == keep or nearest[i] == keep or nearest[i] == drop:
                _look(total, size, active, count, label, i, nearest, other)
            own = label[i]
            if size[own] > 1.0:
                inside = total[own, i] / (size[own] - 1.0)
                larger = max(inside, other[i])
                if larger > 0.0:
                    mean += (other[i] - inside) / larger
        result[step + 1] = mean / n
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def _look(
    total: Float64Array,
    size: Float64Array,
    active: Int64Array,
    count: int,
    label: Int64Array,
    i: int,
    nearest: Int64Array,
    other: Float64Array,
) -> None:
    """Find the nearest cluster that point i does not belong to."""
    least = np.inf
    found = -1
    for c in range(count):
        cluster = active[c]
        if cluster != label[i]:
            mean = total[cluster, i] / size[cluster]
            if mean < least:
                least = mean
                found = cluster
    nearest[i] = found
    other[i] = least
