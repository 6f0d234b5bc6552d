"""Groups of trials that are one idea: clusters of the correlation of their returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from windtunnel.overfitting._cluster_kernel import average_linkage, silhouettes
from windtunnel.overfitting._returns import check_returns, varies

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

MOST = 1024
"""Trials that are clustered at most; of more, as many are taken at equal steps."""
COPY = 0.99
"""Trials that correlate as closely as this are one trial, whatever the rest looks like."""
STRUCTURE = 0.25
"""Mean silhouette width below which a cluster is none (Kaufman and Rousseeuw 1990)."""


@dataclass(frozen=True)
class TrialClusters:
    """Result of `cluster_trials`.

    Attributes
    ----------
    count : float
        Number of clusters: an effective number of trials. An estimate, hence no integer,
        when more than 1,024 trials were given. NaN when every trial is constant.
    labels : (C,) int64
        Cluster of each trial, numbered from 0 by first appearance; -1 for a trial that is
        constant or was not among those taken.
    silhouette : float
        Mean silhouette width over the trials, -1 to 1, trials that stand alone counting 0;
        NaN with fewer than two clusters.
    """

    count: float
    labels: Int64Array
    silhouette: float


def cluster_trials(returns: Float64Array) -> TrialClusters:
    """Cluster trials by the correlation of their returns; choose the number of clusters.

    Lopez de Prado and Lewis (2019), Detection of False Investment Strategies Using
    Unsupervised Learning Methods, take the number of clusters as the effective number of
    trials. Here as there the distance is sqrt((1 - rho) / 2) and the silhouette width
    (Rousseeuw 1987) chooses; in place of k-means from random starts the clusters are cuts
    of an average-linkage dendrogram, so that the same trials give the same clusters.

    Parameters
    ----------
    returns : (T, C) float64
        Simple returns of each trial, T >= 2.

    Returns
    -------
    TrialClusters
        The cut with the largest mean silhouette width. In it a cluster whose own mean width
        is below .25 is dissolved and each of its trials counts, except that copies (mean
        correlation of .99 or more) count once: evidence may lower the number, its absence
        may not.

    Raises
    ------
    MetricError
        NaN or infinite returns, a wrong shape, T < 2, no trial.

    Notes
    -----
    The number says nothing of the spread within a cluster: ten clusters of trials that
    correlate by one half hold more chances than ten trials. A single loose bunch of trials
    is no structure, and each of them counts. Of more than 1,024 trials as many are taken at
    equal steps, and clusters unseen are estimated from those seen once and twice (Chao
    1984, bias-corrected).
    """
    values = check_returns(returns, trials=1, bars=2)
    labels = np.full(values.shape[1], -1, dtype=np.int64)
    moving = np.flatnonzero(varies(values))
    if len(moving) == 0:
        return TrialClusters(np.nan, labels, np.nan)
    taken = moving
    if len(moving) > MOST:
        taken = moving[np.arange(MOST) * len(moving) // MOST]
    found, silhouette = _clusters(values[:, taken])
    labels[taken] = found
    count = float(found.max() + 1)
    if len(taken) < len(moving):
        members = np.bincount(found)
        once, twice = float((members == 1).sum()), float((members == 2).sum())
        count = min(count + once * (once - 1) / (2 * (twice + 1)), float(len(moving)))
    return TrialClusters(count, labels, silhouette)


def _clusters(values: Float64Array) -> tuple[Int64Array, float]:
    n = values.shape[1]
    if n == 1:
        return np.zeros(1, dtype=np.int64), np.nan
    z = values - values.mean(axis=0)
    z /= np.sqrt((z * z).sum(axis=0))
    distance = np.sqrt(np.maximum(1.0 - z.T @ z, 0.0) / 2.0)
    distance = (distance + distance.T) / 2.0
    np.fill_diagonal(distance, 0.0)
    merges, heights = average_linkage(distance.copy())
    order = np.argsort(heights, kind="stable")
    merges, heights = merges[order], heights[order]
    copies = int((heights <= np.sqrt((1.0 - COPY) / 2.0)).sum())
    width = silhouettes(distance.copy(), merges)
    # Of equal widths the first: more clusters.
    best = copies + int(np.argmax(width[copies : n - 1])) if copies < n - 1 else copies
    copied = np.arange(n)
    for keep, drop in merges[:copies]:
        copied[copied == drop] = keep
    label = copied.copy()
    for keep, drop in merges[copies:best]:
        label[label == drop] = keep
    label = _numbered(label)
    members = np.bincount(label)
    weak = np.bincount(label, _widths(distance, label)) < STRUCTURE * members
    label = _numbered(np.where(weak[label], copied + n, label))
    return label, float(_widths(distance, label).mean()) if label.max() > 0 else np.nan


def _numbered(label: Int64Array) -> Int64Array:
    """Labels 0, 1, ... by first appearance."""
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[inverse]


def _widths(distance: Float64Array, label: Int64Array) -> Float64Array:
    """(n,) silhouette width of each point (Rousseeuw 1987); 0 for one that stands alone."""
    members = np.bincount(label)
    if len(members) == 1:
        return np.zeros(len(label))
    belongs = np.eye(len(members))[label]
    total = distance @ belongs
    own = members[label]
    inside = total[np.arange(len(label)), label] / np.maximum(own - 1, 1)
    other = np.where(belongs > 0, np.inf, total / members).min(axis=1)
    larger = np.maximum(inside, other)
    alone = (own == 1) | (larger == 0.0)
    return np.asarray(np.where(alone, 0.0, (other - inside) / np.where(alone, 1.0, larger)))
