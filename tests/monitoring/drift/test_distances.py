"""Distances against values worked out by hand, an obvious reference, and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windtunnel.errors import MonitoringError
from windtunnel.monitoring.drift.distances import count_cells, distances
from windtunnel.monitoring.drift.reference import CELLS, COUNTS, DriftReference, build_reference


def marginal(reference: DriftReference, own: np.ndarray, window: np.ndarray) -> np.ndarray:
    """(F, 4): the statistics of a window against the rows that the reference was made of."""
    counts = np.zeros((2, len(reference.names), COUNTS))
    for k, rows in enumerate((own, window)):
        first_row = np.arange(len(rows) + 1)
        count_cells(
            reference.cells_of(rows),
            reference.sizes_of(rows),
            first_row,
            np.arange(len(rows)),
            counts[k],
        )
    out = np.empty((len(reference.names), 4))
    distances(counts[0], counts[1], reference.widths, reference.groups, out)
    return out


@pytest.fixture(scope="module")
def own() -> np.ndarray:
    return np.random.default_rng(4).normal(size=(6000, 2))


@pytest.fixture(scope="module")
def reference(own: np.ndarray) -> DriftReference:
    return build_reference(own, ("a", "b"), np.arange(len(own)))


def test_by_hand() -> None:
    """Reference 1 .. 1200; the window is its lower half, once each."""
    rows = np.arange(1.0, 1201.0)[:, None]
    reference = build_reference(rows, ("a",), np.arange(1200))
    ((psi, ks, wasserstein, magnitude),) = marginal(reference, rows, rows[:600])
    assert ks == pytest.approx(0.5)
    # Five deciles of 120 against 120, five against none; a half is added to each count.
    p = 120.5 / 1205
    q, none = 120.5 / 605, 0.5 / 605
    assert psi == pytest.approx(5 * (p - q) * np.log(p / q) + 5 * (p - none) * np.log(p / none))
    # F - G grows linearly to one half at 600 and falls back to zero: area 1200 / 4.
    assert wasserstein == pytest.approx(300 / rows.std(), rel=0.02)
    # The lower half is as far from the median as the upper.
    assert magnitude == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("factor", [0.01, 0.5, 3.0, 100.0, 1e6])
def test_a_magnitude_grows_with_the_logarithm_of_the_unit(factor: float) -> None:
    rows = np.random.default_rng(6).normal(size=(3000, 1))
    reference = build_reference(rows, ("a",), np.arange(3000))
    far = np.abs(rows * factor - np.median(rows)) / rows.std()
    own = np.abs(rows - np.median(rows)) / rows.std()
    expected = np.log1p(np.minimum(far, 100)).mean() - np.log1p(own).mean()
    found = marginal(reference, rows, rows * factor)[0, 3]
    assert found == pytest.approx(expected, abs=1e-5)


@given(st.integers(0, 2**31 - 1), st.floats(-2, 2), st.floats(0.3, 3), st.integers(20, 500))
def test_near_to_scipys(
    own: np.ndarray,
    reference: DriftReference,
    seed: int,
    shift: float,
    scale: float,
    size: int,
) -> None:
    stats = pytest.importorskip("scipy.stats")
    window = shift + scale * np.random.default_rng(seed).normal(size=(size, 2))
    ours = marginal(reference, own, window)
    for f in range(2):
        exact = stats.ks_2samp(own[:, f], window[:, f]).statistic
        # At the cells' edges alone: lower by no more than one cell's mass of the reference, and
        # cells of equal mass differ by a row.
        assert ours[f, 1] <= exact + 1e-12
        assert ours[f, 1] >= exact - 1 / CELLS - 1 / len(own) - 1e-9
        # What lies further outside than three deviations counts as lying there.
        near = np.clip(
            window[:, f], *(reference.edges[f, [0, -1]] + 3 * own[:, f].std() * np.array([-1, 1]))
        )
        area = stats.wasserstein_distance(own[:, f], near) / own[:, f].std()
        assert ours[f, 2] == pytest.approx(area, abs=0.1)


def test_what_lies_far_outside_counts_by_how_far(
    own: np.ndarray, reference: DriftReference
) -> None:
    edge = reference.edges[0, -1]
    near, far = (marginal(reference, own, own * 0 + edge + excess)[0, 2] for excess in (1.0, 100.0))
    inside = marginal(reference, own, own * 0 + edge)[0, 2]
    assert near - inside == pytest.approx(1.0, abs=0.05)
    assert far - inside == pytest.approx(3.0, abs=0.05)  # for three deviations at most


def test_a_sample_is_at_no_distance_from_itself(own: np.ndarray, reference: DriftReference) -> None:
    np.testing.assert_allclose(marginal(reference, own, own), 0.0, atol=1e-12)


@given(st.integers(0, 1000), st.sampled_from([0, 1]))
def test_one_features_distance_does_not_depend_on_the_other(
    own: np.ndarray, reference: DriftReference, seed: int, feature: int
) -> None:
    window = np.random.default_rng(seed).normal(size=(50, 2))
    before = marginal(reference, own, window)[feature]
    window[:, 1 - feature] += 3
    np.testing.assert_array_equal(marginal(reference, own, window)[feature], before)


def test_ties_and_constants_are_no_trouble() -> None:
    random = np.random.default_rng(5)
    rows = np.stack([random.integers(0, 3, 3000), np.full(3000, 7.0)], axis=1).astype(float)
    reference = build_reference(rows, ("three", "constant"), np.arange(3000))
    np.testing.assert_allclose(marginal(reference, rows, rows), 0.0, atol=1e-12)
    window = np.stack([np.full(50, 1.0), np.full(50, 8.0)], axis=1)
    found = marginal(reference, rows, window)
    assert np.isfinite(found).all()
    assert found[0, 1] == pytest.approx(1 / 3, abs=0.03)
    assert found[1, 1] == 1.0


@pytest.mark.parametrize(
    ("rows", "bars", "named"),
    [
        (np.zeros((200, 3)), None, "features=2"),
        (np.zeros((200, 2)), np.arange(200)[::-1], "do not fall"),
        (np.zeros((50, 2)), None, "50 bars"),
        (np.full((200, 2), np.inf), None, "infinite"),
        (np.full((200, 2), np.nan), None, "NaN"),
    ],
)
def test_a_reference_that_cannot_be_used_is_refused(rows, bars, named: str) -> None:
    with pytest.raises(MonitoringError, match=named):
        build_reference(rows, ("a", "b"), bars)
