from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import average, cut_tree
from scipy.spatial.distance import squareform

from windtunnel.errors import MetricError
from windtunnel.overfitting import cluster_trials, effective_trials
from windtunnel.overfitting._cluster_kernel import average_linkage, silhouettes
from windtunnel.overfitting.clusters import _widths


def families(sizes: list[int], inside: float, bars: int = 500, seed: int = 0) -> np.ndarray:
    """Trials that correlate by `inside` within a family and not at all between families."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(bars, sum(sizes)))
    common = np.repeat(rng.normal(size=(bars, len(sizes))), sizes, axis=1)
    return 0.01 * (np.sqrt(inside) * common + np.sqrt(1 - inside) * own)


def distances(returns: np.ndarray) -> np.ndarray:
    rho = np.corrcoef(returns, rowvar=False)
    matrix = np.sqrt(np.maximum(1 - rho, 0) / 2)
    np.fill_diagonal(matrix, 0)
    return matrix


def silhouette(matrix: np.ndarray, label: np.ndarray) -> float:
    """Rousseeuw's definition, one point after another."""
    widths = []
    for i in range(len(label)):
        own = (label == label[i]) & (np.arange(len(label)) != i)
        if not own.any():
            widths.append(0.0)
            continue
        a = matrix[i, own].mean()
        b = min(matrix[i, label == c].mean() for c in set(label) - {label[i]})
        widths.append((b - a) / max(a, b))
    return float(np.mean(widths))


@pytest.mark.parametrize(("sizes", "inside"), [([12, 9, 7], 0.6), ([1] * 30, 0.0), ([5] * 8, 0.9)])
def test_dendrogram_and_silhouettes_agree_with_scipy_and_the_definition(
    sizes: list[int], inside: float
) -> None:
    matrix = distances(families(sizes, inside))
    n = len(matrix)
    merges, heights = average_linkage(matrix.copy())
    order = np.argsort(heights)
    tree = average(squareform(matrix, checks=False))
    np.testing.assert_allclose(heights[order], tree[:, 2], rtol=1e-9)
    width = silhouettes(matrix.copy(), merges[order])
    for k in range(2, n):
        label = cut_tree(tree, k)[:, 0]
        assert width[n - k] == pytest.approx(silhouette(matrix, label), abs=1e-9), k
        assert _widths(matrix, label).mean() == pytest.approx(width[n - k], abs=1e-9)
    assert width[0] == width[n - 1] == 0.0


@pytest.mark.parametrize("inside", [0.6, 0.8, 0.97])
def test_families_are_found(inside: float) -> None:
    sizes = [20, 3, 11, 6]
    result = cluster_trials(families(sizes, inside))
    assert result.count == 4
    np.testing.assert_array_equal(result.labels, np.repeat(np.arange(4), sizes))
    assert result.silhouette > 0.25
    assert effective_trials(families(sizes, inside)).by_clusters == 4


def test_a_family_among_loners() -> None:
    result = cluster_trials(families([40, *[1] * 15], 0.9))
    assert result.labels[:40].tolist() == [0] * 40
    assert 15 <= result.count <= 16  # one of the loners may be taken for a distant cousin
    assert cluster_trials(families([20, 20, 20, *[1] * 40], 0.8)).count == 43


@pytest.mark.parametrize("inside", [0.0, 0.1])
def test_without_structure_each_trial_counts(inside: float) -> None:
    result = cluster_trials(families([60], inside))
    assert result.count == 60
    assert result.silhouette == 0.0


def test_copies_count_once() -> None:
    noise = families([1] * 20, 0.0)
    one = cluster_trials(np.tile(noise[:, :1], (1, 8)) * np.arange(1, 9))
    assert one.count == 1
    assert np.isnan(one.silhouette)
    repeated = cluster_trials(np.repeat(noise, 3, axis=1))
    assert repeated.count == 20
    np.testing.assert_array_equal(repeated.labels, np.repeat(np.arange(20), 3))
    pair = np.column_stack([noise[:, 0], noise[:, 0] + 1e-5, noise[:, 1]])
    assert cluster_trials(pair).count == 2


def test_opposites_are_two() -> None:
    x = families([1], 0.0)
    assert cluster_trials(np.column_stack([x, -x])).count == 2


def test_order_of_the_trials_does_not_matter() -> None:
    returns = families([9, 9, 4, 1, 1], 0.7, bars=200)
    order = np.random.default_rng(0).permutation(24)
    a, b = cluster_trials(returns), cluster_trials(returns[:, order])
    assert a.count == b.count
    together = a.labels[:, None] == a.labels
    np.testing.assert_array_equal(together[np.ix_(order, order)], b.labels[:, None] == b.labels)


def test_constant_trials_belong_nowhere() -> None:
    padded = np.column_stack([np.zeros(500), families([5, 5], 0.8)])
    result = cluster_trials(padded)
    assert result.labels.tolist() == [-1] + [0] * 5 + [1] * 5
    assert result.count == 2
    assert np.isnan(cluster_trials(np.zeros((30, 3))).count)
    assert cluster_trials(padded[:, :2]).count == 1
    assert np.isnan(effective_trials(np.zeros((30, 3))).by_clusters)


def test_more_trials_than_are_clustered() -> None:
    many = cluster_trials(families([150] * 10, 0.8, bars=120))
    assert many.count == 10
    assert (many.labels >= 0).sum() == 1024
    loners = cluster_trials(families([1] * 1200, 0.0, bars=120))
    assert loners.count == 1200


def test_a_thousand_trials_are_found_in_their_families() -> None:
    assert cluster_trials(families([10] * 100, 0.7)).count == 100


def test_misuse_is_refused() -> None:
    with pytest.raises(MetricError, match="returns"):
        cluster_trials(np.ones(5))
